"""Types of the fields that adapters have: what users may pass, kept as plain data that JSON can hold."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from onnxembed.api.options import login

__all__ = ["DeviceName", "InputType", "Login", "ModelName", "PathText", "PlainText", "Provider", "Ranges"]


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _device(value: Any) -> Any:
    """The name of a device; frameworks pass flags and PyTorch's objects, too."""
    if isinstance(value, bool):
        return "cuda" if value else "cpu"
    return str(value) if type(value).__name__ == "device" else _plain(value)


def _login(value: Any) -> Any:
    return None if value is None else login(value, "token")


def _as_list(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _path_as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


ModelName: TypeAlias = Annotated[str, BeforeValidator(_path_as_text)]
"""A model's name, or a folder as text or as a path."""
PathText: TypeAlias = Annotated[str | Path, AfterValidator(os.fspath)]
"""A path; kept as text."""
DeviceName: TypeAlias = Annotated[str, BeforeValidator(_device)]
"""A device, as text or as the core's `Device`; the core checks it."""
PlainText: TypeAlias = Annotated[str, BeforeValidator(_plain)]
"""Text, or an enum member that stands for one."""
Login: TypeAlias = Annotated[Any, BeforeValidator(_login)]
"""A token for the Hub, or whether to send the one that is set up; kept as an object that shows and pickles no token."""
Provider: TypeAlias = str | tuple[str, dict[str, Any]]
"""An ONNX Runtime execution provider, with or without its options."""
Ranges: TypeAlias = Annotated[list[list[float]], BeforeValidator(_as_list)]
"""The least and the largest value of each dimension; an array is kept as lists."""
InputType: TypeAlias = Literal["query", "document"]
"""Whether a text searches or is searched."""

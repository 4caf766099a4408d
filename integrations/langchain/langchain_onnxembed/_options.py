"""How the options of an adapter are checked and turned into those of the core."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator


def _plain(value: Any) -> Any:
    """Turn an enum member into its value, so that settings stay plain data that JSON can hold."""
    return value.value if isinstance(value, Enum) else value


def _path_as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


ModelName: TypeAlias = Annotated[str, BeforeValidator(_path_as_text)]
"""A model's name, or a folder as text or as a path."""
PathText: TypeAlias = Annotated[str | Path, AfterValidator(os.fspath)]
"""A path; kept as text."""
DeviceName: TypeAlias = Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_plain)]
"""A device, as text or as the core's ``Device``."""
PlainText: TypeAlias = Annotated[str, BeforeValidator(_plain)]
"""Text, or an enum member that stands for one."""
Provider: TypeAlias = str | tuple[str, dict[str, Any]]
"""An ONNX Runtime execution provider, with or without its options."""


def refuse_unknown(owner: str, given: Mapping[str, Any], known: Iterable[str], elsewhere: Mapping[str, str]) -> None:
    """Refuse arguments that are no options, saying which ones were meant.

    Args:
        owner: The class, for the message.
        given: The arguments.
        known: The names of the options.
        elsewhere: Names that users bring from other libraries, with what to do instead.

    Raises:
        ValueError: An argument is unknown.
    """
    valid = sorted(known)
    complaints = []
    for name in given:
        if name in valid:
            continue
        if name in elsewhere:
            advice = f"; {elsewhere[name]}"
        else:
            near = difflib.get_close_matches(name.lower(), valid, n=1, cutoff=0.6)
            advice = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(valid)}"
        complaints.append(f"{owner} has no argument {name!r}{advice}")
    if complaints:
        raise ValueError(". ".join(complaints))

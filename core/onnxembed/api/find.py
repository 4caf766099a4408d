"""The description of a model, by its name or from its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from onnxembed.api.options import EngineOptions
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputTypeError, ModelNotFoundError
from onnxembed.foreign import reading
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from onnxembed.hub.files import Files

SpecT = TypeVar("SpecT", bound=ModelSpec)


def find_model(
    registry: Registry[SpecT],
    options: EngineOptions,
    describe: Callable[[Files], SpecT],
) -> tuple[SpecT, str | None]:
    """Find the description of a model, and the folder that holds its files, if one was named.

    A name of the catalogue comes before a folder of the same name.

    Args:
        registry: The known models of this kind.
        options: The options: a name or a folder, and how it is described.
        describe: Describes the model in a folder by its files.

    Returns:
        The description, and the absolute path of the folder or ``None``.

    Raises:
        InputTypeError: If the name is neither text nor a path.
        UnknownModelError: If no model has the name; the message offers the nearest ones.
        ModelNotFoundError: If a folder that was named is not there.
    """
    model_name = options.model_name
    name = stated_name(model_name)
    if options.specific_model_path is not None:
        folder = existing_folder(options.specific_model_path, "specific_model_path")
        return registry.find(name), str(folder)
    if registry.holds(name):
        return registry.find(name), None
    named = named_folder(model_name)
    if named is None:
        return registry.find(name), None  # raises, offering the nearest names
    with reading(named):
        from onnxembed.hub.files import FolderFiles

        files = FolderFiles(named)
        files.accept_unknown = tuple(options.accept_unknown)
        return describe(files), str(named)


def stated_name(model_name: object) -> str:
    """Read a model's name or the path of its folder as text."""
    name = os.fspath(model_name) if isinstance(model_name, str | os.PathLike) else None
    if not isinstance(name, str):
        raise InputTypeError(f"model_name={model_name!r}: expected a model's name or the path of a folder")
    return name


def named_folder(model_name: str | os.PathLike[str]) -> Path | None:
    """Give the absolute path of a folder that is there; ``None`` for a name.

    A path of a folder that is not there is a `ModelNotFoundError`.
    """
    name = stated_name(model_name)
    folder = expanded(name)
    if name and _is_folder(folder):
        return folder.absolute()
    if isinstance(model_name, os.PathLike) or name.startswith((".", "~", os.sep)) or Path(name).is_absolute():
        raise ModelNotFoundError(f"the folder {name!r} does not exist; expected a folder with a model's files")
    return None


def expanded(path: str) -> Path:
    """Read a path; one in the home of a user who is not there stays as it is."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # no such user; characters that no path has
        return Path(path)


def existing_folder(path: str | os.PathLike[str], argument: str) -> Path:
    """Read the path of a folder that must be there; ``argument`` is what messages call it."""
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{argument}={path!r}: expected the path of a folder")
    folder = expanded(os.fspath(path))
    if not _is_folder(folder):
        raise ModelNotFoundError(f"{argument}={str(path)!r} is not a folder; expected a folder with a model's files")
    return folder.absolute()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file system takes: too long, or with a null character
        return False

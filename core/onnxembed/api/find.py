"""The description of a model, by its name, from its folder, or from a repository of the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from onnxembed.api.settings import ByFiles, store_settings
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError
from onnxembed.foreign import reading
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from onnxembed.api.options import EngineOptions
    from onnxembed.hub.files import Files

SpecT = TypeVar("SpecT", bound=ModelSpec)


class Found(NamedTuple, Generic[SpecT]):
    """A model that was found.

    Attributes:
        model: Its description.
        folder: The absolute path of its folder, where one was named.
        by_files: What describes it again when its files are here; ``None`` where the description is complete.
    """

    model: SpecT
    folder: str | None
    by_files: ByFiles[SpecT] | None


def find_model(registry: Registry[SpecT], options: EngineOptions, describe: Callable[[Files], SpecT]) -> Found[SpecT]:
    """Find the description of a model, and the folder that holds its files, if one was named.

    A name of the catalogue comes before a folder of the same name, and a folder before a repository of the Hub.

    Args:
        registry: The known models of this kind.
        options: The name, and what goes with it: a folder, a revision, a choice among graphs.
        describe: Describes a model by its files.

    Returns:
        The model.

    Raises:
        InputTypeError: If the name is neither text nor a path.
        InputError: If a revision of a folder is asked for.
        UnknownModelError: If no model and no repository has the name.
        ModelNotFoundError: If a folder that was named is not there, or a repository cannot be read.
        UnsupportedModelError: If what a repository holds cannot be used.
    """
    name = stated_name(options.model_name)
    if options.specific_model_path is not None:
        folder = existing_folder(options.specific_model_path, "specific_model_path")
        refuse_revision(options, folder)
        exported = _exported(folder, registry, options)
        if exported is not None:
            return Found(replace(exported, name=_exported_name(folder, name, registry)), str(folder), None)
        return Found(_with_choice(registry.find(name), options, folder), str(folder), None)
    if Path(name).is_absolute():  # before the catalogue, which takes 20 ms to search: none of its names is such a path
        exported = _exported(Path(name), registry, options)
        if exported is not None:
            refuse_revision(options, Path(name))
            return Found(exported, name, None)
    if registry.holds(name):
        return Found(_with_choice(registry.find(name), options, None), None, None)
    named = named_folder(options.model_name)
    if named is not None:
        refuse_revision(options, named)
        exported = _exported(named, registry, options)
        if exported is not None:
            return Found(exported, str(named), None)
        with reading(named):
            return Found(_describe_folder(named, registry.kind, options, describe), str(named), None)
    from onnxembed.hub.cache import is_repository_name

    if not is_repository_name(name):
        return Found(registry.find(name), None, None)  # raises, offering the nearest names
    from onnxembed.api.repository import describe_repository, repository_files

    files = repository_files(name, options, registry)
    return Found(
        describe_repository(files, options, describe),
        None,
        ByFiles(describe, files.commit),
    )


def refuse_revision(options: EngineOptions, folder: Path) -> None:
    """Refuse a revision of a folder, whose files are those that lie there."""
    if options.revision is not None:
        raise InputError(
            f"revision={options.revision!r}: {folder} is a folder, and only repositories of the Hub have revisions; "
            "leave revision out, or pass the repository's name"
        )


def _exported(folder: Path, registry: Registry[SpecT], options: EngineOptions) -> SpecT | None:
    """The model of a folder that `export` wrote; ``None`` for another folder."""
    from onnxembed.hub.exported import MANIFEST_FILE

    if not (folder / MANIFEST_FILE).is_file():
        return None
    from onnxembed.api.exported import exported_model

    return exported_model(folder, registry, options)


def _exported_name(folder: Path, name: str, registry: Registry[SpecT]) -> str:
    """The name of an exported model as it was spelt then; any other one is looked up, which takes 10 ms."""
    from onnxembed.hub.exported import manifest_of

    manifest = manifest_of(folder)
    return name if manifest is not None and manifest.name == name else registry.find(name).name


def exported_folder(registry: Registry[Any], options: EngineOptions) -> Path | None:
    """The folder that `find_model` would open, if `export` wrote it; errors are left to that."""
    from onnxembed.hub.exported import MANIFEST_FILE

    name = options.model_name if options.specific_model_path is None else options.specific_model_path
    if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
        return None
    folder = expanded(os.fspath(name))
    if not os.fspath(name) or not _is_folder(folder) or not (folder / MANIFEST_FILE).is_file():
        return None
    by_name = options.specific_model_path is None and not Path(name).is_absolute() and registry.holds(os.fspath(name))
    return None if by_name else folder.absolute()


def _with_choice(model: SpecT, options: EngineOptions, folder: Path | None) -> SpecT:
    """A described model with the graph that the caller chose among those of its folder, or of its repository."""
    if options.model_file is None and options.variant is None:
        return model
    from onnxembed.hub.bring import list_repository
    from onnxembed.hub.choice import choose
    from onnxembed.hub.files import FolderFiles

    repository = next((source.hf for source in model.sources if source.hf is not None), None)
    if folder is not None:
        files: Files = FolderFiles(folder)
    elif repository is not None:
        files = list_repository(repository, store_settings(None, options))
    else:
        raise ModelNotFoundError(f"{model.name} has one form only; leave model_file and variant out")
    chosen = choose(files, model.graph_stems, model_file=options.model_file, variant=options.variant)
    return model if chosen is None else replace(model, model_file=chosen)


def chosen_files(files: Files, options: EngineOptions, kind: type[ModelSpec]) -> Files:
    """Note in some files which graph or weights to use; one graph in a usual place of a folder needs no choice."""
    from onnxembed.hub.choice import choose
    from onnxembed.hub.files import RepositoryFiles, SnapshotFiles, graph_name, has_weights
    from onnxembed.hub.folder import GRAPH_LAYOUTS

    if isinstance(files, RepositoryFiles | SnapshotFiles):
        from onnxembed.api.repository import chosen_in_repository

        return chosen_in_repository(files, options, kind)
    files.chosen, files.accept_unknown = None, tuple(options.accept_unknown)
    asked = options.model_file is not None or options.variant is not None
    # Where two towers lie in files of their own, the graph in the usual place is the one of both.
    stem = kind.graph_stems[0]
    tower = stem != "model" and any(files.has(f"{place}{stem}.onnx") for place in ("onnx/", ""))
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    if asked or tower or (graph is None and not has_weights(files)):
        files.chosen = choose(files, kind.graph_stems, model_file=options.model_file, variant=options.variant)
    elif graph is not None and has_weights(files):
        from onnxembed.api.repository import preferred

        better = preferred(files, graph, kind)
        files.chosen = None if better == graph else better
    return files


def _describe_folder(
    folder: Path, kind: type[SpecT], options: EngineOptions, describe: Callable[[Files], SpecT]
) -> SpecT:
    from onnxembed.hub.choice import report
    from onnxembed.hub.files import FolderFiles

    files = chosen_files(FolderFiles(folder), options, kind)
    if options.model_file is None and options.variant is None:
        report(files)
    return with_chosen_weights(describe(files), files)


def with_chosen_weights(model: SpecT, files: Files) -> SpecT:
    """Name the weights in a description where they were chosen, although a graph may lie beside them."""
    chosen = files.chosen
    return model if chosen is None or chosen.endswith(".onnx") else replace(model, model_file=chosen)


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

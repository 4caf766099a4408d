"""A model written into one folder that starts anywhere: its ready graph, its small files, and what it is.

The folder is made beside its place and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from onnxembed.api.find import expanded
from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.api.kept_graph import COMPILER_VERSION
from onnxembed.api.options import folder_path
from onnxembed.api.plain_spec import plain_spec
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import InputError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub.content import sha256_of
from onnxembed.hub.disk import private_name, remove_tree, write_failure
from onnxembed.hub.exported import MANIFEST_FILE, Manifest, ReadyGraph, manifest_of
from onnxembed.hub.files import FolderFiles, find_graph, weights_names
from onnxembed.hub.fingerprint import read_names
from onnxembed.hub.folder import ModelFolder
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.spec import ModelSpec

_READY = "ready"


def target_folder(folder: str | os.PathLike[str]) -> Path:
    """Read the path of a folder that is to be written; one that holds something is an `InputError`."""
    target = expanded(folder_path(folder, "folder")).absolute()
    file = next((parent for parent in target.parents if parent.is_file()), None)
    if file is not None:
        raise InputError(f"{target} lies in {file}, which is a file; name another folder")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"the folder {target} is not empty; name a new one, or remove it first")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder")
    return target


@dataclass(frozen=True, slots=True)
class Identity:
    """What the model object says of itself.

    Attributes:
        model_class: The class that opens the folder.
        fingerprint: The model's; empty for classes that have none.
        options: The options that change its results, as plain data.
    """

    model_class: str
    fingerprint: str
    options: Mapping[str, Any]


def write_folder(settings: EngineSettings[Any], identity: Identity, target: Path) -> Path:
    """Write the files of a located model into a new folder beside another path, and return it.

    Args:
        settings: The model, its files found.
        identity: What the model object says of itself.
        target: The path that the folder shall have in the end.

    Returns:
        The folder, complete, under a private name: the caller renames it.

    Raises:
        UnsupportedModelError: If the model has no files.
        ModelNotFoundError: If the place cannot be written.
    """
    if not settings.model.needs_files or settings.folder is None:
        raise UnsupportedModelError(
            f"{settings.model.name!r} needs no files, so that there is nothing to export: it opens by its name on any "
            "machine, without requests and without a cache"
        )
    made = private_name(target)
    try:
        made.mkdir(parents=True)
        _fill(made, settings, settings.folder, identity)
    except OSError as error:
        remove_tree(made)
        if isinstance(error, ModelNotFoundError):
            raise
        raise ModelNotFoundError(write_failure(made, error)) from error
    except BaseException:
        remove_tree(made)
        raise
    return made


def _fill(made: Path, settings: EngineSettings[Any], folder: ModelFolder, identity: Identity) -> None:
    again = manifest_of(folder.path)
    if again is not None:  # the files of an exported folder are exported once more as they are
        for name in again.files:
            _copy(folder.path / name, made / name)
        _write_manifest(made, replace(again, fingerprint=identity.fingerprint, options=identity.options))
        return
    graphs = tuple(_write_graphs(made, settings, folder))
    opened = settings.opened or settings.model
    left_out = {name for model in _models(settings.model) for name in _of_the_body(folder.path, model)}
    further = {opened.companion_file, *opened.additional_files, *settings.model.additional_files}
    tables = {model.model_file for model in _models(settings.model) if _is_table(model)}
    for name in sorted(({*read_names(folder.path), *further} - left_out) | tables):
        if (folder.path / name).is_file():
            _copy(folder.path / name, made / name)
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    manifest = Manifest(
        name=settings.model.name,
        source=folder.source,
        model_class=identity.model_class,
        precision=settings.precision.value,
        weight_bits=settings.weight_bits,
        accept_unknown=settings.accept_unknown,
        content=settings.content,
        fingerprint=identity.fingerprint,
        versions=_versions(),
        graphs=graphs,
        files={name: (sha256_of(made / name), (made / name).stat().st_size) for name in names},
        model=plain_spec(replace(settings.model, sources=())),
        options=identity.options,
    )
    _write_manifest(made, manifest)


def _write_manifest(made: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest.as_dict(), indent=1, ensure_ascii=False, sort_keys=True)
    (made / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "onnxembed": version("onnxembed"),
        "onnxruntime": str(import_onnxruntime().__version__),
        "compiler": str(COMPILER_VERSION),
    }


def _write_graphs(made: Path, settings: EngineSettings[Any], folder: ModelFolder) -> Iterator[ReadyGraph]:
    """Copy the graph of the model and of each model in it: the ways of a router, the dense part of an encoder."""
    written = dict[tuple[str, str, object], ReadyGraph]()
    for model in _models(settings.model):
        if _is_table(model) or not _runs(model):
            continue
        key = (model.model_file, model.body_folder, model.recipe)
        same_place = [known for known in written if known[:2] == key[:2]]
        if key in written:
            continue
        if same_place:
            raise UnsupportedModelError(
                f"{settings.model.name!r} makes two graphs of {model.model_file!r} with different ends, which an "
                "exported folder cannot hold; use the model's own folder"
            )
        with prepared_graph(folder, model, settings.store, settings.accept_unknown, settings.choice.numbers) as file:
            name = _place(folder.path, model, file, len(written))
            written[key] = _copy_graph(made, name, model, file)
        yield written[key]


def _place(folder: Path, model: ModelSpec, file: GraphFile, number: int) -> str:
    """The name of a graph in the exported folder: its own where it takes the place of the one that was shipped.

    One that was compiled, or whose end was rewritten, lies apart, so that nobody takes it for a shipped graph.
    """
    shipped = None if file.compiled else find_graph(folder, model.model_file)
    if shipped is not None:
        outputs = [output.name for output in inspect_graph(shipped).outputs]
        if outputs == [output.name for output in file.outputs]:
            return shipped.relative_to(folder).as_posix()
    return f"{_READY}/{number}/model.onnx" if number else f"{_READY}/model.onnx"


def _copy_graph(made: Path, name: str, model: ModelSpec, file: GraphFile) -> ReadyGraph:
    place = PurePosixPath(name).parent
    outlined = next((part.outline for part in file.data if part.outline is not None), None)
    if file.compiled and outlined is not None:  # the graph as it is loaded, the choice of attention included
        _written(made / name, outlined)
    else:
        _copy(file.path, made / name)
    if PurePosixPath(name).name != file.path.name:
        raise UnsupportedModelError(f"{file.path} has another name than {name!r}, under which its data would be sought")
    data = []
    for location in inspect_graph(file.path).external_data:
        _copy(file.path.parent / location, made / place / location)
        data.append((place / location).as_posix())
    recipe = plain_spec(model.recipe) if file.compiled and model.recipe is not None else {}
    return ReadyGraph(model.model_file, model.body_folder, name, file.compiled, recipe, tuple(data))


def _models(model: ModelSpec) -> Iterator[ModelSpec]:
    """The description, and those in its fields."""
    yield model
    for field in fields(model):
        yield from _within(getattr(model, field.name))


def _within(value: object) -> Iterator[ModelSpec]:
    if isinstance(value, ModelSpec):
        yield from _models(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _within(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _within(getattr(value, field.name))


def _is_table(model: ModelSpec) -> bool:
    return bool(getattr(model, "static", False))


def _runs(model: ModelSpec) -> bool:
    """Whether the graph is the model's own: that of an encoder's description is the one of the dense model in it."""
    return getattr(model, "dense", None) is None


def _of_the_body(folder: Path, model: ModelSpec) -> set[str]:
    """The graphs and weights that the ready graph stands for."""
    if _is_table(model):
        return set()
    names = {model.model_file, *weights_names(FolderFiles(folder), model.body_folder)}
    shipped = find_graph(folder, model.model_file)
    if shipped is not None:
        parent = PurePosixPath(shipped.relative_to(folder).as_posix()).parent
        names |= {shipped.relative_to(folder).as_posix()}
        names |= {(parent / location).as_posix() for location in inspect_graph(shipped).external_data}
    return names


def _written(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _copy(source: Path, target: Path) -> None:
    """Copy a file's content; a hard link would let a change here reach the cache."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(source, target)

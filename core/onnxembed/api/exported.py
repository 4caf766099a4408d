"""A model in an exported folder: its description, its settings, and its graph, all by the folder's own word."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from onnxembed.api.graph_check import graph_check
from onnxembed.api.options import EngineOptions, exported_names
from onnxembed.api.plain_spec import plain_spec, read_spec
from onnxembed.errors import InputError, ModelError, UnsupportedModelError
from onnxembed.hub.exported import MANIFEST_FILE, Manifest, ReadyGraph, check_files, manifest_of, small_and_large
from onnxembed.runtime.precision import AUTO, Precision, weight_bits
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from onnxembed.catalog.registry import Registry

SpecT = TypeVar("SpecT", bound=ModelSpec)
OptionsT = TypeVar("OptionsT", bound=EngineOptions)


def exported_model(folder: Path, registry: Registry[SpecT], options: EngineOptions) -> SpecT | None:
    """Give the description of the model that was exported to a folder.

    Args:
        folder: A folder.
        registry: The known models of the kind that is opened.
        options: Those of the caller.

    Returns:
        The description, named after the folder; ``None`` for a folder that was not exported.

    Raises:
        UnsupportedModelError: If another class exported it.
        InputError: If another graph of it is asked for.
        ModelError: If what the folder says of itself is damaged.
    """
    manifest = manifest_of(folder)
    if manifest is None:
        return None
    if manifest.model_class != registry.facade:
        raise UnsupportedModelError(
            f"{folder} holds {manifest.name!r} as {manifest.model_class} exported it, without dense=; open it with "
            "that class, or export the model again with the one that you need"
        )
    for name in ("model_file", "variant"):
        if getattr(options, name) is not None:
            raise InputError(
                f"{name}={getattr(options, name)!r}: the exported folder {folder} holds one form of the model; "
                f"leave {name} out, or export the model again with it"
            )
    return described(folder, manifest, registry.kind)


def exported_options(options: OptionsT, said: Iterable[str], folder: Path, opening: str) -> OptionsT:
    """Fill in the options that a folder was exported with, where the caller said none.

    Args:
        options: Those of the caller.
        said: The names of those that the caller gave; ``None`` leaves one to the folder.
        folder: A folder.
        opening: The class that opens it.

    Returns:
        The options; unchanged for a folder that was not exported.

    Raises:
        ModelError: If the folder says an option that is not known, or what it says is damaged.
    """
    manifest = manifest_of(folder)
    if manifest is None:
        return options
    names = exported_names(type(options))
    unknown = sorted(set(manifest.options) - set(names))
    if unknown and opening == manifest.model_class:
        raise ModelError(
            f"{folder / MANIFEST_FILE} says the option {unknown[0]!r}, which {opening} does not have in this version; "
            "export the model again with it"
        )
    given = {name for name in said if getattr(options, name, None) is not None}
    left = {name: manifest.options[name] for name in names if name in manifest.options and name not in given}
    try:
        return replace(options, **left)
    except InputError as error:
        raise ModelError(f"{folder / MANIFEST_FILE} is damaged ({error}); export the model again") from error


def described(folder: Path, manifest: Manifest, kind: type[SpecT]) -> SpecT:
    """Make the description of an exported model, named after its folder."""
    try:
        model = read_spec(kind, manifest.model)
    except ValueError as error:
        raise ModelError(
            f"{folder / MANIFEST_FILE}: the description cannot be read ({error}); export the model again with this "
            "version"
        ) from error
    return replace(model, name=str(folder))


def exported_precision(folder: Path, manifest: Manifest, wanted: Precision | str | None) -> Precision:
    """Give the precision that a folder was exported in.

    Another one, 8 bits for 32 or 32 for 8, is an `InputError`; weights that would overflow on this processor are an
    `UnsupportedModelError`.
    """
    try:
        stored = Precision(manifest.precision)
    except ValueError as error:
        raise ModelError(f"{folder / MANIFEST_FILE} is damaged ({error}); export the model again") from error
    if wanted not in (stored, None, AUTO):
        raise InputError(
            f"precision={str(wanted)!r}: {folder} was exported with precision={stored.value!r}; leave it out, or "
            f"export {manifest.name!r} again with precision={str(wanted)!r}"
        )
    if stored is Precision.INT8 and manifest.weight_bits > (here := weight_bits(stored)):
        raise UnsupportedModelError(
            f"{folder} holds weights of {manifest.weight_bits} bits, and this processor takes {here}: it lacks 8-bit "
            "dot products, so that sums would overflow. Export the model on a processor like this one, or in fp32"
        )
    return stored


@contextmanager
def ready_graph(folder: Path, manifest: Manifest, model: ModelSpec) -> Iterator[ReadyGraph]:
    """Give the graph of an exported model while its files are hashed; one that changed is an error at the end.

    Hashing 90 MB takes 50 ms, in which ONNX Runtime's loading keeps one processor busy; see `begun_early`.
    """
    graph = manifest.graph(model.model_file, model.body_folder, folder)
    if graph.compiled and (model.recipe is None or plain_spec(model.recipe) != graph.recipe):
        raise InputError(
            f"{folder} holds a graph that ends in {json.dumps(graph.recipe)}; another pooling cannot be had of it: "
            f"leave pooling out, or export {manifest.name!r} again with it"
        )
    small, large = small_and_large(manifest, (graph.path, *graph.data))
    check_files(folder, manifest, small)
    if not large:
        yield graph
        return
    with closing(graph_check(folder, manifest, tuple(large))) as check:
        check.give_way()
        try:
            yield graph
        except ModelError:
            check.result()  # which file changed says more than what became of it
            raise
        check.result()

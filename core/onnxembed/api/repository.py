"""A model in a repository of the Hub: what is used of it, and a refusal before anything large is fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from onnxembed.api.preference import preference
from onnxembed.api.settings import store_settings
from onnxembed.catalog.registry import NEARLY_THE_SAME, Registry, unknown_name
from onnxembed.errors import ModelError, ModelNotFoundError, UnknownModelError, UnsupportedModelError
from onnxembed.foreign import reading
from onnxembed.formats.facts import Facts
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.bring import list_repository, open_repository
from onnxembed.hub.choice import choose, report
from onnxembed.hub.failures import is_absent
from onnxembed.hub.files import Files, RepositoryFiles, SnapshotFiles, inside, weights_names
from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.spec import GraphHead, ModelSpec
from onnxembed.suggest import listed

if TYPE_CHECKING:
    from onnxembed.api.options import EngineOptions
    from onnxembed.spec import Recipe

SpecT = TypeVar("SpecT", bound=ModelSpec)

HubFiles = RepositoryFiles | SnapshotFiles

logger = logging.getLogger("onnxembed.models")

_NAMES_SHOWN = 8
_FORMATS = {
    "pickled weights, which could run code when they are read": (".bin", ".pt", ".pth", ".ckpt", ".pkl"),
    "weights for TensorFlow": (".h5", ".tflite"),
    "weights for Flax": (".msgpack",),
    "weights for llama.cpp": (".gguf",),
    "graphs for OpenVINO": (".xml",),
    "a graph for Core ML": (".mlmodel", ".mlpackage"),
}


def repository_files(name: str, options: EngineOptions, registry: Registry[SpecT]) -> HubFiles:
    """Give the files of a repository: without any request where the cache has them, else by a list.

    Args:
        name: ``org/name``.
        options: The revision, the login, and where the cache is.
        registry: The known models of the kind, for messages.

    Returns:
        The files; ``chosen`` among them is the graph, or the weights, to use.

    Raises:
        UnknownModelError: If there is no such repository, or it may not be asked for.
        ModelNotFoundError: If the Hub cannot be asked, or the files do not hold what was chosen.
        UnsupportedModelError: If nothing there can be used.
    """
    files = open_files(name, options, registry.models(), f"{registry.facade}.list_supported_models()")
    return chosen_in_repository(files, options, registry.kind)


def open_files(name: str, options: EngineOptions, known: tuple[ModelSpec, ...], lists: str) -> HubFiles:
    """Give the files of a repository; messages offer the nearest of the known names, and say what ``lists`` them."""
    settings = store_settings(None, options)
    try:
        return open_repository(name, settings)
    except ModelNotFoundError as error:
        if not settings.offline and not is_absent(error):
            raise
        # An offer that is only alike would mislead: most names of the Hub are not in the catalogue.
        raise UnknownModelError(
            f"{unknown_name(name, known, NEARLY_THE_SAME)} As a repository of the Hub it cannot be had: {error}. "
            f"{lists} lists the names that are known without one; a local folder with a model's files may be given, too"
        ) from error


def chosen_in_repository(files: HubFiles, options: EngineOptions, kind: type[ModelSpec]) -> HubFiles:
    """Note which graph or weights to use; list the repository where a copy of another tool does not hold them.

    Where nothing can be used, an `UnsupportedModelError` says what lies there and what to do.
    """
    if isinstance(files, SnapshotFiles) and not _is_enough(files, options, kind):
        files = list_repository(files.model_name, replace(store_settings(None, options), revision=files.commit))
    files.accept_unknown = tuple(options.accept_unknown)
    files.chosen = _choice(files, options, kind)
    if files.chosen is None and not any(name.endswith(".safetensors") for name in files.names()):
        raise UnsupportedModelError(_nothing_to_use(files))
    return files


def describe_repository(files: HubFiles, options: EngineOptions, describe: Callable[[Files], SpecT]) -> SpecT:
    """Describe the model of a repository, with the names of all files to bring.

    What cannot be compiled is refused as an `UnsupportedModelError`, before anything large is fetched.
    """
    if not _is_asked(options):
        report(files)
    with reading(files.where):
        model = describe(files)
    weights = weights_names(files, model.body_folder)
    if files.chosen in weights or (weights and not files.has(model.model_file)):
        model = replace(model, model_file=weights[0])
    if model.model_file not in weights:
        weights = ()
    elif not getattr(model, "static", False):
        _refuse_what_cannot_be_compiled(files, model)
    missing = [name for name in weights if isinstance(files, RepositoryFiles) and not files.has(name)]
    if missing:
        raise ModelNotFoundError(
            f"{files.where}: {weights[0]} names {listed(missing, _NAMES_SHOWN)}, which the repository lacks; its "
            "upload may be under way, or choose another revision="
        )
    further = dict.fromkeys((*model.additional_files, *files.read_names, *weights))
    further.pop(model.model_file, None)
    further.pop(model.companion_file, None)
    return replace(model, additional_files=tuple(further))


def refusal_of(files: Files, recipe: Recipe | None, config: Facts) -> ModelError | None:
    """Tell from ``config.json`` why the weights beside it cannot be compiled; ``None`` where nothing speaks against it.

    The keys that the compiler would read are taken from ``config``.
    """
    from onnxembed.compile import refusal

    head = GraphHead.VECTORS if recipe is None else recipe.head
    return refusal(config, head=head, accepted=files.accept_unknown)


def _is_enough(files: SnapshotFiles, options: EngineOptions, kind: type[ModelSpec]) -> bool:
    """Whether a copy of another tool holds what is asked for; a graph in less than full precision only by its name."""
    try:
        chosen = _choice(files, options, kind)
    except ModelNotFoundError:
        return False
    asked = _is_asked(options)
    full = chosen is not None and (not chosen.endswith(".onnx") or choose(files, kind.graph_stems) == chosen)
    stem = "" if chosen is None else PurePosixPath(chosen).stem
    return asked or (full and (not str(chosen).endswith(".onnx") or stem in kind.graph_stems))


def _choice(files: Files, options: EngineOptions, kind: type[ModelSpec]) -> str | None:
    chosen = choose(
        files,
        kind.graph_stems,
        model_file=options.model_file,
        variant=options.variant,
        compiles=lambda: compiles(files),
    )
    if _is_asked(options) or chosen is None or not chosen.endswith(".onnx"):
        return chosen
    return preferred(files, chosen, kind)


def _is_asked(options: EngineOptions) -> bool:
    return options.model_file is not None or options.variant is not None


def preferred(files: Files, graph: str, kind: type[ModelSpec]) -> str:
    """Give the graph that nobody asked for by name, or the weights beside it where they are known to be better."""
    found = preference(files, graph, kind, lambda: compiles(files))
    if found is None:
        return graph
    logger.info("%s: %s", files.where, found.why)
    return found.weights or graph


def compiles(files: Files) -> bool:
    """Whether the weights can be used, as far as their configuration says; a table needs no compiling."""
    return _is_static(files) or refusal_of(files, None, _config(files)) is None


def _config(files: Files, name: str = CONFIG_FILE) -> Facts:
    """The configuration anew: whether weights can be compiled is asked before it is known whether they are used."""
    return Facts(files.json_object(name), files.label(name))


def _is_static(files: Files) -> bool:
    """Whether the weights are a table, which needs no compiling."""
    stages = files.json("modules.json")
    return files.json_object(CONFIG_FILE).get("model_type") == "model2vec" or "StaticEmbedding" in str(stages)


def _refuse_what_cannot_be_compiled(files: Files, model: ModelSpec) -> None:
    config_file = inside(model.body_folder, CONFIG_FILE)
    error = refusal_of(files, model.recipe, _config(files, config_file))
    if error is None:
        return
    own = files.json_object(config_file).get("auto_map")
    code = "; the code that the repository brings (auto_map) is never run" if own else ""
    raise type(error)(f"{error}{code}. {_what_is_there(files)}") from error


def _nothing_to_use(files: Files) -> str:
    return (
        f"{files.where} holds nothing that can be used: expected an ONNX file or {WEIGHTS_FILE}. "
        f"{_what_is_there(files)} Often a pull request of the repository adds safetensors: pass its revision=, such as "
        "'refs/pr/1'. Or take a repository with an ONNX file, or export the model to ONNX and give the folder"
    )


def _what_is_there(files: Files) -> str:
    names = files.names()
    found = {
        what: [name for name in names if name.endswith(endings) and PurePosixPath(name).name != "training_args.bin"]
        for what, endings in _FORMATS.items()
    }
    there = [f"{what} ({listed(names, _NAMES_SHOWN)})" for what, names in found.items() if names]
    graphs = [name for name in names if name.endswith(".onnx")]
    if graphs:
        there.append(f"graphs ({listed(graphs, _NAMES_SHOWN)}), one of which model_file= can choose")
    return f"It holds {'; '.join(there)}." if there else f"It holds {listed(names, _NAMES_SHOWN)}."

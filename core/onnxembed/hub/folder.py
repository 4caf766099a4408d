"""Which files a model needs, and whether a folder has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.errors import InputError, UnsafeModelError
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnxembed.spec import ModelSpec

CONFIG_FILE = "config.json"
GRAPH_LAYOUTS = ("onnx/model.onnx", "model.onnx", "onnx/model_optimized.onnx", "model_optimized.onnx")
"""Where graphs lie in the folders that people publish, in the order of preference."""
OPTIONAL_FILES = (
    CONFIG_FILE,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "preprocessor_config.json",
)
"""Small files that tell limits, pooling and prompts; a model works without any of them."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that holds everything a model needs.

    Attributes:
        path: The folder.
        source: Where it comes from, for people.
        revision: The commit, for folders that come from the Hub.
    """

    path: Path
    source: str
    revision: str | None = None


def safe_relative(name: str) -> str:
    """Give a name back that stays inside the folder it is relative to; an `UnsafeModelError` for another."""
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or any(sign in name for sign in ("\\", ":", "\0")):
        raise UnsafeModelError(
            f"{name!r} does not name a file inside the model's folder; "
            "expected a relative path with forward slashes and without '..'"
        )
    return name


def specified_files(model: ModelSpec) -> tuple[str, ...]:
    """Name the files that a specification names, each once; an `InputError` where one lies outside the folder."""
    try:
        names = [safe_relative(name) for name in (model.model_file, *model.additional_files, model.companion_file)]
    except UnsafeModelError as error:
        raise InputError(f"model {model.name!r}: {error}") from error
    return tuple(dict.fromkeys(names))


def compilable_files(model: ModelSpec, weights: str = WEIGHTS_FILE) -> tuple[str, ...]:
    """Name what a graph can be compiled from, for folders that hold none; ``weights`` may be the index of shards."""
    body = [str(PurePosixPath(model.body_folder, name)) for name in (weights, CONFIG_FILE)]
    return (*body, model.companion_file)


def readable_names(model: ModelSpec) -> frozenset[str]:
    """Name all files that may be read of a model in any layout, apart from external data."""
    return frozenset((*specified_files(model), *compilable_files(model), *GRAPH_LAYOUTS, *OPTIONAL_FILES))


def external_files(graph: Path, name: str) -> tuple[str, ...]:
    """Name the files in which a graph keeps its weights; an `UnsafeModelError` outside the graph's folder.

    ``name`` is the graph's, relative to the model's folder, as are the names that are given.
    """
    if not name.endswith(".onnx"):
        return ()
    from onnxembed.formats.onnx_graph import inspect_graph

    parent = PurePosixPath(name).parent
    return tuple(
        str(parent / safe_relative(location))
        for location in inspect_graph(graph, require_external_data=False).external_data
    )


def has_content(path: Path) -> bool:
    """Whether there is a file with at least one byte; a link to nothing is none."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def absent(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some files that a folder lacks, in their order."""
    return tuple(name for name in names if not has_content(folder / name))


def missing_files(folder: Path, model: ModelSpec) -> tuple[str, ...]:
    """What a folder lacks of the files that a specification names, external data included."""
    missing = absent(folder, specified_files(model))
    graphs = (model.model_file, *model.additional_files)
    return missing or tuple(file for graph in graphs for file in absent(folder, external_files(folder / graph, graph)))


def missing_from_any_layout(folder: Path, model: ModelSpec) -> tuple[str, ...]:
    """What a folder lacks where a graph in another usual place, or weights to compile, are as good."""
    missing = missing_files(folder, model)
    if not missing or any(not absent(folder, compilable_files(model, name)) for name in (WEIGHTS_FILE, INDEX_FILE)):
        return ()
    for graph in GRAPH_LAYOUTS:
        if not absent(folder, (graph, model.companion_file)):
            return absent(folder, external_files(folder / graph, graph))
    return missing


def describe_needs(model: ModelSpec) -> str:
    """What a folder must hold, as a clause for messages."""
    return f"{' and '.join(specified_files(model))} (or {', '.join(compilable_files(model))})"

"""Which files a model needs, and whether a folder has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from onnxembed.errors import InputError, UnsafeModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnxembed.spec import ModelSource

TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
COMPILABLE_FILES = (WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
"""What a graph can be compiled from, for folders that hold none."""
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


class StoredModel(Protocol):
    """The part of a model's specification that the store reads; every kind of model has it."""

    @property
    def name(self) -> str:
        """The public name."""
        ...

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """Where the files are."""
        ...

    @property
    def model_file(self) -> str:
        """The graph or the table, relative to the folder."""
        ...

    @property
    def additional_files(self) -> tuple[str, ...]:
        """Further files that must be there."""
        ...


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
    """Check that a name stays inside the folder it is relative to.

    Args:
        name: A path with forward slashes.

    Returns:
        The same name.

    Raises:
        UnsafeModelError: It is absolute, climbs, or could mean something else on another system.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or any(sign in name for sign in ("\\", ":", "\0")):
        raise UnsafeModelError(
            f"{name!r} does not name a file inside the model's folder; "
            "expected a relative path with forward slashes and without '..'"
        )
    return name


def companion_file(model: StoredModel) -> str:
    """The file that a graph cannot be used without: its tokenizer, unless the specification names another.

    Args:
        model: The specification.

    Returns:
        Its name relative to the model's folder.
    """
    return str(getattr(model, "companion_file", TOKENIZER_FILE))


def specified_files(model: StoredModel) -> tuple[str, ...]:
    """The files that the specification names, the tokenizer, or what takes its place, included.

    Args:
        model: The specification.

    Returns:
        Names relative to the model's folder, each once.

    Raises:
        InputError: A name points outside the folder.
    """
    try:
        names = [safe_relative(name) for name in (model.model_file, *model.additional_files, companion_file(model))]
    except UnsafeModelError as error:
        raise InputError(f"model {model.name!r}: {error}") from error
    return tuple(dict.fromkeys(names))


def external_files(graph: Path, name: str) -> tuple[str, ...]:
    """The files in which a graph keeps its weights; a location outside the graph's folder is an `UnsafeModelError`.

    Args:
        graph: The graph on disk.
        name: Its name relative to the model's folder.

    Returns:
        Names relative to the model's folder.
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
    """Whether there is a file with at least one byte; a link to nothing is none.

    Args:
        path: The file.

    Returns:
        True when it can be used.
    """
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def absent(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some files that a folder lacks.

    Args:
        folder: The folder.
        names: Names relative to it.

    Returns:
        The absent ones, in the same order.
    """
    return tuple(name for name in names if not has_content(folder / name))


def missing_files(folder: Path, model: StoredModel) -> tuple[str, ...]:
    """What a folder lacks of the files that the specification names, external data included.

    Args:
        folder: The folder.
        model: The specification.

    Returns:
        The missing names; nothing when the folder can be used.
    """
    missing = absent(folder, specified_files(model))
    graphs = (model.model_file, *model.additional_files)
    return missing or tuple(file for graph in graphs for file in absent(folder, external_files(folder / graph, graph)))


def missing_from_any_layout(folder: Path, model: StoredModel) -> tuple[str, ...]:
    """What a folder lacks, where a graph in another usual place, or weights to compile, are as good.

    Args:
        folder: The folder.
        model: The specification.

    Returns:
        The missing names; nothing when the folder can be used.
    """
    missing = missing_files(folder, model)
    if not missing or not absent(folder, COMPILABLE_FILES):
        return ()
    for graph in GRAPH_LAYOUTS:
        if not absent(folder, (graph, companion_file(model))):
            return absent(folder, external_files(folder / graph, graph))
    return missing


def describe_needs(model: StoredModel) -> str:
    """What a folder must hold, for messages.

    Args:
        model: The specification.

    Returns:
        One clause.
    """
    return f"{' and '.join(specified_files(model))} (or {', '.join(COMPILABLE_FILES)})"

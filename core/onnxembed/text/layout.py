"""What the files of every text model have in common: a graph or weights, a tokenizer, an architecture."""

from __future__ import annotations

from pathlib import PurePosixPath

from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files, graph_name, has_weights
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.spec import TOKENIZER_FILE

_ADAPTER_FILE = "adapter_config.json"


def architectures(files: Files) -> tuple[str, ...]:
    """Read the class names that ``config.json`` gives; empty where it gives none."""
    named = files.json_object(CONFIG_FILE).get("architectures")
    return tuple(map(str, named)) if isinstance(named, list) else ()


def is_text_model(files: Files) -> bool:
    """Tell whether there are a graph or weights, and a tokenizer."""
    has_model = graph_name(files, GRAPH_LAYOUTS[0]) is not None or has_weights(files)
    return has_model and files.has(TOKENIZER_FILE)


def require_text_model(files: Files, body: str = "") -> str | None:
    """Give the graph, ``None`` where there are weights to compile; a `ModelNotFoundError` where a file is missing.

    ``body`` is the folder where all of them lie, relative to the model's.
    """
    layouts = [PurePosixPath(body, layout).as_posix() for layout in GRAPH_LAYOUTS]
    weights = PurePosixPath(body, WEIGHTS_FILE).as_posix()
    graph = next(filter(files.has, layouts), None) if body else graph_name(files, GRAPH_LAYOUTS[0])
    adapter = PurePosixPath(body, _ADAPTER_FILE).as_posix()
    if graph is None and files.has(adapter):
        raise UnsupportedModelError(
            f"{files.label(adapter)} says that an adapter (LoRA) changes the weights, which is not done here; merge "
            "the adapter into the weights and save them again, or take a repository with merged weights or an ONNX file"
        )
    if graph is None and not has_weights(files, body):
        raise ModelNotFoundError(f"{files.where} holds no model: expected one of {', '.join((*layouts, weights))}")
    require_tokenizer(files, body)
    return graph


def require_tokenizer(files: Files, body: str = "") -> None:
    """Refuse files without ``tokenizer.json`` as a `ModelNotFoundError`."""
    name = PurePosixPath(body, TOKENIZER_FILE).as_posix()
    if not files.has(name):
        raise ModelNotFoundError(f"{files.where} holds no {name}; expected the model's fast tokenizer there")

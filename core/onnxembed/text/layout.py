"""What the files of every text model have in common: a graph or weights, a tokenizer, an architecture."""

from __future__ import annotations

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.files import Files, graph_name, has_weights
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, WEIGHTS_FILE
from onnxembed.spec import TOKENIZER_FILE


def architectures(files: Files) -> tuple[str, ...]:
    """Read the class names that ``config.json`` gives; empty where it gives none."""
    named = files.json_object(CONFIG_FILE).get("architectures")
    return tuple(map(str, named)) if isinstance(named, list) else ()


def is_text_model(files: Files) -> bool:
    """Tell whether there are a graph or weights, and a tokenizer."""
    has_model = graph_name(files, GRAPH_LAYOUTS[0]) is not None or has_weights(files)
    return has_model and files.has(TOKENIZER_FILE)


def require_text_model(files: Files) -> str | None:
    """Give the graph, ``None`` where there are weights to compile; a `ModelNotFoundError` where a file is missing."""
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    if graph is None and not has_weights(files):
        tried = ", ".join((*GRAPH_LAYOUTS, WEIGHTS_FILE))
        raise ModelNotFoundError(f"{files.where} holds no model: expected one of {tried}")
    require_tokenizer(files)
    return graph


def require_tokenizer(files: Files) -> None:
    """Refuse files without ``tokenizer.json`` as a `ModelNotFoundError`."""
    if not files.has(TOKENIZER_FILE):
        raise ModelNotFoundError(f"{files.where} holds no {TOKENIZER_FILE}; expected the model's fast tokenizer there")

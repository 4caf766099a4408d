"""What the files of every text model have in common: a graph or weights, a tokenizer, stages, an architecture."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.errors import ModelNotFoundError, UnsafeModelError
from onnxembed.hub.files import Files, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, WEIGHTS_FILE, safe_relative
from onnxembed.spec import TOKENIZER_FILE

STAGES_FILE = "modules.json"
# Of names that every file system takes.
_LONGEST_PATH = 255
SETTINGS_FILE = "config_sentence_transformers.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a sentence-transformers model.

    Attributes:
        kind: Its class without the package, such as ``Pooling``; empty where the entry names none.
        path: Its folder; empty for the model's own.
    """

    kind: str
    path: str


def read_stages(files: Files) -> tuple[Stage, ...]:
    """Read ``modules.json``; empty where there is none. A stage outside the folder is an `UnsafeModelError`."""
    listed = files.json(STAGES_FILE)
    return tuple(_stage(entry) for entry in listed) if isinstance(listed, list) else ()


def _stage(entry: object) -> Stage:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        return Stage("", "")
    path = str(entry.get("path", "")).rstrip("/")
    if len(path) > _LONGEST_PATH:
        raise UnsafeModelError(
            f"{STAGES_FILE} names a folder of {len(path)} characters; expected one such as '1_Pooling'"
        )
    return Stage(entry["type"].rsplit(".", 1)[-1], "" if path in ("", ".") else safe_relative(path))


def architectures(files: Files) -> tuple[str, ...]:
    """Read the class names that ``config.json`` gives; empty where it gives none."""
    named = files.json_object(CONFIG_FILE).get("architectures")
    return tuple(map(str, named)) if isinstance(named, list) else ()


def is_text_model(files: Files) -> bool:
    """Tell whether there are a graph or weights, and a tokenizer."""
    has_model = graph_name(files, GRAPH_LAYOUTS[0]) is not None or files.has(WEIGHTS_FILE)
    return has_model and files.has(TOKENIZER_FILE)


def require_text_model(files: Files) -> str | None:
    """Give the graph, ``None`` where there are weights to compile; a `ModelNotFoundError` where a file is missing."""
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    if graph is None and not files.has(WEIGHTS_FILE):
        tried = ", ".join((*GRAPH_LAYOUTS, WEIGHTS_FILE))
        raise ModelNotFoundError(f"{files.where} holds no model: expected one of {tried}")
    require_tokenizer(files)
    return graph


def require_tokenizer(files: Files) -> None:
    """Refuse files without ``tokenizer.json`` as a `ModelNotFoundError`."""
    if not files.has(TOKENIZER_FILE):
        raise ModelNotFoundError(f"{files.where} holds no {TOKENIZER_FILE}; expected the model's fast tokenizer there")

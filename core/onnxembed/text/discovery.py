"""The description of a model in a local folder, read from its own metadata.

Folders written by sentence-transformers say how they pool (``modules.json``, ``1_Pooling/config.json``) and which
prompts they want (``config_sentence_transformers.json``). Folders of model2vec say that they are static
(``config.json``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.json_file import read_json_file, read_object
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub.folder import GRAPH_LAYOUTS, WEIGHTS_FILE, safe_relative
from onnxembed.spec import DenseModel, Matryoshka, PoolingType, Prompts

logger = logging.getLogger("onnxembed.models")

_POOLING_FLAGS: Mapping[str, PoolingType] = {
    "pooling_mode_cls_token": PoolingType.CLS,
    "pooling_mode_mean_tokens": PoolingType.MEAN,
    "pooling_mode_lasttoken": PoolingType.LAST_TOKEN,
}
_POOLING_NAMES: Mapping[str, PoolingType] = {
    "cls": PoolingType.CLS,
    "mean": PoolingType.MEAN,
    "lasttoken": PoolingType.LAST_TOKEN,
}
_Shape = tuple[int | str | None, ...]
_KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize", "StaticEmbedding"})


def describe_folder(folder: Path, pooling: PoolingType | None = None) -> DenseModel:
    """Describe the model in a folder.

    Stages that are not known here are refused as an `UnsupportedModelError`, one that is said to lie outside the folder
    as an `UnsafeModelError`.

    Args:
        folder: An existing folder.
        pooling: How token vectors become one; ``None`` for what the files say.

    Returns:
        A description whose name is the folder's path. Any Matryoshka length is allowed, since nothing is known of it.

    Raises:
        ModelNotFoundError: If the folder holds neither a graph nor weights, or no tokenizer.
    """
    graph = find_graph(folder, GRAPH_LAYOUTS[0])
    weights = folder / WEIGHTS_FILE
    if graph is None and not weights.is_file():
        tried = ", ".join((*GRAPH_LAYOUTS, WEIGHTS_FILE))
        raise ModelNotFoundError(f"the folder {folder} holds no model: expected one of {tried}")
    if not (folder / "tokenizer.json").is_file():
        raise ModelNotFoundError(
            f"the folder {folder} holds no tokenizer.json; expected the model's fast tokenizer there"
        )
    config = read_object(folder / "config.json")
    modules = _modules(folder)
    # Static models are published with a graph beside them; the table is smaller, faster, and takes no offsets.
    if weights.is_file() and (config.get("model_type") == "model2vec" or "StaticEmbedding" in modules):
        return DenseModel(
            name=str(folder),
            sources=(),
            dim=_dim(config, None),
            model_file=WEIGHTS_FILE,
            static=True,
            normalize=bool(config.get("normalize", True)),
            matryoshka=Matryoshka(),
        )
    shape = None if graph is None else inspect_graph(graph).outputs[0].shape
    return DenseModel(
        name=str(folder),
        sources=(),
        dim=_dim(config, shape),
        model_file=graph.relative_to(folder).as_posix() if graph is not None else GRAPH_LAYOUTS[0],
        pooling=_pooling(folder, modules, shape) if pooling is None else pooling,
        normalize="Normalize" in modules,
        prompts=_prompts(folder),
        matryoshka=Matryoshka(),
        description="described by the files of its folder",
    )


def _modules(folder: Path) -> dict[str, str]:
    """The stages of a sentence-transformers model: class name without its package, and folder."""
    listed = read_json_file(folder / "modules.json")
    modules: dict[str, str] = {}
    for module in listed if isinstance(listed, list) else []:
        if isinstance(module, dict) and isinstance(module.get("type"), str):
            where = str(module.get("path", "")).rstrip("/")
            modules[module["type"].rsplit(".", 1)[-1]] = "" if where in ("", ".") else safe_relative(where)
    unknown = sorted(set(modules) - _KNOWN_MODULES)
    if unknown:
        raise UnsupportedModelError(
            f"{folder / 'modules.json'} lists the stages {', '.join(unknown)}, which are not supported; "
            f"supported are {', '.join(sorted(_KNOWN_MODULES))}"
        )
    return modules


def _dim(config: Mapping[str, Any], shape: _Shape | None) -> int:
    """Numbers of a vector: those of the graph's output, else what the configuration says, else 0."""
    for size in (shape[-1] if shape else None, *(config.get(key) for key in ("hidden_size", "hidden_dim", "dim"))):
        if isinstance(size, int) and size > 0:
            return size
    return 0


def _pooling(folder: Path, modules: Mapping[str, str], shape: _Shape | None) -> PoolingType:
    """How the model pools."""
    if shape is not None and len(shape) == 2:
        return PoolingType.DISABLED
    where = modules.get("Pooling", "1_Pooling")
    config = read_object(folder / where / "config.json")
    chosen = [pooling for flag, pooling in _POOLING_FLAGS.items() if config.get(flag) is True]
    named = config.get("pooling_mode")
    if isinstance(named, str) and named in _POOLING_NAMES:
        chosen = [_POOLING_NAMES[named]]
    if len(chosen) > 1 or (config and not chosen):
        raise UnsupportedModelError(
            f"{folder / where / 'config.json'} asks for a pooling that is not supported; "
            f"supported is one of {', '.join(_POOLING_NAMES)}. Pass pooling= to choose another"
        )
    if not chosen:
        logger.warning("%s does not say how it pools; mean pooling is assumed. Pass pooling= to choose", folder)
        return PoolingType.MEAN
    return chosen[0]


def _prompts(folder: Path) -> Prompts:
    """The prompts of a sentence-transformers configuration; the passage side has had three names."""
    stored = read_object(folder / "config_sentence_transformers.json").get("prompts")
    if not isinstance(stored, dict):
        return Prompts()
    passage = next(
        (stored[name] for name in ("document", "passage", "corpus") if isinstance(stored.get(name), str)), ""
    )
    query = stored.get("query")
    return Prompts(query=query if isinstance(query, str) else "", passage=passage)

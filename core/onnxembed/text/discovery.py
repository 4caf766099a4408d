"""The description of a dense text model, read from its own files.

sentence-transformers writes how a model pools (``modules.json``, ``1_Pooling/config.json``) and which prompts it wants
(``config_sentence_transformers.json``); model2vec writes that it is static (``config.json``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import Files, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, WEIGHTS_FILE
from onnxembed.metadata.prompts import SETTINGS_FILE
from onnxembed.metadata.stages import STAGES_FILE, read_stages
from onnxembed.spec import PoolingType
from onnxembed.text.layout import architectures, is_text_model, require_text_model
from onnxembed.text.spec import DenseModel, Matryoshka, Prompts
from onnxembed.text.tokenizer_rules import text_config

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
_KNOWN_STAGES = frozenset({"Transformer", "Pooling", "Normalize", "StaticEmbedding"})


def matches(files: Files) -> bool:
    """Tell whether the files could be those of a dense model: a text encoder whose stages are known here.

    Architectures with a head are not, but masked-language models: many encoders are published as such.
    """
    if not is_text_model(files):
        return False
    stages = {stage.kind for stage in read_stages(files)}
    if stages:
        return stages <= _KNOWN_STAGES
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    facts = None if graph is None else files.graph(graph)
    if facts is not None and all(value.name != "input_ids" for value in facts.inputs):
        return False
    named = architectures(files)
    return not named or any("For" not in name or name.endswith("ForMaskedLM") for name in named)


def describe(files: Files, pooling: PoolingType | None = None) -> DenseModel:
    """Describe the model that some files are of.

    Stages that are not known here are refused as an `UnsupportedModelError`, one that is said to lie outside the folder
    as an `UnsafeModelError`.

    Args:
        files: The files.
        pooling: How token vectors become one; ``None`` for what the files say.

    Returns:
        The description. Any Matryoshka length is allowed, since nothing is known of it. Of a graph that is not here
        yet, the length of its vectors and a pooling of its own remain open.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
    """
    graph = require_text_model(files)
    config = files.json_object(CONFIG_FILE)
    stages = _stages(files)
    # Static models are published with a graph beside them; the table is smaller, faster, and takes no offsets.
    if files.has(WEIGHTS_FILE) and (config.get("model_type") == "model2vec" or "StaticEmbedding" in stages):
        return DenseModel(
            name=files.model_name,
            sources=files.sources,
            dim=_dim(config, None),
            model_file=WEIGHTS_FILE,
            static=True,
            normalize=bool(config.get("normalize", True)),
            matryoshka=Matryoshka(),
        )
    facts = None if graph is None else files.graph(graph)
    shape = None if facts is None else facts.outputs[0].shape
    return DenseModel(
        name=files.model_name,
        sources=files.sources,
        dim=_dim(config, shape),
        model_file=graph or GRAPH_LAYOUTS[0],
        pooling=_pooling(files, stages, shape) if pooling is None else pooling,
        normalize="Normalize" in stages,
        prompts=_prompts(files),
        matryoshka=Matryoshka(),
        description="described by the files of its folder",
    )


def _stages(files: Files) -> dict[str, str]:
    """The folder of each stage by its kind, all of them known here."""
    stages = {stage.kind: stage.path for stage in read_stages(files) if stage.kind}
    unknown = sorted(set(stages) - _KNOWN_STAGES)
    if unknown:
        raise UnsupportedModelError(
            f"{files.label(STAGES_FILE)} lists the stages {', '.join(unknown)}, which are not supported; "
            f"supported are {', '.join(sorted(_KNOWN_STAGES))}"
        )
    return stages


def _dim(config: Mapping[str, Any], shape: _Shape | None) -> int:
    """Numbers of a vector: those of the graph's output, else what the configuration says, else 0."""
    sizes = [part.get(key) for part in (config, text_config(config)) for key in ("hidden_size", "hidden_dim", "dim")]
    for size in (shape[-1] if shape else None, *sizes):
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
    return 0


def _pooling(files: Files, stages: Mapping[str, str], shape: _Shape | None) -> PoolingType:
    if shape is not None and len(shape) == 2:
        return PoolingType.DISABLED
    name = PurePosixPath(stages.get("Pooling", "1_Pooling"), CONFIG_FILE).as_posix()
    config = files.json_object(name)
    chosen = [pooling for flag, pooling in _POOLING_FLAGS.items() if config.get(flag) is True]
    named = config.get("pooling_mode")
    if isinstance(named, str) and named in _POOLING_NAMES:
        chosen = [_POOLING_NAMES[named]]
    if len(chosen) > 1 or (config and not chosen):
        raise UnsupportedModelError(
            f"{files.label(name)} asks for a pooling that is not supported; "
            f"supported is one of {', '.join(_POOLING_NAMES)}. Pass pooling= to choose another"
        )
    if not chosen:
        logger.warning("%s does not say how it pools; mean pooling is assumed. Pass pooling= to choose", files.where)
        return PoolingType.MEAN
    return chosen[0]


def _prompts(files: Files) -> Prompts:
    """The prompts of a sentence-transformers configuration; that of documents has had three names."""
    stored = files.json_object(SETTINGS_FILE).get("prompts")
    if not isinstance(stored, dict):
        return Prompts()
    passage = next(
        (stored[name] for name in ("document", "passage", "corpus") if isinstance(stored.get(name), str)), ""
    )
    query = stored.get("query")
    return Prompts(query=query if isinstance(query, str) else "", passage=passage)

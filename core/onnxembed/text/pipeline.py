"""One way through the stages of a dense model, described: a transformer or a table, the pooling, and what follows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.stages import Stage, require_known
from onnxembed.metadata.tokenizer import read_tokenizer_settings
from onnxembed.metadata.transformer import check_arguments, check_task, transformer_facts
from onnxembed.spec import PoolingType
from onnxembed.text.halves import as_text_half, is_text_half
from onnxembed.text.layout import require_text_model
from onnxembed.text.spec import DenseModel
from onnxembed.text.tasks import with_tasks
from onnxembed.text.tokenizer_rules import text_config
from onnxembed.text.vector_stage import NORMALIZE, StageKind, VectorStage, read_dense, read_layer_norm, read_normalize

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts

logger = logging.getLogger("onnxembed.models")

KNOWN_STAGES = frozenset({"Transformer", "Pooling", "Normalize", "StaticEmbedding", "Dense", "LayerNorm", "Dropout"})
_FLAGS: Mapping[str, PoolingType] = {
    "pooling_mode_cls_token": PoolingType.CLS,
    "pooling_mode_max_tokens": PoolingType.MAX,
    "pooling_mode_mean_tokens": PoolingType.MEAN,
    "pooling_mode_mean_sqrt_len_tokens": PoolingType.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": PoolingType.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": PoolingType.LAST_TOKEN,
}
"""The flags of older files, in the order in which several are joined."""
_NAMES: Mapping[str, PoolingType] = {
    "cls": PoolingType.CLS,
    "max": PoolingType.MAX,
    "mean": PoolingType.MEAN,
    "mean_sqrt_len_tokens": PoolingType.MEAN_SQRT_LEN,
    "weightedmean": PoolingType.WEIGHTED_MEAN,
    "lasttoken": PoolingType.LAST_TOKEN,
}
_Shape = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class Pooling:
    """What a Pooling stage says: the poolings that are joined, and whether the tokens of a prompt count."""

    poolings: tuple[PoolingType, ...]
    with_prompt: bool = True


_OWN = Pooling((PoolingType.DISABLED,))


def describe_pipeline(files: Files, stages: tuple[Stage, ...], chosen: PoolingType | None) -> DenseModel:
    """Describe the model that some stages make; without any, the one that a transformer alone makes.

    Args:
        files: The files.
        stages: The stages, from the first to the last.
        chosen: How token vectors become one; ``None`` for what the files say.

    Returns:
        The description, without what is said of all ways through a model, such as prompts.
    """
    require_known(files, stages, KNOWN_STAGES)
    first = stages[0] if stages else None
    body = first.path if first is not None and first.kind in ("Transformer", "StaticEmbedding") else ""
    config = files.facts(PurePosixPath(body, CONFIG_FILE).as_posix())
    model2vec = is_model2vec(config)
    if (first is not None and first.kind == "StaticEmbedding") or (
        model2vec and files.has(PurePosixPath(body, WEIGHTS_FILE).as_posix())
    ):
        return _static(files, body, stages[1:], config if model2vec else None)
    return _transformer(files, body, stages, chosen)


def is_model2vec(config: Facts) -> bool:
    """Tell whether a ``config.json`` is that of a table of model2vec."""
    return bool(config.value("model_type") == "model2vec")


def _transformer(files: Files, body: str, stages: tuple[Stage, ...], chosen: PoolingType | None) -> DenseModel:
    if stages and stages[0].kind != "Transformer":
        raise UnsupportedModelError(
            f"{stages[0].entry.where}: the first stage is {stages[0].kind}; expected Transformer or StaticEmbedding"
        )
    graph = require_text_model(files, body)
    transformer = transformer_facts(files, body)
    check_task(transformer, "feature-extraction", "last_hidden_state", "token_embeddings")
    check_arguments(transformer)
    facts = None if graph is None else files.graph(graph)
    if graph is not None and facts is not None and all(output.name == "logits" for output in facts.outputs):
        raise UnsupportedModelError(
            f"{files.label(graph)} gives logits alone, those of a reranker, a classifier or a masked language model, "
            "and no token vectors; open it by the class of its kind (TextCrossEncoder, SparseTextEmbedding), or export "
            "it for feature extraction"
        )
    shape = None if facts is None else facts.outputs[0].shape
    model_type = files.json_object(PurePosixPath(body, CONFIG_FILE).as_posix()).get("model_type")
    half = model_type if not stages and is_text_half(model_type) else None
    pooling = _OWN if half and graph is None else _pooling(files, stages, shape, chosen)
    after = _vector_stages(files, [stage for stage in stages[1:] if stage.kind != "Pooling"])
    if shape is not None and len(shape) == 2:
        after = _outside(files, after, shape[-1], chosen)
    hidden = _hidden(files, body, shape)
    width = hidden * len(pooling.poolings)
    for stage in after:
        if stage.inputs is not None and width and stage.inputs != width:
            raise ModelError(
                f"{files.label(stage.folder)}: the stage takes vectors of {stage.inputs} numbers, but those before it "
                f"have {width}; fetch the model's configurations again"
            )
        width = stage.outputs or width
    model = DenseModel(
        name=files.model_name,
        sources=files.sources,
        dim=width,
        model_file=graph or PurePosixPath(body, GRAPH_LAYOUTS[0]).as_posix(),
        additional_files=tuple(stage.weights_file for stage in after if stage.folder),
        body_folder=body,
        tokenizer=read_tokenizer_settings(files, body, stored=bool(stages)),
        pooling=pooling.poolings[0],
        further_poolings=pooling.poolings[1:],
        pools_prompt=pooling.with_prompt,
        **_ending(after),
    )
    if half:
        return as_text_half(model, half, compiled=graph is None)
    return with_tasks(model, files.facts(PurePosixPath(body, CONFIG_FILE).as_posix()), compiled=graph is None)


def _static(files: Files, body: str, stages: tuple[Stage, ...], model2vec: Facts | None) -> DenseModel:
    """Describe a table of token vectors; ``model2vec`` is the configuration of a model of that library."""
    table = PurePosixPath(body, WEIGHTS_FILE).as_posix()
    pickled = PurePosixPath(body, "pytorch_model.bin").as_posix()
    if not files.has(table):
        if files.has(pickled):
            raise UnsupportedModelError(
                f"{files.label(pickled)}: the table is pickled, which is never read; save the model again as "
                "safetensors"
            )
        raise ModelNotFoundError(f"{files.label(table)} is missing; expected the table of token vectors there")
    after = _vector_stages(files, list(stages))
    width = 0
    if model2vec is not None:
        width = model2vec.optional_whole("hidden_dim") or 0
        model2vec.expect("pooling", ("mean",), "mean")
        if model2vec.flag("normalize", True) and NORMALIZE not in after:
            after = (*after, NORMALIZE)
    for stage in after:
        width = stage.outputs or width
    return DenseModel(
        name=files.model_name,
        sources=files.sources,
        dim=width,
        model_file=table,
        additional_files=tuple(stage.weights_file for stage in after if stage.folder),
        body_folder=body,
        static=True,
        counts_unknown=model2vec is None,
        **_ending(after),
    )


def _ending(stages: tuple[VectorStage, ...]) -> dict[str, Any]:
    """The stages, and whether vectors are scaled at the very end, which a caller may change."""
    if stages and stages[-1] is NORMALIZE:
        return {"stages": stages[:-1], "normalize": True}
    return {"stages": stages, "normalize": False}


def _pooling(files: Files, stages: tuple[Stage, ...], shape: _Shape | None, chosen: PoolingType | None) -> Pooling:
    """What the files say of the pooling, or the caller; a graph that has pooled by itself stays as it is."""
    listed = [stage for stage in stages if stage.kind == "Pooling"]
    if len(listed) > 1 or (listed and stages.index(listed[0]) != 1):
        raise UnsupportedModelError(f"{listed[-1].entry.where}: Pooling is expected once, after the first stage")
    name = listed[0].file(CONFIG_FILE) if listed else PurePosixPath("1_Pooling", CONFIG_FILE).as_posix()
    stated = read_pooling(files.facts(name)) if files.has(name) and (listed or not stages) else None
    if chosen is not None:
        return Pooling((chosen,), stated is None or stated.with_prompt or chosen is PoolingType.DISABLED)
    if shape is not None and len(shape) == 2:
        if stated is not None and not stated.with_prompt:
            raise UnsupportedModelError(
                f"{files.label(name)}: include_prompt is false, but the graph pools by itself, prompts included; pass "
                "pooling='DISABLED' to take its vectors as they are"
            )
        return Pooling((PoolingType.DISABLED,))
    if stated is not None:
        return stated
    if stages and not listed:
        raise UnsupportedModelError(
            f"{stages[0].entry.where} gives one vector per token, and no Pooling follows; pass pooling= to choose one"
        )
    logger.warning("%s does not say how it pools; mean pooling is assumed. Pass pooling= to choose", files.where)
    return Pooling((PoolingType.MEAN,))


def read_pooling(config: Facts) -> Pooling:
    """Read the file of a Pooling stage: the names of newer versions, else the flags of older ones, else the mean."""
    flagged = tuple(pooling for flag, pooling in _FLAGS.items() if config.flag(flag, False))
    for key in ("word_embedding_dimension", "embedding_dimension"):
        config.optional_whole(key)
    with_prompt = config.flag("include_prompt", True)
    named = config.value("pooling_mode")
    if named is None:
        return Pooling(flagged or (PoolingType.MEAN,), with_prompt)
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise config.wrong("pooling_mode", named, f"one or several of {', '.join(_NAMES)}")
    unknown = [name for name in names if name not in _NAMES]
    if unknown:
        raise UnsupportedModelError(
            f"{config.where} asks for a pooling that is not supported ({', '.join(unknown)}); "
            f"supported are {', '.join(_NAMES)}. Pass pooling= to choose another"
        )
    return Pooling(tuple(_NAMES[name] for name in names), with_prompt)


def _vector_stages(files: Files, stages: list[Stage]) -> tuple[VectorStage, ...]:
    read: list[VectorStage] = []
    for stage in stages:
        if stage.kind == "Dense":
            read.append(read_dense(files, stage))
        elif stage.kind == "LayerNorm":
            read.append(read_layer_norm(files, stage))
        elif stage.kind == "Normalize":
            read.append(read_normalize(files, stage))
        elif stage.kind == "Dropout":
            stage.config(files).number("dropout", 0.0)  # only while training
        else:
            raise UnsupportedModelError(f"{stage.entry.where}: {stage.kind} is expected as the first stage alone")
    return tuple(read)


def _outside(
    files: Files, stages: tuple[VectorStage, ...], width: int | str | None, chosen: PoolingType | None
) -> tuple[VectorStage, ...]:
    """The stages that follow a graph that has pooled by itself: all, or where it holds them, the last scaling alone."""
    sized = [stage for stage in stages if stage.kind is not StageKind.NORMALIZE]
    if not sized:
        return stages
    inputs, outputs = sized[0].inputs, sized[-1].outputs
    if isinstance(width, int) and inputs != outputs and width == inputs:
        return stages
    if chosen is PoolingType.DISABLED or (isinstance(width, int) and inputs != outputs and width == outputs):
        return tuple(stage for stage in stages[-1:] if stage.kind is StageKind.NORMALIZE)
    raise UnsupportedModelError(
        f"the graph in {files.where} gives one vector of {width} numbers per text, and does not say whether "
        f"{', '.join(stage.folder for stage in sized)} are part of it; pass pooling='DISABLED' where they are"
    )


def _hidden(files: Files, body: str, shape: _Shape | None) -> int:
    """Numbers of a token's vector: those of the graph's output, else what the configuration says, else 0."""
    config = files.json_object(PurePosixPath(body, CONFIG_FILE).as_posix())
    sizes = [part.get(key) for part in (config, text_config(config)) for key in ("hidden_size", "hidden_dim", "dim")]
    for size in (shape[-1] if shape else None, *sizes):
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
    return 0

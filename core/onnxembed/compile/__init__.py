"""Makes ONNX files from ``safetensors`` weights and ``config.json``, without PyTorch.

A new architecture is one file in ``architectures/`` and one line in its table; every head ends every body.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.compile.architectures import ARCHITECTURES
from onnxembed.compile.checkpoint import Checkpoint, find_weights, read_config
from onnxembed.compile.config_keys import HARMLESS, check_common_keys
from onnxembed.compile.graph_builder import LARGEST_INLINE_BYTES, OPSET_WITH_LENGTHS
from onnxembed.compile.heads import add_head, check_head, head_weights
from onnxembed.compile.operators import StandIns
from onnxembed.errors import InputError, ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.runtime.provider_traits import Operators
from onnxembed.spec import GraphHead, PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.architecture import Architecture
    from onnxembed.compile.body import Body


def compile_model(
    folder: Path,
    target: Path,
    *,
    pooling: PoolingType | Sequence[PoolingType] = PoolingType.DISABLED,
    head: GraphHead = GraphHead.VECTORS,
    tokens: Sequence[int] = (),
    single_file: bool = True,
    accepted: Collection[str] = (),
    operators: Operators = Operators.FUSED,
    show_progress: bool | None = None,
) -> tuple[Path, ...]:
    """Make an ONNX file from the weights and the configuration in a folder.

    The graph takes ``input_ids``, ``attention_mask`` and, of models that have them, ``token_type_ids``, ``int64[batch,
    sequence]``, and gives ``last_hidden_state`` (batch, sequence, hidden), then, unless pooling is disabled,
    ``pooled`` and ``sentence_embedding``, the same scaled to length 1 (both batch, hidden times poolings), all
    ``float32``; with another head, what `GraphHead` says, ``float32`` too. Padding is on the right.

    Args:
        folder: Where ``config.json`` is, and ``model.safetensors`` or the index of several files.
        target: The ``.onnx`` file to write; it appears whole or not at all, and replaces one that is there.
        pooling: How token vectors become one vector; several are joined in their order. Disabled for every head that
            gives no vectors.
        head: What the graph gives.
        tokens: The ids whose logits ``GraphHead.TOKEN_LOGITS`` gives; none for every other head.
        single_file: Whether the weights go into the ``.onnx`` file, where its format has room. Otherwise they go to
            ``<target>.data`` beside it, which ONNX Runtime maps instead of copying: it starts several times faster.
        accepted: Keys of ``config.json`` that are not known here and may be passed over; see `Facts.finish`.
        operators: What it is made of. With lengths in place of the mask, the tokens of each text must come first.
        show_progress: Whether a bar on standard error counts the tensors, where they go beside the file.

    Returns:
        The files written, the ``.onnx`` file first.

    Raises:
        InputError: A pooling is given with a head that gives no vectors, or tokens with a head that gives no logits of
            tokens, or none of those where it does, or one that the vocabulary lacks.
        UnsupportedModelError: The architecture, one of its settings, or a key is not known here, or the installed ONNX
            Runtime is too old for it.
        ModelError: The files are missing or damaged, or do not fit each other.
        OSError: The target cannot be written.
    """
    poolings = (pooling,) if isinstance(pooling, PoolingType) else tuple(pooling)
    if head is not GraphHead.VECTORS and poolings != (PoolingType.DISABLED,):
        raise InputError(
            f"pooling={pooling} with head={head}, which gives no vectors to pool; pass pooling=PoolingType.DISABLED"
        )
    if tokens and head is not GraphHead.TOKEN_LOGITS:
        raise InputError(f"tokens={tuple(tokens)} with head={head}; they go with head=GraphHead.TOKEN_LOGITS")
    config = read_config(folder)
    architecture = _architecture(config, head)
    with Checkpoint(config, architecture.names, find_weights(folder)) as checkpoint:
        body = _prepared(architecture, checkpoint, head, accepted)
        checkpoint.check_weights({**body.weights, **head_weights(body, head)}, body.unused)
        if operators is not Operators.FUSED:
            body.into.graph.stand_ins = StandIns(operators)
        if operators is Operators.STANDARD_ATTENTION:
            body.into.graph.raise_opset(OPSET_WITH_LENGTHS)
        add_head(body, head, poolings, tokens)
        return body.into.graph.write(
            target, largest_inline_bytes=LARGEST_INLINE_BYTES if single_file else 0, show_progress=show_progress
        )


def refusal(
    config: Facts, *, head: GraphHead = GraphHead.VECTORS, accepted: Collection[str] = ()
) -> UnsupportedModelError | ModelError | None:
    """Tell from the configuration alone why weights cannot be compiled; ``None`` where nothing speaks against it.

    Args:
        config: ``config.json``, read before the weights are fetched.
        head: What the graph would give.
        accepted: Keys of ``config.json`` that are passed over unknown, as `compile_model` takes them.

    Returns:
        The error that `compile_model` would raise.
    """
    try:
        architecture = _architecture(config, head)
        _prepared(architecture, Checkpoint(config, architecture.names, None), head, accepted)
    except ModelError as error:
        return error
    return None


def _architecture(config: Facts, head: GraphHead) -> Architecture:
    """Find the family that serves a configuration; of two halves, the one that a head belongs to."""
    model_type, names = config.text("model_type", ""), config.texts("architectures")
    name = names[0] if names else ""
    families = [family for family in ARCHITECTURES if family.serves(config)]
    families.sort(key=lambda family: family.setting is None)
    if not families:
        known = sorted({served for family in ARCHITECTURES for served in family.model_types})
        raise UnsupportedModelError(
            f"{config.where}: the architecture {model_type or name or 'unnamed'!r} cannot be compiled; known here: "
            f"{', '.join(known)}. Use a model that comes with an ONNX file"
        )
    pictures = head is GraphHead.PICTURE_VECTOR
    families = [family for family in families if family.reads_pictures is pictures]
    if not families:
        reads = "texts" if pictures else "pictures"
        raise UnsupportedModelError(f"{config.where}: a model of type {model_type!r} reads {reads} alone")
    for family in families:
        if not name or name in family.classes:
            return family
    classes = [served for family in families for served in family.classes]
    raise UnsupportedModelError(
        f"{config.where}: the architecture {name!r} cannot be compiled; known here: {', '.join(classes)}. Use a model "
        "that comes with an ONNX file"
    )


def _prepared(architecture: Architecture, checkpoint: Checkpoint, head: GraphHead, accepted: Collection[str]) -> Body:
    """Describe the body, and refuse what the configuration says beyond what was read."""
    body = architecture.prepare(checkpoint)
    check_head(body, head)
    check_common_keys(checkpoint.config)
    checkpoint.config.finish(HARMLESS, accepted)
    body.into.graph.check_runtime(checkpoint.config.where)
    return body

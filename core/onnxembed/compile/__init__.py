"""Makes ONNX files from ``safetensors`` weights and ``config.json``, without PyTorch.

A new architecture is one file in ``architectures/`` and one line in the table below; every head ends every body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from onnxembed.compile.architectures.bert import bert
from onnxembed.compile.body import Body
from onnxembed.compile.checkpoint import Checkpoint
from onnxembed.compile.graph_builder import LARGEST_INLINE_BYTES
from onnxembed.compile.heads import add_head, head_weights
from onnxembed.errors import InputError, UnsupportedModelError
from onnxembed.spec import GraphHead, PoolingType

# By the model_type of config.json: what prepares the body.
_ARCHITECTURES: Mapping[str, Callable[[Checkpoint], Body]] = {
    "bert": bert,
}


def compile_model(
    folder: Path,
    target: Path,
    *,
    pooling: PoolingType = PoolingType.DISABLED,
    head: GraphHead = GraphHead.VECTORS,
    single_file: bool = True,
) -> tuple[Path, ...]:
    """Make an ONNX file from the weights and the configuration in a folder.

    The graph takes ``input_ids``, ``attention_mask`` and ``token_type_ids``, ``int64[batch, sequence]``, and gives
    ``last_hidden_state`` (batch, sequence, hidden), then, unless pooling is disabled, ``pooled`` and
    ``sentence_embedding``, the same scaled to length 1 (both batch, hidden), all ``float32``; with another head, what
    `GraphHead` says, ``float32`` too.

    Args:
        folder: Where ``config.json`` and ``model.safetensors`` are.
        target: The ``.onnx`` file to write; it appears whole or not at all, and replaces one that is there.
        pooling: How token vectors become one vector; disabled for every head that gives no vectors.
        head: What the graph gives.
        single_file: Whether the weights go into the ``.onnx`` file, where its format has room. Otherwise they go to
            ``<target>.data`` beside it, which ONNX Runtime maps instead of copying: it starts several times faster.

    Returns:
        The files written, the ``.onnx`` file first.

    Raises:
        InputError: A pooling is given with a head that gives no vectors.
        UnsupportedModelError: The architecture, or one of its settings, is not known here.
        ModelError: The files are missing or damaged, or do not fit each other.
        OSError: The target cannot be written.
    """
    if head is not GraphHead.VECTORS and pooling is not PoolingType.DISABLED:
        raise InputError(
            f"pooling={pooling} with head={head}, which gives no vectors to pool; pass pooling=PoolingType.DISABLED"
        )
    with Checkpoint(folder) as checkpoint:
        prepare = _ARCHITECTURES.get(checkpoint.model_type)
        if prepare is None:
            given = checkpoint.model_type or checkpoint.architecture or "unnamed"
            raise UnsupportedModelError(
                f"{folder}: the architecture {given!r} cannot be compiled; known here: "
                f"{', '.join(sorted(_ARCHITECTURES))}. Use a model that comes with an ONNX file"
            )
        body = prepare(checkpoint)
        checkpoint.check_weights({**body.weights, **head_weights(body, head)}, body.unused)
        add_head(body, head, pooling)
        return body.into.graph.write(target, largest_inline_bytes=LARGEST_INLINE_BYTES if single_file else 0)

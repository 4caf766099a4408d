"""Makes ONNX files from ``safetensors`` weights and ``config.json``, without PyTorch.

One file an architecture; the table below is where a new one is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError
from onnxembed.models.compile.bert import build_bert
from onnxembed.models.compile.checkpoint import Checkpoint
from onnxembed.models.compile.graph_builder import LARGEST_INLINE_BYTES, GraphBuilder

if TYPE_CHECKING:
    from onnxembed.models.spec import PoolingType

_ARCHITECTURES: Mapping[str, Callable[[Checkpoint, PoolingType], GraphBuilder]] = {
    "bert": build_bert,
}


def compile_model(folder: Path, target: Path, *, pooling: PoolingType, single_file: bool = True) -> tuple[Path, ...]:
    """Make an ONNX file from the weights and the configuration in a folder.

    The graph takes ``input_ids``, ``attention_mask`` and ``token_type_ids``, ``int64[batch, sequence]``, and gives
    ``last_hidden_state`` (batch, sequence, hidden), then, unless pooling is disabled, ``pooled`` and
    ``sentence_embedding``, the same scaled to length 1 (both batch, hidden), all ``float32``.

    Args:
        folder: Where ``config.json`` and ``model.safetensors`` are.
        target: The ``.onnx`` file to write; it appears whole or not at all, and replaces one that is there.
        pooling: How token vectors become one vector.
        single_file: Whether the weights go into the ``.onnx`` file, as long as its format allows it. Otherwise they go
            to ``<target>.data`` beside it, which ONNX Runtime maps instead of copying: it starts several times faster.

    Returns:
        The files written, the ``.onnx`` file first.

    Raises:
        UnsupportedModelError: The architecture, or a setting of it, is not known here.
        ModelError: The files are missing or damaged, or do not fit each other.
        OSError: The target cannot be written.
    """
    with Checkpoint(folder) as checkpoint:
        build = _ARCHITECTURES.get(checkpoint.model_type)
        if build is None:
            given = checkpoint.model_type or checkpoint.architecture or "unnamed"
            raise UnsupportedModelError(
                f"{folder}: the architecture {given!r} cannot be compiled; known here: "
                f"{', '.join(sorted(_ARCHITECTURES))}. Use a model that comes with an ONNX file"
            )
        graph = build(checkpoint, pooling)
        return graph.write(target, largest_inline_bytes=LARGEST_INLINE_BYTES if single_file else 0)

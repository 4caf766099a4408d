"""Text halves whose vectors are given as the graph has them."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class CLIPOnnxEmbedding(TextEmbeddingBase):
    """Text halves whose vectors are given as the graph has them."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return (
            isinstance(spec, DenseModel)
            and spec.pooling is PoolingType.DISABLED
            and spec.output == 0
            and not spec.normalize
        )

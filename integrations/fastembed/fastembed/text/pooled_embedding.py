"""Models whose vectors are the mean of their tokens."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class PooledEmbedding(TextEmbeddingBase):
    """Models whose vectors are the mean of their tokens."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.pooling is PoolingType.MEAN and not spec.normalize

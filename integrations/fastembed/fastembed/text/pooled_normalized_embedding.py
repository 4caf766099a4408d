"""Models whose vectors are the mean of their tokens, scaled to length 1."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class PooledNormalizedEmbedding(TextEmbeddingBase):
    """Models whose vectors are the mean of their tokens, scaled to length 1."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return (
            isinstance(spec, DenseModel)
            and spec.pooling is PoolingType.MEAN
            and spec.normalize
            and not spec.tasks
            and not spec.static
        )

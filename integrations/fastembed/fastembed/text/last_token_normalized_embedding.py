"""Models whose last token stands for the text."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class LastTokenNormalizedEmbedding(TextEmbeddingBase):
    """Models whose last token stands for the text."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.pooling is PoolingType.LAST_TOKEN

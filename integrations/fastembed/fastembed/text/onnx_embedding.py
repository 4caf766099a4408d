"""Models whose first token stands for the text, or whose graph gives one vector per text."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class OnnxTextEmbedding(TextEmbeddingBase):
    """Models whose first token stands for the text, or whose graph gives one vector per text."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.pooling is PoolingType.CLS

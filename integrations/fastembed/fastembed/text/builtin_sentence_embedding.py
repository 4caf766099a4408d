"""Models whose graph gives a vector per text as its second output."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel
from onnxembed.adapters.inside import ModelSpec


class BuiltinSentenceEmbedding(TextEmbeddingBase):
    """Models whose graph gives a vector per text as its second output."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.output == 1

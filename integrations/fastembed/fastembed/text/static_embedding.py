"""Tables of token vectors (model2vec)."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel
from onnxembed.adapters.inside import ModelSpec


class StaticTextEmbedding(TextEmbeddingBase):
    """Tables of token vectors (model2vec), which are mapped and never copied; they have no session."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.static

"""Text halves that read the last position even if it is padding."""

from __future__ import annotations

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel
from onnxembed.adapters.inside import ModelSpec


class SiglipOnnxTextEmbedding(TextEmbeddingBase):
    """Text halves that read the last position even if it is padding."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and spec.pad_to_max_length

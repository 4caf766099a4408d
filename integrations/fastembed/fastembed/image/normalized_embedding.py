"""Models whose first token stands for the image."""

from __future__ import annotations

from fastembed.image.image_embedding_base import ImageEmbeddingBase
from onnxembed import ImageModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class NormalizedEmbedding(ImageEmbeddingBase):
    """Models whose first token stands for the image."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, ImageModel) and spec.pooling is PoolingType.CLS

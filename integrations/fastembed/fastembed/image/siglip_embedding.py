"""Models whose graph names its vector."""

from __future__ import annotations

from fastembed.image.image_embedding_base import ImageEmbeddingBase
from onnxembed import ImageModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class SiglipOnnxImageEmbedding(ImageEmbeddingBase):
    """Models whose graph names its vector."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, ImageModel) and spec.pooling is PoolingType.DISABLED and spec.output != 0

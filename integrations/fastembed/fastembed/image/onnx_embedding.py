"""Models whose graph gives one vector per image as its first output."""

from __future__ import annotations

from fastembed.image.image_embedding_base import ImageEmbeddingBase
from onnxembed import ImageModel, PoolingType
from onnxembed.adapters.inside import ModelSpec


class OnnxImageEmbedding(ImageEmbeddingBase):
    """Models whose graph gives one vector per image as its first output."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, ImageModel) and spec.pooling is PoolingType.DISABLED and spec.output == 0

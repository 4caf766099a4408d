"""`ImageEmbedding`, the public class of image models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import VectorFacade
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.types import ImageInput, NumpyArray
from fastembed.image.image_embedding_base import ImageEmbeddingBase
from fastembed.image.normalized_embedding import NormalizedEmbedding
from fastembed.image.onnx_embedding import OnnxImageEmbedding
from fastembed.image.siglip_embedding import SiglipOnnxImageEmbedding


class ImageEmbedding(VectorFacade[DenseModelDescription, ImageEmbeddingBase]):
    """Image embeddings."""

    EMBEDDINGS_REGISTRY: ClassVar[list[type[ImageEmbeddingBase]]] = [
        OnnxImageEmbedding,
        NormalizedEmbedding,
        SiglipOnnxImageEmbedding,
    ]

    @classmethod
    def _families(cls) -> list[type[ImageEmbeddingBase]]:
        return cls.EMBEDDINGS_REGISTRY

    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: SupportsIndex = 16,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one image or any iterable of images.

        Args:
            images: Paths and images of PIL, which may be mixed.
            batch_size: Most images in a batch.
            parallel: Batches run at once, by threads; 0 for one per usable processor.
            **kwargs: Passed over.

        Yields:
            A vector (dim,) per image, in order.
        """
        yield from self.model.embed(images, batch_size, parallel, **kwargs)

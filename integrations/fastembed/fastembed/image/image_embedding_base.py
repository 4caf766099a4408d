"""The methods of image models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import ImageInput, NumpyArray
from onnxembed import ImageEmbedding, ImageModel
from onnxembed.adapters.inside import catalogue_of


class ImageEmbeddingBase(OnnxModel[ImageEmbedding], ModelManagement[DenseModelDescription]):
    """A family of image models. Results begin at the first step."""

    core_class = ImageEmbedding

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        return [found for spec in catalogue_of(ImageEmbedding) if cls.holds(spec) and (found := _description(spec))]

    @property
    def embedding_size(self) -> int:
        """Numbers of a vector."""
        return self._core.embedding_size

    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: SupportsIndex = 16,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one image or any iterable of images, paths and PIL's mixed: (dim,) each, in order."""
        self._used = True
        yield from self._core.embed(images, *batches_of(batch_size, parallel))


def _description(spec: ImageModel) -> DenseModelDescription | None:
    fields = described(spec)
    return None if fields is None else DenseModelDescription(**fields, dim=spec.dim)

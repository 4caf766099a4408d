"""The methods of late-interaction models of texts and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import ImageInput, NumpyArray
from onnxembed import LateInteractionMultimodalEmbedding, MultimodalKind, MultimodalModel
from onnxembed.adapters.inside import ModelSpec, catalogue_of


class LateInteractionMultimodalEmbeddingBase(
    OnnxModel[LateInteractionMultimodalEmbedding], ModelManagement[DenseModelDescription]
):
    """A family of models that give one vector per token of texts and pictures. Results begin at the first step."""

    core_class = LateInteractionMultimodalEmbedding
    kind: ClassVar[MultimodalKind]

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, MultimodalModel) and spec.kind is cls.kind

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        listed = (spec for spec in catalogue_of(LateInteractionMultimodalEmbedding) if cls.holds(spec))
        return [found for spec in listed if (found := _description(spec))]

    @property
    def embedding_size(self) -> int:
        """Numbers of a token vector."""
        return self._core.embedding_size

    def embed_text(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed texts, as queries: (tokens, dim) each, in order; without rows of padding."""
        self._used = True
        yield from self._core.embed_text(documents, *batches_of(batch_size, parallel))

    def embed_image(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: SupportsIndex = 2,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed pictures: (tokens, dim) each, in order."""
        self._used = True
        yield from self._core.embed_image(images, *batches_of(batch_size, parallel))

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: SupportsIndex = 1024,
        include_extension: bool = False,
        **kwargs: Any,
    ) -> int:
        """Count tokens; with ``include_extension`` those that the model adds to a query, too."""
        return self._core.token_count(texts, batches_of(batch_size, None)[0], include_extension)


def _description(spec: MultimodalModel) -> DenseModelDescription | None:
    fields = described(spec)
    return None if fields is None else DenseModelDescription(**fields, dim=spec.dim)

"""`LateInteractionMultimodalEmbedding`, the public class of late-interaction models of texts and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import VectorFacade
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.types import ImageInput, NumpyArray
from fastembed.late_interaction_multimodal.colmodernvbert import ColModernVBERT
from fastembed.late_interaction_multimodal.colpali import ColPali
from fastembed.late_interaction_multimodal.late_interaction_multimodal_embedding_base import (
    LateInteractionMultimodalEmbeddingBase,
)


class LateInteractionMultimodalEmbedding(VectorFacade[DenseModelDescription, LateInteractionMultimodalEmbeddingBase]):
    """One vector per token of texts and of pictures (ColPali and similar models)."""

    EMBEDDINGS_REGISTRY: ClassVar[list[type[LateInteractionMultimodalEmbeddingBase]]] = [ColPali, ColModernVBERT]

    @classmethod
    def _families(cls) -> list[type[LateInteractionMultimodalEmbeddingBase]]:
        return cls.EMBEDDINGS_REGISTRY

    def embed_text(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one text or any iterable of texts, as queries: (tokens, dim) each, in order."""
        yield from self.model.embed_text(documents, batch_size, parallel, **kwargs)

    def embed_image(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: SupportsIndex = 2,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one picture or any iterable of pictures: (tokens, dim) each, in order."""
        yield from self.model.embed_image(images, batch_size, parallel, **kwargs)

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: SupportsIndex = 1024,
        include_extension: bool = False,
        **kwargs: Any,
    ) -> int:
        """Count tokens; with ``include_extension`` those that the model adds to a query, too."""
        return self.model.token_count(texts, batch_size, include_extension, **kwargs)

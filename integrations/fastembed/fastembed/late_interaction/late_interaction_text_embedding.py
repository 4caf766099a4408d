"""`LateInteractionTextEmbedding`, the public class of late-interaction text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import VectorFacade
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.types import NumpyArray
from fastembed.late_interaction.colbert import Colbert
from fastembed.late_interaction.jina_colbert import JinaColbert
from fastembed.late_interaction.late_interaction_embedding_base import LateInteractionTextEmbeddingBase
from fastembed.late_interaction.lateon import LateOn, MLateOn


class LateInteractionTextEmbedding(VectorFacade[DenseModelDescription, LateInteractionTextEmbeddingBase]):
    """One vector per token of a text (ColBERT and similar models)."""

    EMBEDDINGS_REGISTRY: ClassVar[list[type[LateInteractionTextEmbeddingBase]]] = [
        Colbert,
        JinaColbert,
        LateOn,
        MLateOn,
    ]

    @classmethod
    def _families(cls) -> list[type[LateInteractionTextEmbeddingBase]]:
        return cls.EMBEDDINGS_REGISTRY

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one document or any iterable of documents.

        Args:
            documents: The texts.
            batch_size: Most texts in a batch.
            parallel: Batches run at once, by threads; 0 for one per usable processor.
            **kwargs: Passed over.

        Yields:
            An array (tokens, dim) per document, in order.
        """
        yield from self.model.embed(documents, batch_size, parallel, **kwargs)

    def query_embed(self, query: str | Iterable[str], **kwargs: Any) -> Iterator[NumpyArray]:
        """Embed one query or any iterable of queries; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.query_embed(query, **kwargs)

    def passage_embed(self, texts: str | Iterable[str], **kwargs: Any) -> Iterator[NumpyArray]:
        """Embed documents; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.passage_embed(texts, **kwargs)

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: SupportsIndex = 1024,
        is_doc: bool = True,
        include_extension: bool = False,
        **kwargs: Any,
    ) -> int:
        """Count tokens of documents, or of queries; with ``include_extension`` what the model adds, too."""
        return self.model.token_count(texts, batch_size, is_doc, include_extension, **kwargs)

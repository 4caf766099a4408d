"""`SparseTextEmbedding`, the public class of sparse text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import Facade
from fastembed.common.model_description import SparseModelDescription
from fastembed.sparse.bm25 import Bm25
from fastembed.sparse.bm42 import Bm42
from fastembed.sparse.if_splade import IfSplade
from fastembed.sparse.minicoil import MiniCOIL
from fastembed.sparse.sparse_embedding_base import SparseEmbedding, SparseTextEmbeddingBase
from fastembed.sparse.splade_pp import SpladePP


class SparseTextEmbedding(Facade[SparseModelDescription, SparseTextEmbeddingBase]):
    """Sparse text embeddings: SPLADE, BM42, BM25, MiniCOIL and inference-free encoders of documents."""

    EMBEDDINGS_REGISTRY: ClassVar[list[type[SparseTextEmbeddingBase]]] = [SpladePP, Bm42, Bm25, MiniCOIL, IfSplade]

    @classmethod
    def _families(cls) -> list[type[SparseTextEmbeddingBase]]:
        return cls.EMBEDDINGS_REGISTRY

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[SparseEmbedding]:
        """Embed one text or any iterable of texts.

        Args:
            documents: The texts.
            batch_size: Most texts in a batch.
            parallel: Batches run at once; for BM25 the processes that share the work.
            **kwargs: Passed over.

        Yields:
            One vector per text, in order.
        """
        yield from self.model.embed(documents, batch_size, parallel, **kwargs)

    def query_embed(self, query: str | Iterable[str], **kwargs: Any) -> Iterator[SparseEmbedding]:
        """Embed one query or any iterable of queries; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.query_embed(query, **kwargs)

    def passage_embed(self, texts: str | Iterable[str], **kwargs: Any) -> Iterator[SparseEmbedding]:
        """Embed documents; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.passage_embed(texts, **kwargs)

    def token_count(self, texts: str | Iterable[str], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens, for BM25 words before any is dropped; loads no weights."""
        return self.model.token_count(texts, batch_size, **kwargs)

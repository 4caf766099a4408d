"""Where a hybrid retriever finds its documents: a store beside sparse vectors in memory, or Qdrant with both."""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_onnxembed._documents import keeper
from onnxembed.adapters.checks import wrong_type
from onnxembed.adapters.fusion import Fusion, canonical, fused
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_qdrant import QdrantVectorStore, RetrievalMode
    from qdrant_client import QdrantClient

    from langchain_onnxembed.retrievers import OnnxSparseRetriever
    from langchain_onnxembed.sparse import OnnxSparse

__all__ = ["BesideMemory", "InQdrant", "Sides", "hybrid_qdrant", "new_hybrid_qdrant", "refuse_without_idf"]

Found = list[tuple[Document, float]]


class Sides(Protocol):
    """Both sides of a hybrid search, fused."""

    def search(self, query: str, limit: int, only: Any) -> Found:
        """Find documents and scores, best first."""
        ...

    async def asearch(self, query: str, limit: int, only: Any) -> Found:
        """Find what `search` finds, without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class BesideMemory:
    """Dense vectors in any store, sparse ones in memory.

    Attributes:
        store: The store.
        sparse: The sparse side.
        fusion: How both are fused.
        id_key: The metadata that documents are known by; ``None`` for their ids.
    """

    store: VectorStore
    sparse: OnnxSparseRetriever
    fusion: Fusion
    id_key: str | None

    def search(self, query: str, limit: int, only: Any) -> Found:
        """Find documents and scores, best first."""
        depth = self.fusion.depth(limit)
        stores, kept = self._filters(only)
        dense = self.store.similarity_search(query, k=depth, **stores)
        sparse = self.sparse.similarity_search_with_score(query, depth, kept)
        return self._fused(dense, [document for document, _ in sparse], limit)

    async def asearch(self, query: str, limit: int, only: Any) -> Found:
        """Find what `search` finds, both sides at the same time."""
        depth = self.fusion.depth(limit)
        stores, kept = self._filters(only)
        dense, sparse = await asyncio.gather(
            self.store.asimilarity_search(query, k=depth, **stores),
            self.sparse.asimilarity_search_with_score(query, depth, kept),
        )
        return self._fused(dense, [document for document, _ in sparse], limit)

    def _fused(self, dense: list[Document], sparse: list[Document], limit: int) -> Found:
        return fused(
            [(self._known_by(document, "the vector store"), document) for document in dense],
            [(self._known_by(document, "sparse"), document) for document in sparse],
            self.fusion,
            limit,
        )

    def _known_by(self, document: Document, where: str) -> str:
        """What both sides know a document by; Qdrant's store writes the id into the metadata."""
        if self.id_key is not None:
            if self.id_key not in document.metadata:
                raise InputError(
                    f"a document of {where} has no metadata {self.id_key!r}, which id_key= names; its metadata are "
                    f"{sorted(document.metadata)}"
                )
            return str(document.metadata[self.id_key])
        name = document.metadata.get("_id") if document.id is None else document.id
        if name is None:
            raise InputError(
                f"a document of {where} has no id, so that it cannot be matched with the other side; add documents "
                "through this retriever, or pass id_key=, the name of metadata that differ between all documents"
            )
        return canonical(name)

    def _filters(self, only: Any) -> tuple[dict[str, Any], Callable[[Document], bool] | None]:
        """What the store is passed, and what the sparse side is."""
        if only is None:
            return {}, None
        if isinstance(only, tuple) and len(only) == 2:
            return {"filter": only[0]}, keeper(only[1])
        if isinstance(only, Mapping):
            _refuse_operators(only)
            return {"filter": self._stores_own(only)}, keeper(only)
        if callable(only):
            return {"filter": only}, keeper(only)
        raise wrong_type(
            "filter", only, "a mapping of metadata, a function of a Document, or a pair: the store's own filter and one"
        )

    def _stores_own(self, wanted: Mapping[str, Any]) -> Any:
        """Equal metadata as the store takes them; most stores take a dictionary."""
        if isinstance(self.store, InMemoryVectorStore):
            return keeper(wanted)
        qdrant = as_qdrant(self.store)
        return dict(wanted) if qdrant is None else _qdrants_filter(qdrant, wanted)


@dataclass(frozen=True, slots=True)
class InQdrant:
    """Dense and sparse vectors in one collection of Qdrant.

    Attributes:
        store: The store, in hybrid mode.
        fusion: How both are fused.
        own: Whether Qdrant fuses them itself.
    """

    store: QdrantVectorStore
    fusion: Fusion
    own: bool

    def search(self, query: str, limit: int, only: Any) -> Found:
        """Find documents and scores, best first."""
        depth, kept = self.fusion.depth(limit), _qdrants_filter(self.store, only)
        if not self.own:
            from langchain_qdrant import RetrievalMode

            sides = [
                [(canonical(found.metadata["_id"]), found) for found in side.similarity_search(query, depth, kept)]
                for side in (_in_mode(self.store, mode) for mode in (RetrievalMode.DENSE, RetrievalMode.SPARSE))
            ]
            return fused(sides[0], sides[1], self.fusion, limit)
        from onnxembed.adapters.qdrant_fusion import rrf_query

        # Of the store's arguments, k is the depth of both sides; the limit is the query's own.
        found = self.store.similarity_search_with_score(
            query, k=depth, filter=kept, hybrid_fusion=rrf_query(self.fusion), limit=limit
        )
        return [(document, self.fusion.scaled(score)) for document, score in found]

    async def asearch(self, query: str, limit: int, only: Any) -> Found:
        """Find what `search` finds, in a thread, as the store does."""
        return await run_in_executor(None, self.search, query, limit, only)


def as_qdrant(store: object) -> QdrantVectorStore | None:
    """Give a store if it is Qdrant's."""
    if "langchain_qdrant" not in sys.modules:
        return None  # nobody has made one, and the import takes seconds
    from langchain_qdrant import QdrantVectorStore

    return store if isinstance(store, QdrantVectorStore) else None


def hybrid_qdrant(store: object) -> QdrantVectorStore | None:
    """Give a store if it is Qdrant's, with sparse vectors."""
    found = as_qdrant(store)
    if found is None:
        return None
    from langchain_qdrant import RetrievalMode

    return found if found.retrieval_mode == RetrievalMode.HYBRID else None


def new_hybrid_qdrant(
    client: QdrantClient, collection: str, embedding: Embeddings, sparse: OnnxSparse
) -> QdrantVectorStore:
    """Make a collection that counts IDF where the sparse model needs it, and the store over it."""
    from langchain_qdrant import QdrantVectorStore, RetrievalMode
    from qdrant_client.models import Distance, SparseVectorParams, VectorParams

    if client.collection_exists(collection):
        raise InputError(
            f"there is a collection {collection!r} already, whose sparse vectors may have been made with another mean "
            "length; pass vectorstore=QdrantVectorStore(..., retrieval_mode=RetrievalMode.HYBRID) to the class, or "
            "another collection_name="
        )
    size = len(embedding.embed_query("length"))
    client.create_collection(
        collection,
        vectors_config={QdrantVectorStore.VECTOR_NAME: VectorParams(size=size, distance=Distance.COSINE)},
        sparse_vectors_config={
            QdrantVectorStore.SPARSE_VECTOR_NAME: SparseVectorParams(**sparse.sparse_vector_params())
        },
    )
    return QdrantVectorStore(
        client, collection, embedding, retrieval_mode=RetrievalMode.HYBRID, sparse_embedding=sparse
    )


def refuse_without_idf(store: QdrantVectorStore) -> None:
    """Refuse a collection that does not count IDF where the sparse model leaves it to the store."""
    if isinstance(store.sparse_embeddings, SparseModel) and store.sparse_embeddings.requires_idf:
        from onnxembed.adapters.qdrant_fusion import refuse_missing_idf

        info = store.client.get_collection(store.collection_name)
        remedy = "sparse_vector_params=sparse.sparse_vector_params()"
        refuse_missing_idf(info, store.collection_name, store.sparse_vector_name, remedy)


def _in_mode(store: QdrantVectorStore, mode: RetrievalMode) -> QdrantVectorStore:
    side = copy.copy(store)
    side.retrieval_mode = mode
    return side


def _qdrants_filter(store: QdrantVectorStore, only: Any) -> Any:
    from qdrant_client.models import Filter as QdrantFilter

    from onnxembed.adapters.qdrant_points import metadata_filter

    if only is None or isinstance(only, QdrantFilter):
        return only
    if not isinstance(only, Mapping):
        raise wrong_type("filter", only, "a mapping of metadata, or a qdrant_client.models.Filter")
    return metadata_filter(only, store.metadata_payload_key)


def _refuse_operators(wanted: Mapping[str, Any]) -> None:
    """Refuse what a store may read as more than equality, which the sparse side would look for to the letter."""
    for name, value in wanted.items():
        if name.startswith("$") or isinstance(value, Mapping | list | tuple | set | frozenset):
            raise InputTypeError(
                f"filter has {name!r}: {value!r}, but the sparse side only compares metadata for equality; pass a "
                "pair, filter=(what the store takes, a function of a Document that says the same)"
            )

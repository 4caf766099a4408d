"""Dense and sparse vectors in one collection of Qdrant, which fuses what both find."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore

from llama_index.retrievers.onnxembed._hybrid_sides import fused_nodes, own_bundle
from llama_index.retrievers.onnxembed._nodes import asked_of
from llama_index.sparse_embeddings.onnxembed.encoders import SparseEncoder
from onnxembed.adapters.fusion import Fusion
from onnxembed.adapters.qdrant import as_client
from onnxembed.adapters.qdrant_fusion import FusedSearch, afuses, fuses, refuse_missing_idf
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.models import CollectionInfo, ScoredPoint

    from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding

__all__ = ["InQdrant", "hybrid_store", "new_index"]


@dataclass(frozen=True, slots=True)
class InQdrant:
    """Dense and sparse vectors in one collection of Qdrant.

    Attributes:
        index: The index over the store.
        store: The store, with hybrid search enabled.
        fusion: How both are fused.
        filters: Which nodes may be found; ``None`` for all.
        able: Whether Qdrant fuses by itself, by client; asked once, and kept here.
    """

    index: VectorStoreIndex
    store: QdrantVectorStore
    fusion: Fusion
    filters: MetadataFilters | None
    able: dict[str, bool]

    def search(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find nodes and scores, best first."""
        if "client" not in self.able:
            if not self.store.client.collection_exists(self.store.collection_name):
                return []  # the store makes it when the first nodes come
            self._refuse_without_idf(self.store.client.get_collection(self.store.collection_name))
            self.able["client"] = self._tells_its_parts() and fuses(self.store.client, self.fusion)
        if self.able["client"]:
            made = self._search(query, limit, _embedding(self.index).get_agg_embedding_from_queries(asked_of(query)))
            return self._nodes(made.ask(self.store.client, self.store.collection_name))
        dense, sparse = (side.retrieve(own_bundle(query)) for side in self._two_retrievers(limit))
        return fused_nodes(dense, sparse, self.fusion, limit)

    async def asearch(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find what `search` finds, by the asynchronous client if the store has one, else in a thread."""
        aclient: Any = getattr(self.store, "_aclient", None)
        if aclient is None:
            return await asyncio.to_thread(self.search, query, limit)
        if "aclient" not in self.able:
            if not await aclient.collection_exists(self.store.collection_name):
                return []
            self._refuse_without_idf(await aclient.get_collection(self.store.collection_name))
            self.able["aclient"] = self._tells_its_parts() and await afuses(aclient, self.fusion)
        if self.able["aclient"]:
            dense = await _embedding(self.index).aget_agg_embedding_from_queries(asked_of(query))
            made = await asyncio.to_thread(partial(self._search, query, limit, dense))
            return self._nodes(await made.aask(aclient, self.store.collection_name))
        dense_nodes, sparse_nodes = await asyncio.gather(
            *(side.aretrieve(own_bundle(query)) for side in self._two_retrievers(limit))
        )
        return fused_nodes(dense_nodes, sparse_nodes, self.fusion, limit)

    def _tells_its_parts(self) -> bool:
        """Whether this version of the store has what its own query needs, which has no public names."""
        parts = ("_sparse_query_fn", "_build_query_filter")
        return hasattr(self.index, "_embed_model") and all(hasattr(self.store, part) for part in parts)

    def _refuse_without_idf(self, info: CollectionInfo) -> None:
        encoder = getattr(self.store, "_sparse_query_fn", None)
        if isinstance(encoder, SparseEncoder) and encoder.embedding.requires_idf:
            remedy = "QdrantVectorStore(..., **sparse.qdrant_kwargs())"
            refuse_missing_idf(info, self.store.collection_name, self.store.sparse_vector_name, remedy)

    def _search(self, query: QueryBundle, limit: int, dense: list[float]) -> FusedSearch:
        store: Any = self.store
        indices, values = store._sparse_query_fn([query.query_str])
        only = store._build_query_filter(VectorStoreQuery(filters=self.filters)) if self.filters else None
        return FusedSearch(
            (store.dense_vector_name, dense),
            (store.sparse_vector_name, indices[0], values[0]),
            self.fusion,
            limit,
            only,
        )

    def _nodes(self, points: list[ScoredPoint]) -> list[NodeWithScore]:
        found = self.store.parse_to_query_result(points)
        scores = found.similarities or []
        return [NodeWithScore(node=node, score=score) for node, score in zip(found.nodes or [], scores, strict=True)]

    def _two_retrievers(self, limit: int) -> list[BaseRetriever]:
        depth = self.fusion.depth(limit)
        return [
            self.index.as_retriever(
                vector_store_query_mode=mode, similarity_top_k=depth, sparse_top_k=depth, filters=self.filters
            )
            for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.SPARSE)
        ]


def new_index(
    client: QdrantClient | None,
    aclient: AsyncQdrantClient | None,
    collection: str,
    embed_model: BaseEmbedding,
    sparse: OnnxSparseEmbedding,
) -> VectorStoreIndex:
    """Make an empty index over a collection of both kinds of vectors."""
    opened = as_client(client)
    if opened.collection_exists(collection):
        raise InputError(
            f"there is a collection {collection!r} already, whose sparse vectors may have been made with another mean "
            "length; pass an index over QdrantVectorStore(..., **sparse.qdrant_kwargs()) to the class, or another "
            "collection_name="
        )
    store = QdrantVectorStore(collection, client=opened, aclient=aclient, **sparse.qdrant_kwargs())
    return VectorStoreIndex.from_vector_store(store, embed_model=embed_model)


def hybrid_store(index: VectorStoreIndex) -> QdrantVectorStore | None:
    """Give the store of an index if it is Qdrant's, with hybrid search enabled."""
    store = index.vector_store
    return store if isinstance(store, QdrantVectorStore) and store.enable_hybrid else None


def _embedding(index: VectorStoreIndex) -> Any:
    """The index's embedding, which has no public name."""
    return index._embed_model

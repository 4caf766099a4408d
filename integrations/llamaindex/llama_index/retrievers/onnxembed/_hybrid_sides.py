"""Where a hybrid retriever finds its nodes, and an index beside sparse vectors in memory as one such place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters

from onnxembed.adapters.fusion import Fusion, canonical, fused

if TYPE_CHECKING:
    from llama_index.retrievers.onnxembed.sparse import OnnxSparseRetriever

__all__ = ["BesideMemory", "Sides", "fused_nodes", "own_bundle"]


class Sides(Protocol):
    """Both sides of a hybrid search, fused."""

    def search(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find nodes and scores, best first."""
        ...

    async def asearch(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find what `search` finds, without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class BesideMemory:
    """Dense vectors anywhere, sparse ones in memory.

    Attributes:
        dense: The index, or a retriever that decides itself how deep it searches.
        sparse: The sparse side.
        fusion: How both are fused.
        filters: Which nodes may be found; ``None`` for all.
    """

    dense: VectorStoreIndex | BaseRetriever
    sparse: OnnxSparseRetriever
    fusion: Fusion
    filters: MetadataFilters | None

    def search(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find nodes and scores, best first."""
        depth = self.fusion.depth(limit)
        dense = self._retriever(depth).retrieve(own_bundle(query))
        return fused_nodes(dense, self.sparse.search(query, depth, self.filters), self.fusion, limit)

    async def asearch(self, query: QueryBundle, limit: int) -> list[NodeWithScore]:
        """Find what `search` finds, both sides at the same time."""
        depth = self.fusion.depth(limit)
        dense, sparse = await asyncio.gather(
            self._retriever(depth).aretrieve(own_bundle(query)), self.sparse.asearch(query, depth, self.filters)
        )
        return fused_nodes(dense, sparse, self.fusion, limit)

    def _retriever(self, depth: int) -> BaseRetriever:
        if isinstance(self.dense, BaseRetriever):
            return self.dense
        return self.dense.as_retriever(similarity_top_k=depth, filters=self.filters)


def own_bundle(query: QueryBundle) -> QueryBundle:
    """A copy, since retrievers write the embedding into the bundle that they are given."""
    return QueryBundle(query.query_str, query.image_path, query.custom_embedding_strs, query.embedding)


def fused_nodes(
    dense: Sequence[NodeWithScore], sparse: Sequence[NodeWithScore], fusion: Fusion, limit: int
) -> list[NodeWithScore]:
    """Fuse what two searches found."""
    both = ([(canonical(one.node.node_id), one.node) for one in side] for side in (dense, sparse))
    first, second = both
    return [NodeWithScore(node=node, score=score) for node, score in fused(first, second, fusion, limit)]

"""Dense and sparse retrieval, fused, for LlamaIndex."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index_instrumentation import get_dispatcher

from llama_index.retrievers.onnxembed._hybrid_sides import BesideMemory, Sides
from llama_index.retrievers.onnxembed._nodes import as_nodes, texts_of
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed.adapters.checks import as_list, positive, wrong_type
from onnxembed.adapters.fusion import EVEN, FETCH_K, RANK_CONSTANT, RERANK_K, as_fusion, refuse_other_ids
from onnxembed.adapters.memory import mean_length, sparse_core_model
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import AsyncQdrantClient, QdrantClient

    from llama_index.retrievers.onnxembed.sparse import OnnxSparseRetriever
    from onnxembed import SparseTextEmbedding

__all__ = ["OnnxHybridRetriever"]

_dispatcher = get_dispatcher(__name__)


class OnnxHybridRetriever(BaseRetriever):
    """Finds nodes by dense and by sparse vectors, and fuses both rankings by reciprocal ranks.

    Both sides search ``fetch_k`` deep, and a node's score is the sum of ``weight / (rank_constant + rank)``. The hybrid
    mode of stores looks only as deep as the ``similarity_top_k`` asked for, which finds less.

    Sparse vectors live in memory, in an ``OnnxSparseRetriever``. Where the index is one over a ``QdrantVectorStore``
    with ``enable_hybrid=True``, such as `in_qdrant` makes, the collection's own are searched, and Qdrant fuses them;
    where it cannot (servers before 1.16, weights that differ), it searches twice and the same is computed here.

    Examples:
        ``pip install "llama-index-onnxembed[retriever]"``

        ```python
        from llama_index.core import VectorStoreIndex
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.retrievers.onnxembed import OnnxHybridRetriever

        index = VectorStoreIndex([], embed_model=embedding)
        retriever = OnnxHybridRetriever.from_nodes(nodes, index, similarity_top_k=5)
        engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
        ```

        Of nodes that an index holds already, and a sparse side that was written to disk:

        ```python
        retriever = OnnxHybridRetriever(index, OnnxSparseRetriever.from_persist_dir("./storage/sparse"))
        ```

    Args:
        dense: An index, or any retriever, which decides itself how deep it searches.
        sparse: The sparse side, with the same nodes; ``None`` for Qdrant's own sparse vectors.
        similarity_top_k: Most nodes that a query finds.
        fetch_k: Nodes that each side finds; ``similarity_top_k`` if that is more.
        rank_constant: What is added to each rank.
        weights: Of the dense and of the sparse side.
        reranker: Orders the best of the fused ranking anew, such as ``OnnxRerank``.
        rerank_k: Nodes that the reranker reads; ``similarity_top_k`` if that is more.
        filters: Which nodes may be found, on both sides; ``None`` for all.
        callback_manager: LlamaIndex's callbacks.
        object_map: The objects that the index nodes among the nodes stand for.
        verbose: Whether LlamaIndex prints the objects that it follows.

    Raises:
        InputError: A number is out of range, or one of the two sides is missing or there twice.
        InputTypeError: An argument has the wrong type.
    """

    def __init__(
        self,
        dense: VectorStoreIndex | BaseRetriever,
        sparse: OnnxSparseRetriever | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseNodePostprocessor | None = None,
        rerank_k: int = RERANK_K,
        filters: MetadataFilters | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.similarity_top_k = positive(similarity_top_k, "similarity_top_k")
        self.rerank_k = positive(rerank_k, "rerank_k")
        self._fusion = as_fusion(fetch_k, rank_constant, weights)
        if reranker is not None and not isinstance(reranker, BaseNodePostprocessor):
            raise wrong_type("reranker", reranker, "a node postprocessor, such as OnnxRerank")
        if filters is not None and not isinstance(filters, MetadataFilters):
            raise wrong_type("filters", filters, "MetadataFilters")
        _refuse_one_sided(dense, sparse)
        self._refuse_shallow(dense)
        if filters is not None and isinstance(dense, BaseRetriever):
            raise InputError(
                f"filters= cannot be handed to a {type(dense).__name__}; pass the index as dense=, which takes them"
            )
        self._dense, self._sparse = dense, sparse
        self.reranker, self.filters = reranker, filters
        self._able: dict[str, bool] = {}
        super().__init__(callback_manager=callback_manager, object_map=object_map, verbose=verbose)

    @classmethod
    def from_nodes(
        cls,
        nodes: Iterable[BaseNode],
        dense: VectorStoreIndex,
        embedding: SparseTextEmbedding | SparseModel | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseNodePostprocessor | None = None,
        rerank_k: int = RERANK_K,
        filters: MetadataFilters | None = None,
    ) -> Self:
        """Make a retriever and add nodes to both of its sides. The other arguments are those of the class.

        Args:
            nodes: The nodes, which the index must not hold already.
            dense: The index.
            embedding: The sparse model, from the core or an adapter; BM25 in English when left out, with the mean
                length that these nodes have. A Qdrant store with hybrid search has its own.
            similarity_top_k: Most nodes that a query finds.
            fetch_k: Nodes that each side finds.
            rank_constant: What is added to each rank.
            weights: Of the dense and of the sparse side.
            reranker: Orders the best of the fused ranking anew.
            rerank_k: Nodes that the reranker reads.
            filters: Which nodes may be found; ``None`` for all.

        Returns:
            The retriever.
        """
        nodes = as_nodes(nodes)
        sparse = _empty_sparse(nodes, dense, embedding)
        made = cls(dense, sparse, similarity_top_k, fetch_k, rank_constant, weights, reranker, rerank_k, filters)
        made.add_nodes(nodes)
        return made

    @classmethod
    def in_qdrant(
        cls,
        nodes: Iterable[BaseNode],
        embed_model: BaseEmbedding,
        sparse_embedding: OnnxSparseEmbedding | None = None,
        client: QdrantClient | None = None,
        aclient: AsyncQdrantClient | None = None,
        collection_name: str = "hybrid",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseNodePostprocessor | None = None,
        rerank_k: int = RERANK_K,
        filters: MetadataFilters | None = None,
    ) -> Self:
        """Make a Qdrant collection of dense and sparse vectors, and add nodes. Others are the class's arguments.

        Args:
            nodes: The nodes.
            embed_model: The dense model.
            sparse_embedding: The sparse model; BM25 in English when left out, with the mean length of these nodes. To
                add to the collection later, open it with the same ``avg_len``.
            client: Qdrant's client; in memory when left out.
            aclient: Qdrant's asynchronous client, for the same server.
            collection_name: The collection, which must not be there yet.
            similarity_top_k: Most nodes that a query finds.
            fetch_k: Nodes that each side finds.
            rank_constant: What is added to each rank.
            weights: Of the dense and of the sparse side.
            reranker: Orders the best of the fused ranking anew.
            rerank_k: Nodes that the reranker reads.
            filters: Which nodes may be found; ``None`` for all.

        Returns:
            The retriever.

        Raises:
            InputError: There is a collection of that name, a number is out of range, or an id is no UUID.
            MissingExtraError: LlamaIndex's Qdrant store is not installed.
        """
        nodes = as_nodes(nodes)
        try:
            from llama_index.retrievers.onnxembed._hybrid_qdrant import new_index
        except ImportError as error:
            raise MissingExtraError(
                'in_qdrant needs LlamaIndex\'s Qdrant store: pip install "llama-index-onnxembed[qdrant]"'
            ) from error
        refuse_other_ids(node.node_id for node in nodes)
        sparse = sparse_embedding
        if sparse is None:
            sparse = OnnxSparseEmbedding(avg_len=mean_length(texts_of(nodes)))
        index = new_index(client, aclient, collection_name, embed_model, sparse)
        made = cls(index, None, similarity_top_k, fetch_k, rank_constant, weights, reranker, rerank_k, filters)
        made.add_nodes(nodes)
        return made

    @property
    def sparse(self) -> OnnxSparseRetriever | None:
        """The sparse side in memory; ``persist`` writes it to disk."""
        return self._sparse

    def add_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Add nodes to both sides. One replaces the node that had its id."""
        given, index = as_nodes(nodes), self._index("add_nodes")
        if self._sparse is None:
            index.insert_nodes(given)
            return
        if replaced := self._held(given):
            index.delete_nodes(replaced)
        index.insert_nodes(given)
        self._sparse.add_nodes(given)

    async def aadd_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Add nodes as `add_nodes` does, without blocking the event loop where the store allows it."""
        given, index = as_nodes(nodes), self._index("aadd_nodes")
        if self._sparse is None:
            await index.ainsert_nodes(given)
            return
        if replaced := self._held(given):
            await index.adelete_nodes(replaced)
        await index.ainsert_nodes(given)
        await self._sparse.aadd_nodes(given)

    def delete_nodes(self, node_ids: Iterable[str]) -> None:
        """Remove the nodes of these ids from both sides."""
        given = as_list(node_ids, "delete_nodes", "str", "wrap a single one in a list")
        self._index("delete_nodes").delete_nodes(given)
        if self._sparse is not None:
            self._sparse.delete_nodes(given)

    async def adelete_nodes(self, node_ids: Iterable[str]) -> None:
        """Remove nodes as `delete_nodes` does, without blocking the event loop where the store allows it."""
        given = as_list(node_ids, "adelete_nodes", "str", "wrap a single one in a list")
        await self._index("adelete_nodes").adelete_nodes(given)
        if self._sparse is not None:
            await self._sparse.adelete_nodes(given)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        _refuse_empty(query_bundle)
        found = self._sides().search(query_bundle, self._candidates())
        if self.reranker is not None and found:
            found = self.reranker.postprocess_nodes(found, query_bundle)
        return found[: self.similarity_top_k]

    @_dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        _refuse_empty(query_bundle)
        found = await self._sides().asearch(query_bundle, self._candidates())
        if self.reranker is not None and found:
            found = await self.reranker.apostprocess_nodes(found, query_bundle)
        return found[: self.similarity_top_k]

    def _candidates(self) -> int:
        return self.similarity_top_k if self.reranker is None else max(self.similarity_top_k, self.rerank_k)

    def _sides(self) -> Sides:
        if self._sparse is not None:
            return BesideMemory(self._dense, self._sparse, self._fusion, self.filters)
        store = _hybrid_qdrant(self._dense)
        if store is None or not isinstance(self._dense, VectorStoreIndex):
            raise InputError("the index is no longer over a QdrantVectorStore with enable_hybrid=True; pass sparse=")
        from llama_index.retrievers.onnxembed._hybrid_qdrant import InQdrant

        return InQdrant(self._dense, store, self._fusion, self.filters, self._able)

    def _index(self, method: str) -> VectorStoreIndex:
        if isinstance(self._dense, BaseRetriever):
            raise InputError(
                f"{method} needs an index, and dense is a {type(self._dense).__name__}; change what it reads, and the "
                "sparse side, each by itself"
            )
        return self._dense

    def _held(self, nodes: list[BaseNode]) -> list[str]:
        return [node.node_id for node in nodes if self._sparse is not None and self._sparse.holds(node.node_id)]

    def _refuse_shallow(self, dense: object) -> None:
        """Refuse a retriever that tells that it searches less deep than its side should."""
        depth = getattr(dense, "similarity_top_k", None)
        wanted = self._fusion.depth(self.similarity_top_k)
        if isinstance(dense, BaseRetriever) and isinstance(depth, int) and depth < wanted:
            raise InputError(
                f"dense finds only {depth} nodes, and fetch_k is {wanted}: make it with "
                f"as_retriever(similarity_top_k={wanted}), pass the index itself, or give fetch_k={depth}"
            )


def _hybrid_qdrant(dense: object) -> QdrantVectorStore | None:
    """The store of an index over Qdrant's dense and sparse vectors."""
    if not isinstance(dense, VectorStoreIndex) or "llama_index.vector_stores.qdrant" not in sys.modules:
        return None
    from llama_index.retrievers.onnxembed._hybrid_qdrant import hybrid_store

    return hybrid_store(dense)


def _refuse_empty(query: QueryBundle) -> None:
    """Refuse a query without text, of which LlamaIndex makes no vector."""
    if not query.query_str and not query.custom_embedding_strs:
        raise InputError("the query is empty; pass the text that is looked for")


def _refuse_one_sided(dense: object, sparse: object) -> None:
    if not isinstance(dense, VectorStoreIndex | BaseRetriever):
        raise wrong_type("dense", dense, "a VectorStoreIndex or a retriever")
    if _hybrid_qdrant(dense) is not None:
        if sparse is not None:
            raise InputError("the index's Qdrant store has sparse vectors of its own; leave sparse= out")
        return
    if sparse is None:
        raise InputError(
            "there are no sparse vectors: pass sparse=OnnxSparseRetriever.from_nodes(nodes), or make the retriever by "
            "from_nodes; a QdrantVectorStore needs enable_hybrid=True"
        )
    from llama_index.retrievers.onnxembed.sparse import OnnxSparseRetriever

    if not isinstance(sparse, OnnxSparseRetriever):
        raise wrong_type("sparse", sparse, "an OnnxSparseRetriever; from_nodes makes one of a model")
    if sparse.filters is not None:
        raise InputError("sparse has filters of its own, which the dense side knows nothing of; pass filters= here")


def _empty_sparse(
    nodes: list[BaseNode], dense: object, embedding: SparseTextEmbedding | SparseModel | None
) -> OnnxSparseRetriever | None:
    """The sparse side that nodes come into; ``None`` where the store has one."""
    if _hybrid_qdrant(dense) is not None:
        if embedding is not None:
            raise InputError("the index's Qdrant store has a sparse model of its own; leave embedding= out")
        return None
    from llama_index.retrievers.onnxembed.sparse import OnnxSparseRetriever

    return OnnxSparseRetriever(sparse_core_model(embedding, texts_of(nodes)))

"""Exact sparse retrieval in memory, for LlamaIndex."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from llama_index_instrumentation import get_dispatcher

from llama_index.retrievers.onnxembed._nodes import as_nodes, asked_of, texts_of
from onnxembed.adapters.checks import as_list, positive, wrong_type
from onnxembed.adapters.memory import SparseMemory, read_file, sparse_core_model, write_file
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import MissingExtraError

try:
    import scipy.sparse  # noqa: F401 - the index needs it as soon as there is an object
except ImportError as error:
    raise MissingExtraError(
        'OnnxSparseRetriever needs SciPy: pip install "llama-index-onnxembed[retriever]"'
    ) from error

if TYPE_CHECKING:
    from os import PathLike

    from onnxembed import SparseEmbedding, SparseTextEmbedding

__all__ = ["OnnxSparseRetriever"]

_dispatcher = get_dispatcher(__name__)


class OnnxSparseRetriever(BaseRetriever):
    """Finds nodes by BM25, or by a sparse model such as SPLADE, exactly and in memory.

    Nodes live in this object, their vectors in an inverted index. Inverse document frequencies are those of these
    nodes. Only nodes that share a word with the query are found. A query of several texts adds their scores up.

    Examples:
        ``pip install "llama-index-onnxembed[retriever]"``

        ```python
        from llama_index.core.retrievers import QueryFusionRetriever
        from llama_index.retrievers.onnxembed import OnnxSparseRetriever

        retriever = OnnxSparseRetriever.from_nodes(nodes, similarity_top_k=5)
        hybrid = QueryFusionRetriever([retriever, index.as_retriever()], llm=llm, num_queries=1)
        retriever.persist("./storage/sparse")
        again = OnnxSparseRetriever.from_persist_dir("./storage/sparse")
        ```

    Args:
        embedding: The sparse model, from the core or an adapter; BM25 in English when left out.
        similarity_top_k: Most nodes that a query finds.
        filters: Which nodes may be found; ``None`` for all.
        callback_manager: LlamaIndex's callbacks.
        object_map: The objects that the index nodes among the nodes stand for.
        verbose: Whether LlamaIndex prints the objects that it follows.

    Raises:
        InputError: ``similarity_top_k`` is not positive.
        InputTypeError: An argument has the wrong type.
    """

    def __init__(
        self,
        embedding: SparseTextEmbedding | SparseModel | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._embedding = sparse_core_model(embedding, ())
        self.similarity_top_k = positive(similarity_top_k, "similarity_top_k")
        if filters is not None and not isinstance(filters, MetadataFilters):
            raise wrong_type("filters", filters, "MetadataFilters")
        self.filters = filters
        self._memory: SparseMemory[BaseNode] = SparseMemory()
        super().__init__(callback_manager=callback_manager, object_map=object_map, verbose=verbose)

    @classmethod
    def from_nodes(
        cls,
        nodes: Iterable[BaseNode],
        embedding: SparseTextEmbedding | SparseModel | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
    ) -> Self:
        """Make a retriever and index nodes; without ``embedding``, BM25 takes the mean length that these nodes have."""
        nodes = as_nodes(nodes)
        made = cls(sparse_core_model(embedding, texts_of(nodes)), similarity_top_k, filters)
        made.add_nodes(nodes)
        return made

    @classmethod
    def from_persist_dir(
        cls,
        persist_dir: str | PathLike[str],
        embedding: SparseTextEmbedding | SparseModel | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
    ) -> Self:
        """Make a retriever of what `persist` wrote; nothing is embedded again.

        Args:
            persist_dir: The folder.
            embedding: The model that made the vectors; ``None`` to make it with the saved settings.
            similarity_top_k: Most nodes that a query finds.
            filters: Which nodes may be found; ``None`` for all.

        Returns:
            The retriever.

        Raises:
            InputError: The folder holds no retriever, or another model made its vectors.
            ModelError: The file in it is damaged.
        """
        memory, core = read_file(persist_dir, embedding, json_to_doc)
        made = cls(core, similarity_top_k, filters)
        made._memory = memory
        return made

    @property
    def embedding(self) -> SparseTextEmbedding:
        """The core's model."""
        return self._embedding

    def persist(self, persist_dir: str | PathLike[str]) -> None:
        """Write nodes, vectors and the model's settings into a folder, as one file that appears whole or not at all."""
        write_file(persist_dir, self._memory, self._embedding, doc_to_json)

    def add_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes. One replaces the node that had its id."""
        given = as_nodes(nodes)
        vectors = list(self._embedding.passage_embed(texts_of(given)))
        self._memory.add([node.node_id for node in given], given, vectors)

    async def aadd_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes as `add_nodes` does, without blocking the event loop."""
        await self._embedding.run_async(partial(self.add_nodes, nodes))

    def delete_nodes(self, node_ids: Iterable[str]) -> None:
        """Remove the nodes of these ids; others are passed over."""
        self._memory.remove(as_list(node_ids, "delete_nodes", "str", "wrap a single one in a list"))

    async def adelete_nodes(self, node_ids: Iterable[str]) -> None:
        """Remove nodes as `delete_nodes` does, without blocking the event loop."""
        await self._embedding.run_async(partial(self.delete_nodes, node_ids))

    def holds(self, node_id: str) -> bool:
        """Tell whether there is a node of this id."""
        return node_id in self._memory

    def search(
        self, query: str | QueryBundle, similarity_top_k: int, filters: MetadataFilters | None = None
    ) -> list[NodeWithScore]:
        """Find nodes as `retrieve` does, but with another number and other filters, and without its events.

        Args:
            query: The query.
            similarity_top_k: Most nodes to find.
            filters: Which nodes may be found; ``None`` for all.

        Returns:
            Nodes and scores, best first.
        """
        asked = [query] if isinstance(query, str) else asked_of(query)
        vector, keep = _sum(self._embedding.query_embed(asked)), _keeper(filters)
        found = self._memory.search(vector, similarity_top_k, idf=self._embedding.requires_idf, keep=keep)
        return [NodeWithScore(node=node, score=score) for _, node, score in found]

    async def asearch(
        self, query: str | QueryBundle, similarity_top_k: int, filters: MetadataFilters | None = None
    ) -> list[NodeWithScore]:
        """Find nodes as `search` does, without blocking the event loop."""
        return await self._embedding.run_async(partial(self.search, query, similarity_top_k, filters))

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.search(query_bundle, self.similarity_top_k, self.filters)

    @_dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self._embedding.run_async(partial(self._retrieve, query_bundle))


def _sum(vectors: Iterable[SparseEmbedding]) -> SparseEmbedding:
    """One vector whose dot products are the sums of those of several."""
    from onnxembed import SparseEmbedding

    first, *others = vectors
    if not others:
        return first
    weights: dict[int, float] = {}
    for vector in (first, *others):
        for index, value in vector.as_dict().items():
            weights[index] = weights.get(index, 0.0) + value
    return SparseEmbedding.from_dict(weights)


def _keeper(filters: MetadataFilters | None) -> Callable[[BaseNode], bool] | None:
    if filters is None:
        return None

    def keep(node: BaseNode) -> bool:
        def metadata_of(_: str) -> Mapping[str, Any]:
            return node.metadata

        return build_metadata_filter_fn(metadata_of, filters)(node.node_id)

    return keep

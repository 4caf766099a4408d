"""Retrieval by MaxSim over the token or patch vectors that Qdrant holds, for LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import BaseNode, ImageNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from llama_index_instrumentation import get_dispatcher

from llama_index.retrievers.onnxembed._nodes import as_nodes, asked_of, texts_of
from onnxembed.adapters.checks import positive, wrong_type
from onnxembed.adapters.late_interaction import LateInteractionModel, core_model
from onnxembed.adapters.windows import windows
from onnxembed.errors import InputError, InputTypeError, MissingExtraError

try:
    from onnxembed.adapters.qdrant import AsyncCollection, Collection, as_async_client, as_client
    from onnxembed.adapters.qdrant_points import Search, batches
    from onnxembed.adapters.two_stages import TwoStages
except ImportError as error:
    raise MissingExtraError(
        'OnnxLateInteractionRetriever needs qdrant-client: pip install "llama-index-onnxembed[qdrant]"'
    ) from error

if TYPE_CHECKING:
    import numpy as np
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.models import PointStruct, ScoredPoint

    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

    CoreModel = LateInteractionTextEmbedding | LateInteractionMultimodalEmbedding
    Matrices = Iterator[np.ndarray[Any, np.dtype[Any]]]

__all__ = ["OnnxLateInteractionRetriever"]

_dispatcher = get_dispatcher(__name__)


class OnnxLateInteractionRetriever(BaseRetriever):
    """Finds nodes by MaxSim over the token vectors of a ColBERT model, held by Qdrant.

    Each node is a point with one vector per token. A query's score is the sum, over its tokens, of the largest dot
    product with any token of the node. A query of several texts, such as HyDE makes, adds their scores up.

    Without a first stage every query is compared with all tokens of all nodes. With ``prefetch``, single vectors in the
    same collection find candidates; ``OnnxMuveraEmbedding`` with the same settings needs no second inference for them.

    Examples:
        ``pip install "llama-index-onnxembed[qdrant]"``

        ```python
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.retrievers.onnxembed import OnnxLateInteractionRetriever
        from onnxembed import LateInteractionTextEmbedding

        colbert = LateInteractionTextEmbedding("answerdotai/answerai-colbert-small-v1")
        retriever = OnnxLateInteractionRetriever.from_nodes(nodes, colbert, similarity_top_k=5)
        engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
        ```

        With a ``LateInteractionMultimodalEmbedding``, such as ColPali, the nodes are image nodes: scanned pages found
        by what is on them, without any text recognition.

    Args:
        embedding: The late-interaction model, from the core or an adapter.
        client: Qdrant's client; without it and ``aclient``, one in memory is made.
        aclient: Qdrant's asynchronous client; without it asynchronous methods call ``client`` in the model's pool. Two
            clients in memory do not share their collections.
        collection_name: Name of the collection; it is made when nodes are added, and may be there already.
        similarity_top_k: Most nodes that a query finds.
        prefetch: The embedding of the first stage.
        prefetch_k: Nodes that the first stage finds; ``similarity_top_k`` if that is more.
        callback_manager: LlamaIndex's callbacks.
        object_map: The objects that the index nodes among the nodes stand for.
        verbose: Whether LlamaIndex prints the objects that it follows.

    Raises:
        InputError: A number is not positive.
        InputTypeError: An argument has the wrong type.
    """

    def __init__(
        self,
        embedding: CoreModel | LateInteractionModel,
        client: QdrantClient | None = None,
        aclient: AsyncQdrantClient | None = None,
        collection_name: str = "late-interaction",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        prefetch: BaseEmbedding | None = None,
        prefetch_k: int = 100,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        model, self._pages = _core_model(embedding)
        if prefetch is not None and not isinstance(prefetch, BaseEmbedding):
            raise wrong_type("prefetch", prefetch, "a BaseEmbedding, such as OnnxEmbedding")
        if prefetch is not None and self._pages is not None:
            raise wrong_type("prefetch", prefetch, "None: a first stage reads texts, and this model reads pictures")
        self._stages = TwoStages(model, prefetch)
        self.similarity_top_k = positive(similarity_top_k, "similarity_top_k")
        self.prefetch_k = positive(prefetch_k, "prefetch_k")
        self._aclient = None if aclient is None else as_async_client(aclient)
        self._client = None if client is None and aclient is not None else as_client(client)
        self._name = collection_name
        self._opened: set[str] = set()
        super().__init__(callback_manager=callback_manager, object_map=object_map, verbose=verbose)

    @classmethod
    def from_nodes(
        cls,
        nodes: Iterable[BaseNode],
        embedding: CoreModel | LateInteractionModel,
        client: QdrantClient | None = None,
        aclient: AsyncQdrantClient | None = None,
        collection_name: str = "late-interaction",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        prefetch: BaseEmbedding | None = None,
        prefetch_k: int = 100,
    ) -> Self:
        """Make a retriever and index nodes, which needs ``client`` or neither client; see `add_nodes`."""
        nodes = as_nodes(nodes)
        made = cls(embedding, client, aclient, collection_name, similarity_top_k, prefetch, prefetch_k)
        made.add_nodes(nodes)
        return made

    @property
    def client(self) -> QdrantClient | None:
        """Qdrant's client."""
        return self._client

    def add_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes. One replaces the node that had its id."""
        nodes = self._readable(nodes)
        self._open(create=True)
        self._refuse_large(nodes)
        reader = self._stages.reader
        for window in windows(nodes):
            self._store(window, None if reader is None else reader.get_text_embedding_batch(texts_of(window)))

    async def aadd_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes as `add_nodes` does, without blocking the event loop."""
        nodes = self._readable(nodes)
        await self._aopen(create=True)
        run, reader = self._stages.tokens.run_async, self._stages.reader
        await run(partial(self._refuse_large, nodes))
        for window in windows(nodes):
            first = None if reader is None else await reader.aget_text_embedding_batch(texts_of(window))
            if self._aclient is None:
                await run(partial(self._store, window, first))
                continue
            waiting = batches(self._points(window, first))
            while batch := await run(partial(next, waiting, None)):
                await self._acollection(self._aclient).add(batch)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked, reader = asked_of(query_bundle), self._stages.reader
        return self._find(asked, None if reader is None else reader.get_agg_embedding_from_queries(asked))

    @_dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked, reader = asked_of(query_bundle), self._stages.reader
        first = None if reader is None else await reader.aget_agg_embedding_from_queries(asked)
        run = self._stages.tokens.run_async
        if self._aclient is None:
            return await run(lambda: self._find(asked, first))
        await self._aopen(create=False)
        search = await run(lambda: self._search(asked, first))
        return _nodes(await self._acollection(self._aclient).search(search))

    def _collection(self) -> Collection:
        if self._client is None:
            raise InputError(
                "a blocking call needs client=, only aclient= was given; pass both, or await aadd_nodes(), aretrieve()"
            )
        return Collection(self._client, self._name, "nodes")

    def _acollection(self, aclient: AsyncQdrantClient) -> AsyncCollection:
        return AsyncCollection(aclient, self._name, "nodes")

    def _open(self, *, create: bool) -> None:
        """Check the collection once, or make it."""
        collection = self._collection()
        if "client" not in self._opened:
            collection.open(self._stages.layout(BaseEmbedding.get_query_embedding), create=create)
            self._opened.add("client")

    async def _aopen(self, *, create: bool) -> None:
        run = self._stages.tokens.run_async
        if self._aclient is None:
            await run(partial(self._open, create=create))
        elif "aclient" not in self._opened:
            layout = await run(lambda: self._stages.layout(BaseEmbedding.get_query_embedding))
            await self._acollection(self._aclient).open(layout, create=create)
            self._opened.add("aclient")

    def _readable(self, nodes: Iterable[BaseNode]) -> list[BaseNode]:
        """Refuse what the model cannot read, before anything is read."""
        given = as_nodes(nodes)
        for index, node in enumerate(given):
            if self._pages is not None and not isinstance(node, ImageNode):
                raise InputTypeError(
                    f"node {index} is a {type(node).__name__}, but {self._pages.model_name} reads pictures; "
                    "pass an ImageNode"
                )
        return given

    def _refuse_large(self, nodes: list[BaseNode]) -> None:
        if self._pages is None:  # how many vectors a picture has is known when it has been read
            self._stages.refuse_large_texts(texts_of(nodes))

    def _store(self, nodes: list[BaseNode], first_stage: list[list[float]] | None) -> None:
        self._collection().add(self._points(nodes, first_stage))

    def _points(self, nodes: list[BaseNode], first_stage: list[list[float]] | None) -> Iterator[PointStruct]:
        model: Any = self._stages.tokens
        if self._pages is None:
            matrices = model.passage_embed(texts_of(nodes))
        else:
            matrices = self._pages.embed_image(node.resolve_image() for node in nodes if isinstance(node, ImageNode))
        entries = ((node.node_id, node_to_metadata_dict(node)) for node in nodes)
        return self._stages.points(entries, matrices, first_stage)

    def _search(self, asked: list[str], first_stage: list[float] | None) -> Search:
        model: Any = self._stages.tokens
        matrices: Matrices = model.query_embed(asked) if self._pages is None else self._pages.embed_query(asked)
        return self._stages.search(matrices, first_stage, self.similarity_top_k, self.prefetch_k)

    def _find(self, asked: list[str], first_stage: list[float] | None) -> list[NodeWithScore]:
        self._open(create=False)
        return _nodes(self._collection().search(self._search(asked, first_stage)))


def _core_model(given: object) -> tuple[CoreModel, LateInteractionMultimodalEmbedding | None]:
    """The model, and once more where it reads pictures of pages instead of texts."""
    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

    model = core_model(given)
    if isinstance(model, LateInteractionMultimodalEmbedding):
        return model, model
    if not isinstance(model, LateInteractionTextEmbedding):
        expected = (
            "a LateInteractionTextEmbedding (with dense=True for the token vectors of a dense model) or, for pictures, "
            "a LateInteractionMultimodalEmbedding"
        )
        raise wrong_type("embedding", given, expected)
    return model, None


def _nodes(found: list[ScoredPoint]) -> list[NodeWithScore]:
    return [NodeWithScore(node=metadata_dict_to_node(one.payload or {}), score=one.score) for one in found]

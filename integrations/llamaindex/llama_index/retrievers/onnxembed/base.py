"""Retrieval by MaxSim over the token or patch vectors that Qdrant holds, for LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from llama_index.embeddings.onnxembed import OnnxMuveraEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank
from llama_index.retrievers.onnxembed._collection import AsyncCollection, Collection
from llama_index.retrievers.onnxembed._first_stage import FirstStage
from llama_index.retrievers.onnxembed._models import NodeReader, PageReader, TextReader, texts_of
from llama_index.retrievers.onnxembed._vectors import Layout, Question, batches, point, with_rows

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.models import PointStruct, ScoredPoint

    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

    CoreModel = LateInteractionTextEmbedding | LateInteractionMultimodalEmbedding

# Nodes embedded and stored at once.
_WINDOW = 256


class OnnxLateInteractionRetriever(BaseRetriever):
    """Finds nodes by MaxSim over the token vectors of a ColBERT model, held by Qdrant.

    Each node is a point with one vector a token. A query's score is the sum, over its tokens, of the largest dot
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
        similarity_top_k: The most nodes that a query finds.
        prefetch: The embedding of the first stage.
        prefetch_top_k: How many nodes the first stage finds; ``similarity_top_k`` when that is more.
        callback_manager: LlamaIndex's callbacks.
        object_map: What the index nodes among the nodes stand for.
        verbose: Whether LlamaIndex prints what it follows.

    Raises:
        InputError: A number is not positive.
        InputTypeError: An argument has the wrong type.
    """

    def __init__(
        self,
        embedding: CoreModel | OnnxLateInteractionRerank | OnnxMuveraEmbedding,
        client: QdrantClient | None = None,
        aclient: AsyncQdrantClient | None = None,
        collection_name: str = "late-interaction",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        prefetch: BaseEmbedding | None = None,
        prefetch_top_k: int = 100,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self._model, self._reader = _core_model(embedding)
        if prefetch is not None and not isinstance(prefetch, BaseEmbedding):
            raise _wrong("prefetch", prefetch, "a BaseEmbedding, such as OnnxEmbedding")
        self.similarity_top_k = _positive(similarity_top_k, "similarity_top_k")
        self.prefetch_top_k = _positive(prefetch_top_k, "prefetch_top_k")
        self._client, self._aclient = _clients(client, aclient)
        self._name = collection_name
        if prefetch is not None and isinstance(self._reader, PageReader):
            raise _wrong("prefetch", prefetch, "None: a first stage reads texts, and this model reads pictures")
        self._first_stage = FirstStage(prefetch, self._model)
        self._opened: set[str] = set()
        super().__init__(callback_manager=callback_manager, object_map=object_map, verbose=verbose)

    @classmethod
    def from_nodes(
        cls,
        nodes: Iterable[BaseNode],
        embedding: CoreModel | OnnxLateInteractionRerank | OnnxMuveraEmbedding,
        client: QdrantClient | None = None,
        aclient: AsyncQdrantClient | None = None,
        collection_name: str = "late-interaction",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        prefetch: BaseEmbedding | None = None,
        prefetch_top_k: int = 100,
    ) -> Self:
        """Index nodes.

        Args:
            nodes: The nodes; one replaces the node that had its id.
            embedding: As for the class.
            client: As for the class; needed to add nodes here.
            aclient: As for the class.
            collection_name: As for the class.
            similarity_top_k: As for the class.
            prefetch: As for the class.
            prefetch_top_k: As for the class.

        Returns:
            The retriever.
        """
        nodes = _checked(nodes)
        made = cls(embedding, client, aclient, collection_name, similarity_top_k, prefetch, prefetch_top_k)
        made.add_nodes(nodes)
        return made

    @property
    def client(self) -> QdrantClient | None:
        """Qdrant's client."""
        return self._client

    def add_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes.

        Args:
            nodes: The nodes; one replaces the node that had its id.
        """
        nodes = _checked(nodes)
        self._reader.check(nodes)
        self._open(create=True)
        reader = self._first_stage.reader
        for window in _windows(nodes):
            self._store(window, None if reader is None else reader.get_text_embedding_batch(texts_of(window)))

    async def aadd_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Index further nodes without blocking the event loop.

        Args:
            nodes: The nodes; one replaces the node that had its id.
        """
        nodes = _checked(nodes)
        self._reader.check(nodes)
        await self._aopen(create=True)
        reader = self._first_stage.reader
        for window in _windows(nodes):
            first = None if reader is None else await reader.aget_text_embedding_batch(texts_of(window))
            if self._aclient is None:
                await self._model.run_async(partial(self._store, window, first))
                continue
            collection = AsyncCollection(self._aclient, self._name)
            waiting = batches(self._points(window, first))
            while batch := await self._model.run_async(partial(next, waiting, None)):
                await collection.add(batch)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        reader = self._first_stage.reader
        asked = _asked(query_bundle)
        first = None if reader is None else reader.get_agg_embedding_from_queries(asked)
        return self._search(asked, first)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        reader = self._first_stage.reader
        asked = _asked(query_bundle)
        first = None if reader is None else await reader.aget_agg_embedding_from_queries(asked)
        if self._aclient is None:
            return await self._model.run_async(lambda: self._search(asked, first))
        await self._aopen(create=False)
        question = await self._model.run_async(lambda: self._question(asked, first))
        return _nodes(await AsyncCollection(self._aclient, self._name).search(question))

    def _blocking(self) -> Collection:
        if self._client is None:
            from onnxembed.errors import InputError

            raise InputError(
                "a blocking call needs client=, only aclient= was given; pass both, or await aadd_nodes(), aretrieve()"
            )
        return Collection(self._client, self._name)

    def _layout(self) -> Layout:
        return Layout(self._model.embedding_size, self._first_stage.size, self._first_stage.dot)

    def _open(self, *, create: bool) -> None:
        """Check the collection once, or make it."""
        collection = self._blocking()
        if "client" not in self._opened:
            collection.open(self._layout(), create=create)
            self._opened.add("client")

    async def _aopen(self, *, create: bool) -> None:
        if self._aclient is None:
            await self._model.run_async(partial(self._open, create=create))
        elif "aclient" not in self._opened:
            layout = await self._model.run_async(self._layout)
            await AsyncCollection(self._aclient, self._name).open(layout, create=create)
            self._opened.add("aclient")

    def _store(self, nodes: list[BaseNode], first_stage: list[list[float]] | None) -> None:
        self._blocking().add(self._points(nodes, first_stage))

    def _points(self, nodes: list[BaseNode], first_stage: list[list[float]] | None) -> Iterator[PointStruct]:
        dim, encoder = self._model.embedding_size, self._first_stage.encoder
        singles = repeat(None) if first_stage is None else first_stage
        for node, matrix, single in zip(nodes, self._reader.documents(nodes), singles, strict=False):
            rows = with_rows(matrix, dim)
            first = single if encoder is None else encoder.process_document(rows).tolist()
            yield point(node.node_id, rows.tolist(), first, node_to_metadata_dict(node))

    def _question(self, asked: list[str], first_stage: list[float] | None) -> Question:
        rows = with_rows(np.concatenate(list(self._reader.queries(asked))), self._model.embedding_size)
        encoder = self._first_stage.encoder
        first = first_stage if encoder is None else encoder.process_query(rows).tolist()
        return Question(rows.tolist(), first, self.similarity_top_k, self.prefetch_top_k)

    def _search(self, asked: list[str], first_stage: list[float] | None) -> list[NodeWithScore]:
        self._open(create=False)
        return _nodes(self._blocking().search(self._question(asked, first_stage)))


def _core_model(given: object) -> tuple[CoreModel, NodeReader]:
    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

    model = given.engine if isinstance(given, OnnxLateInteractionRerank | OnnxMuveraEmbedding) else given
    if isinstance(model, LateInteractionMultimodalEmbedding):
        return model, PageReader(model)
    if not isinstance(model, LateInteractionTextEmbedding):
        expected = (
            "a LateInteractionTextEmbedding (with dense=True for the token vectors of a dense model) or, for pictures, "
            "a LateInteractionMultimodalEmbedding"
        )
        raise _wrong("embedding", given, expected)
    return model, TextReader(model)


def _clients(client: object, aclient: object) -> tuple[QdrantClient | None, AsyncQdrantClient | None]:
    from qdrant_client import AsyncQdrantClient, QdrantClient

    if client is None and aclient is None:
        return QdrantClient(":memory:"), None
    if client is not None and not isinstance(client, QdrantClient):
        raise _wrong("client", client, "a QdrantClient")
    if aclient is not None and not isinstance(aclient, AsyncQdrantClient):
        raise _wrong("aclient", aclient, "an AsyncQdrantClient")
    return client, aclient


def _wrong(name: str, given: object, expected: str) -> Exception:
    from onnxembed.errors import InputTypeError

    return InputTypeError(f"{name} is {type(given).__name__}, expected {expected}")


def _positive(number: int, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise _wrong(name, number, "an integer of 1 or more")
    if number < 1:
        from onnxembed.errors import InputError

        raise InputError(f"{name}={number}: expected 1 or more")
    return number


def _checked(nodes: Iterable[BaseNode]) -> list[BaseNode]:
    if isinstance(nodes, str) or not isinstance(nodes, Iterable):
        raise _wrong("nodes", nodes, "a list of nodes; wrap a single one in a list")
    given = list(nodes)
    for index, node in enumerate(given):
        if not isinstance(node, BaseNode):
            raise _wrong(f"node {index}", node, "a node, such as TextNode(text=...)")
    return given


def _windows(nodes: list[BaseNode]) -> Iterator[list[BaseNode]]:
    return (nodes[first : first + _WINDOW] for first in range(0, len(nodes), _WINDOW))


def _asked(query_bundle: QueryBundle) -> list[str]:
    """The texts to search with; an empty query is one, too."""
    return query_bundle.embedding_strs or [query_bundle.query_str]


def _nodes(found: list[ScoredPoint]) -> list[NodeWithScore]:
    return [NodeWithScore(node=metadata_dict_to_node(one.payload or {}), score=one.score) for one in found]

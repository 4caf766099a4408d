"""Retrieval by MaxSim over token vectors that Qdrant holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from langchain_onnxembed._documents import as_documents, documents_of, texts_of
from onnxembed.adapters.checks import positive, wrong_type
from onnxembed.adapters.late_interaction import LateInteractionModel, core_model
from onnxembed.adapters.windows import windows

try:
    from onnxembed.adapters.qdrant import Collection, as_client
    from onnxembed.adapters.two_stages import TwoStages
except ImportError as error:
    raise ImportError(
        'OnnxLateInteractionRetriever needs qdrant-client: pip install "langchain-onnxembed[qdrant]"'
    ) from error

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from onnxembed import LateInteractionTextEmbedding

__all__ = ["OnnxLateInteractionRetriever"]


class OnnxLateInteractionRetriever(BaseRetriever):
    """Onnx late-interaction retriever integration: MaxSim over the token vectors of a ColBERT model, held by Qdrant.

    A document's score is the sum, over the query's tokens, of the largest dot product with any of its own.

    Usage:
        ```python
        from langchain_onnxembed import OnnxLateInteractionRetriever  # pip install "langchain-onnxembed[qdrant]"
        from onnxembed import LateInteractionTextEmbedding

        colbert = LateInteractionTextEmbedding("answerdotai/answerai-colbert-small-v1")
        retriever = OnnxLateInteractionRetriever.from_documents(documents, colbert, k=4)
        ```

    Two stages:
        Without a first stage every query is compared with all tokens of all documents. With `prefetch`, dense vectors
        in the same collection find `prefetch_k` candidates. `OnnxMuveraEmbeddings` with the same settings needs no
        second inference.

    A retriever can be pickled with a local client, whose documents go along, but not with a connection to a server.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_default=True)

    embedding: Any = Field(description="The late-interaction model, from the core or an adapter.")
    client: Any = Field(default=None, description="Where the vectors are held; in memory when left out.")
    collection_name: str = Field(
        default="late-interaction", min_length=1, description="The collection; made when documents are added."
    )
    k: int = Field(default=4, ge=1, description="Most documents that a query finds.")
    prefetch: Embeddings | None = Field(default=None, description="The embeddings of the first stage.")
    prefetch_k: int = Field(default=100, ge=1, description="Documents that the first stage finds; `k` if that is more.")

    _opened: bool = PrivateAttr(default=False)

    @field_validator("embedding")
    @classmethod
    def _as_core_model(cls, given: Any) -> Any:
        from onnxembed import LateInteractionTextEmbedding

        model = core_model(given)
        if not isinstance(model, LateInteractionTextEmbedding):
            expected = "a LateInteractionTextEmbedding; make one with dense=True for the token vectors of a dense model"
            raise wrong_type("embedding", given, expected)
        return model

    @field_validator("client")
    @classmethod
    def _as_client(cls, given: Any) -> Any:
        return as_client(given)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: LateInteractionTextEmbedding | LateInteractionModel,
        *,
        client: QdrantClient | None = None,
        collection_name: str = "late-interaction",
        k: int = 4,
        prefetch: Embeddings | None = None,
        prefetch_k: int = 100,
    ) -> Self:
        """Index documents; one with an `id` replaces the document that had it. The other arguments are the fields."""
        documents = as_documents(documents, "from_documents")
        retriever = cls(
            embedding=embedding,
            client=client,
            collection_name=collection_name,
            k=k,
            prefetch=prefetch,
            prefetch_k=prefetch_k,
        )
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: LateInteractionTextEmbedding | LateInteractionModel,
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        client: QdrantClient | None = None,
        collection_name: str = "late-interaction",
        k: int = 4,
        prefetch: Embeddings | None = None,
        prefetch_k: int = 100,
    ) -> Self:
        """Index texts, with the metadata of each, as `from_documents` does documents."""
        return cls.from_documents(
            documents_of(texts, metadatas),
            embedding,
            client=client,
            collection_name=collection_name,
            k=k,
            prefetch=prefetch,
            prefetch_k=prefetch_k,
        )

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents. One with an `id` replaces the document that had it."""
        documents = as_documents(documents, "add_documents")
        self._open(create=True)
        reader = self._stages.reader
        for window in windows(documents):
            self._store(window, None if reader is None else reader.embed_documents(texts_of(window)))

    async def aadd_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents as `add_documents` does, without blocking the event loop."""
        documents = as_documents(documents, "aadd_documents")
        await self.embedding.run_async(partial(self._open, create=True))
        reader = self._stages.reader
        for window in windows(documents):
            first = None if reader is None else await reader.aembed_documents(texts_of(window))
            await self.embedding.run_async(partial(self._store, window, first))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        limit, reader = self._limit(k), self._stages.reader
        return self._search(query, None if reader is None else reader.embed_query(query), limit)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        limit, reader = self._limit(k), self._stages.reader
        first = None if reader is None else await reader.aembed_query(query)
        found: list[Document] = await self.embedding.run_async(lambda: self._search(query, first, limit))
        return found

    @property
    def _stages(self) -> TwoStages[Embeddings]:
        return TwoStages(self.embedding, self.prefetch)

    @property
    def _collection(self) -> Collection:
        return Collection(self.client, self.collection_name)

    def _open(self, *, create: bool) -> None:
        """Check the collection once, or make it."""
        if not self._opened:
            layout = self._stages.layout(lambda first, text: first.embed_query(text))
            self._collection.open(layout, create=create)
            self._opened = True

    def _store(self, documents: list[Document], first_stage: list[list[float]] | None) -> None:
        entries = [
            (one.id, {"page_content": one.page_content, "metadata": one.metadata, "id": one.id}) for one in documents
        ]
        matrices = self.embedding.passage_embed(texts_of(documents))
        self._collection.add(self._stages.points(entries, matrices, first_stage))

    def _limit(self, k: int | None) -> int:
        return self.k if k is None else positive(k, "k")

    def _search(self, query: str, first_stage: list[float] | None, limit: int) -> list[Document]:
        self._open(create=False)
        search = self._stages.search(self.embedding.query_embed([query]), first_stage, limit, self.prefetch_k)
        stored: list[dict[str, Any]] = [one.payload or {} for one in self._collection.search(search)]
        return [Document(one["page_content"], metadata=one["metadata"], id=one["id"]) for one in stored]

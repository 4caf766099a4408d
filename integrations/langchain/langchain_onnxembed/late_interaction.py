"""Retrieval by MaxSim over token vectors that Qdrant holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from langchain_onnxembed._documents import as_documents, documents_of, texts_of, windows
from langchain_onnxembed._first_stage import FirstStage
from langchain_onnxembed._qdrant import Collection, Layout, as_client, point, with_rows
from langchain_onnxembed.muvera import OnnxMuveraEmbeddings
from langchain_onnxembed.rerank import OnnxLateInteractionRerank

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import PointStruct

    from onnxembed import LateInteractionTextEmbedding

# Documents embedded and stored at once.
_WINDOW = 256


class OnnxLateInteractionRetriever(BaseRetriever):
    """Onnx late-interaction retriever integration: MaxSim over the token vectors of a ColBERT model, held by Qdrant.

    A document's score is the sum, over the query's tokens, of the largest dot product with any of its own.

    Setup:
        ```bash
        pip install -U "langchain-onnxembed[qdrant]"
        ```

    Key init args:
        embedding: LateInteractionTextEmbedding | OnnxLateInteractionRerank | OnnxMuveraEmbeddings
            The model, from the core or an adapter.
        client: QdrantClient | None
            Where the vectors are held; in memory when left out.
        collection_name: str
            The collection; it is made when documents are added, and may be there already.
        k: int
            The most documents a query finds.
        prefetch: Embeddings | None
            A first stage: only documents that it finds are compared token by token.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxLateInteractionRetriever
        from onnxembed import LateInteractionTextEmbedding

        colbert = LateInteractionTextEmbedding("answerdotai/answerai-colbert-small-v1")
        retriever = OnnxLateInteractionRetriever.from_documents(documents, colbert, k=4)
        ```

    Usage:
        ```python
        retriever.invoke("How do I parse a date?")
        ```

    Two stages:
        Without a first stage every query is compared with all tokens of all documents. With one, dense vectors in the
        same collection find `prefetch_k` candidates. `OnnxMuveraEmbeddings` with the same settings needs no second
        inference.

        ```python
        from langchain_onnxembed import OnnxEmbeddings

        retriever = OnnxLateInteractionRetriever.from_documents(
            documents, colbert, prefetch=OnnxEmbeddings(), prefetch_k=100, client=QdrantClient(url=url)
        )
        ```

    Use within a chain:
        ```python
        chain = {"context": retriever, "question": RunnablePassthrough()} | prompt | model
        ```

    Async:
        ```python
        await retriever.aadd_documents(documents)
        await retriever.ainvoke("How do I parse a date?")
        ```

    A retriever can be pickled with a local client, whose documents go along, but not with a connection to a server.

    Attributes:
        embedding: The core's late-interaction model.
        client: Qdrant's client.
        collection_name: Name of the collection.
        k: The most documents that a query finds.
        prefetch: The embeddings of the first stage.
        prefetch_k: How many documents the first stage finds; `k` when that is more.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_default=True)

    embedding: Any
    client: Any = None
    collection_name: str = Field(default="late-interaction", min_length=1)
    k: int = Field(default=4, ge=1)
    prefetch: Embeddings | None = None
    prefetch_k: int = Field(default=100, ge=1)

    _opened: bool = PrivateAttr(default=False)

    @field_validator("embedding")
    @classmethod
    def _as_core_model(cls, given: Any) -> Any:
        from onnxembed import LateInteractionTextEmbedding
        from onnxembed.errors import InputTypeError

        model = given.engine if isinstance(given, OnnxLateInteractionRerank | OnnxMuveraEmbeddings) else given
        if not isinstance(model, LateInteractionTextEmbedding):
            raise InputTypeError(
                f"embedding is {type(given).__name__}, expected a LateInteractionTextEmbedding; make one with "
                "dense=True for the token vectors of a dense model"
            )
        return model

    @field_validator("client")
    @classmethod
    def _as_client(cls, given: Any) -> Any:
        return as_client(given)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: LateInteractionTextEmbedding | OnnxLateInteractionRerank | OnnxMuveraEmbeddings,
        *,
        client: QdrantClient | None = None,
        collection_name: str = "late-interaction",
        k: int = 4,
        prefetch: Embeddings | None = None,
        prefetch_k: int = 100,
    ) -> Self:
        """Index documents.

        Args:
            documents: The documents. One with an `id` replaces the document that had it.
            embedding: The model, from the core or an adapter.
            client: Where the vectors are held; in memory when left out.
            collection_name: The collection; made if it is not there.
            k: The most documents a query finds.
            prefetch: The embeddings of a first stage.
            prefetch_k: How many documents the first stage finds.

        Returns:
            The retriever.
        """
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
        embedding: LateInteractionTextEmbedding | OnnxLateInteractionRerank | OnnxMuveraEmbeddings,
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        client: QdrantClient | None = None,
        collection_name: str = "late-interaction",
        k: int = 4,
        prefetch: Embeddings | None = None,
        prefetch_k: int = 100,
    ) -> Self:
        """Index texts.

        Args:
            texts: The texts.
            embedding: As for `from_documents`.
            metadatas: What is known of each, in the same order; as many as texts.
            client: As for `from_documents`.
            collection_name: As for `from_documents`.
            k: As for `from_documents`.
            prefetch: As for `from_documents`.
            prefetch_k: As for `from_documents`.

        Returns:
            The retriever.
        """
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
        """Index further documents.

        Args:
            documents: The documents. One with an `id` replaces the document that had it.
        """
        documents = as_documents(documents, "add_documents")
        self._open(create=True)
        stage = self._first_stage.reader
        for window in windows(documents, _WINDOW):
            self._store(window, None if stage is None else stage.embed_documents(texts_of(window)))

    async def aadd_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents without blocking the event loop.

        Args:
            documents: The documents. One with an `id` replaces the document that had it.
        """
        documents = as_documents(documents, "aadd_documents")
        await self.embedding.run_async(partial(self._open, create=True))
        stage = self._first_stage.reader
        for window in windows(documents, _WINDOW):
            first = None if stage is None else await stage.aembed_documents(texts_of(window))
            await self.embedding.run_async(partial(self._store, window, first))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        limit, stage = self._limit(k), self._first_stage.reader
        return self._search(query, None if stage is None else stage.embed_query(query), limit)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        limit, stage = self._limit(k), self._first_stage.reader
        first = None if stage is None else await stage.aembed_query(query)
        found: list[Document] = await self.embedding.run_async(lambda: self._search(query, first, limit))
        return found

    @property
    def _first_stage(self) -> FirstStage:
        return FirstStage(self.prefetch, self.embedding)

    def _open(self, *, create: bool) -> None:
        """Check the collection once, or make it."""
        if self._opened:
            return
        layout = Layout(self.embedding.embedding_size, self._first_stage.size, self._first_stage.dot)
        Collection(self.client, self.collection_name).open(layout, create=create)
        self._opened = True

    def _store(self, documents: list[Document], first_stage: list[list[float]] | None) -> None:
        Collection(self.client, self.collection_name).add(self._points(documents, first_stage))

    def _points(self, documents: list[Document], first_stage: list[list[float]] | None) -> Iterator[PointStruct]:
        dim, muvera = self.embedding.embedding_size, self._first_stage.muvera
        encoder = None if muvera is None else muvera.encoder
        matrices = self.embedding.passage_embed(texts_of(documents))
        singles = repeat(None) if first_stage is None else first_stage
        for document, matrix, single in zip(documents, matrices, singles, strict=False):
            rows = with_rows(matrix, dim)
            yield point(
                document.id,
                rows.tolist(),
                single if encoder is None else encoder.process_document(rows).tolist(),
                {"page_content": document.page_content, "metadata": document.metadata, "id": document.id},
            )

    def _limit(self, k: int | None) -> int:
        limit = self.k if k is None else k
        if limit < 1:
            from onnxembed.errors import InputError

            raise InputError(f"k={limit}: expected 1 or more")
        return limit

    def _search(self, query: str, first_stage: list[float] | None, limit: int) -> list[Document]:
        self._open(create=False)
        rows = with_rows(next(self.embedding.query_embed([query])), self.embedding.embedding_size)
        muvera = self._first_stage.muvera
        first = first_stage if muvera is None else muvera.encoder.process_query(rows).tolist()
        found = Collection(self.client, self.collection_name).search(rows.tolist(), first, limit, self.prefetch_k)
        stored: list[dict[str, Any]] = [one.payload or {} for one in found]
        return [Document(one["page_content"], metadata=one["metadata"], id=one["id"]) for one in stored]

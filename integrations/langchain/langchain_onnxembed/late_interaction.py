"""Retrieval by MaxSim over token vectors that Qdrant holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr, field_validator

from langchain_onnxembed._documents import as_documents, as_ids, documents_of, texts_of
from langchain_onnxembed._retriever import ScoringRetriever
from onnxembed.adapters.checks import wrong_type
from onnxembed.adapters.late_interaction import LateInteractionModel, core_model
from onnxembed.adapters.windows import windows
from onnxembed.errors import MissingExtraError

try:
    from onnxembed.adapters.memory import named
    from onnxembed.adapters.qdrant import Collection, as_client
    from onnxembed.adapters.qdrant_points import metadata_filter
    from onnxembed.adapters.two_stages import TwoStages
except ImportError as error:
    raise MissingExtraError(
        'OnnxLateInteractionRetriever needs qdrant-client: pip install "langchain-onnxembed[qdrant]"'
    ) from error

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter as QdrantFilter

    from onnxembed import LateInteractionTextEmbedding

__all__ = ["OnnxLateInteractionRetriever"]

Filter: TypeAlias = "Mapping[str, Any] | QdrantFilter"


class OnnxLateInteractionRetriever(ScoringRetriever):
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

    A ``filter`` is a mapping of metadata that must be equal, or a ``qdrant_client.models.Filter``, which calls metadata
    ``metadata.<name>``.

    A retriever can be pickled with a local client, whose documents go along, but not with a connection to a server.
    """

    embedding: Any = Field(description="The late-interaction model, from the core or an adapter.")
    client: Any = Field(default=None, description="Where the vectors are held; in memory when left out.")
    collection_name: str = Field(
        default="late-interaction", min_length=1, description="The collection; made when documents are added."
    )
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
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
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
            filter=filter,
            include_scores=include_scores,
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
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
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
            filter=filter,
            include_scores=include_scores,
        )

    def add_documents(self, documents: Iterable[Document]) -> list[str]:
        """Index further documents. One with an `id` replaces the document that had it.

        Args:
            documents: Their texts and metadata; an iterator is read whole first.

        Returns:
            The id of each, by which `delete` knows it; a new one where it has none.

        Raises:
            InputError: A document has more numbers than Qdrant takes for one point; nothing is stored then.
        """
        documents = as_documents(documents, "add_documents")
        self._prepare(documents)
        reader, names = self._stages.reader, named(document.id for document in documents)
        for window in windows(zip(names, documents, strict=True)):
            texts = [document.page_content for _, document in window]
            self._store(window, None if reader is None else reader.embed_documents(texts))
        return names

    async def aadd_documents(self, documents: Iterable[Document]) -> list[str]:
        """Index further documents as `add_documents` does, without blocking the event loop."""
        documents = as_documents(documents, "aadd_documents")
        await self.embedding.run_async(partial(self._prepare, documents))
        reader, names = self._stages.reader, named(document.id for document in documents)
        for window in windows(zip(names, documents, strict=True)):
            texts = [document.page_content for _, document in window]
            first = None if reader is None else await reader.aembed_documents(texts)
            await self.embedding.run_async(partial(self._store, window, first))
        return names

    def delete(self, ids: Iterable[str]) -> None:
        """Remove the documents of these ids; others are passed over."""
        given = as_ids(ids)
        self._open(create=False)
        self._collection.delete(given)

    async def adelete(self, ids: Iterable[str]) -> None:
        """Remove documents as `delete` does, without blocking the event loop."""
        await self.embedding.run_async(partial(self.delete, ids))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
    ) -> list[Document]:
        return self._told(self.similarity_search_with_score(query, k, filter))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
    ) -> list[Document]:
        return self._told(await self.asimilarity_search_with_score(query, k, filter))

    def _scored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        reader, kept = self._stages.reader, _as_filter(only)
        return self._search(query, None if reader is None else reader.embed_query(query), k, kept)

    async def _ascored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        reader, kept = self._stages.reader, _as_filter(only)
        first = None if reader is None else await reader.aembed_query(query)
        search = partial(self._search, query, first, k, kept)
        found: list[tuple[Document, float]] = await self.embedding.run_async(search)
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

    def _prepare(self, documents: list[Document]) -> None:
        self._open(create=True)
        self._stages.refuse_large_texts(texts_of(documents))

    def _store(self, documents: list[tuple[str, Document]], first_stage: list[list[float]] | None) -> None:
        entries = [
            (name, {"page_content": one.page_content, "metadata": one.metadata, "id": one.id})
            for name, one in documents
        ]
        matrices = self.embedding.passage_embed([one.page_content for _, one in documents])
        self._collection.add(self._stages.points(entries, matrices, first_stage))

    def _search(
        self, query: str, first_stage: list[float] | None, limit: int, only: QdrantFilter | None
    ) -> list[tuple[Document, float]]:
        self._open(create=False)
        search = self._stages.search(self.embedding.query_embed([query]), first_stage, limit, self.prefetch_k, only)
        return [(_document(one.payload or {}), one.score) for one in self._collection.search(search)]


def _document(stored: Mapping[str, Any]) -> Document:
    return Document(stored["page_content"], metadata=stored["metadata"], id=stored["id"])


def _as_filter(only: Any) -> QdrantFilter | None:
    from qdrant_client.models import Filter as QdrantFilter

    if only is None or isinstance(only, QdrantFilter):
        return only
    if not isinstance(only, Mapping):
        raise wrong_type("filter", only, "a mapping of metadata, or a qdrant_client.models.Filter")
    return metadata_filter(only)

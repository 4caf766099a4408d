"""Retrievers that need no vector store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from pydantic import Field, PrivateAttr

from langchain_onnxembed._documents import Filter, as_documents, as_ids, documents_of, keeper, texts_of
from langchain_onnxembed._retriever import ScoringRetriever
from onnxembed.adapters.memory import SparseMemory, named, sparse_core_model
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import MissingExtraError

try:
    import scipy.sparse  # noqa: F401 - the index needs it as soon as there is an object
except ImportError as error:
    raise MissingExtraError('OnnxSparseRetriever needs SciPy: pip install "langchain-onnxembed[retriever]"') from error

if TYPE_CHECKING:
    from onnxembed import SparseTextEmbedding

__all__ = ["OnnxSparseRetriever"]


class OnnxSparseRetriever(ScoringRetriever):
    """Exact sparse retrieval in memory: BM25, or a sparse model such as SPLADE.

    Documents live in this object, their vectors in an inverted index. Inverse document frequencies are those of the
    documents at hand. Only documents that share a word with the query are found.

    A ``filter`` is a mapping of metadata that must be equal, or a function from a document to whether it may be found.

    Usage:
        ```python
        from langchain_onnxembed import OnnxSparseRetriever  # pip install "langchain-onnxembed[retriever]"

        retriever = OnnxSparseRetriever.from_documents(documents, k=4)
        retriever.similarity_search_with_score("zeppelins", filter={"language": "en"})
        hybrid = EnsembleRetriever(retrievers=[retriever, store.as_retriever()], weights=[0.5, 0.5])
        ```
    """

    embedding: Any = Field(description="The core's sparse model.")

    _memory: SparseMemory[Document] = PrivateAttr(default_factory=SparseMemory)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: SparseTextEmbedding | SparseModel | None = None,
        *,
        k: int = 4,
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
    ) -> Self:
        """Index documents.

        Args:
            documents: The documents.
            embedding: The sparse model, from the core or an adapter; BM25 in English when left out, with the mean
                length that these documents have.
            k: Most documents that a query finds.
            filter: Which documents may be found; ``None`` for all.
            include_scores: Whether found documents have their score under ``relevance_score`` in their metadata.

        Returns:
            The retriever.
        """
        documents = as_documents(documents, "from_documents")
        model = sparse_core_model(embedding, texts_of(documents))
        retriever = cls(embedding=model, k=k, filter=filter, include_scores=include_scores)
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        embedding: SparseTextEmbedding | SparseModel | None = None,
        *,
        k: int = 4,
        filter: Filter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
    ) -> Self:
        """Index texts, with the metadata of each, as `from_documents` does documents."""
        documents = documents_of(texts, metadatas)
        return cls.from_documents(documents, embedding, k=k, filter=filter, include_scores=include_scores)

    def add_documents(self, documents: Iterable[Document]) -> list[str]:
        """Index further documents; one with an `id` replaces the document that had it.

        Args:
            documents: Their texts and metadata; an iterator is read whole first.

        Returns:
            The id of each, by which `delete` knows it; a new one where it has none.
        """
        documents = as_documents(documents, "add_documents")
        vectors = list(self.embedding.passage_embed(texts_of(documents)))
        names = named(document.id for document in documents)
        self._memory.add(names, documents, vectors)
        return names

    async def aadd_documents(self, documents: Iterable[Document]) -> list[str]:
        """Index further documents as `add_documents` does, without blocking the event loop."""
        added: list[str] = await self.embedding.run_async(partial(self.add_documents, documents))
        return added

    def delete(self, ids: Iterable[str]) -> None:
        """Remove the documents of these ids; others are passed over."""
        self._memory.remove(as_ids(ids))

    async def adelete(self, ids: Iterable[str]) -> None:
        """Remove documents as `delete` does, without blocking the event loop."""
        await self.embedding.run_async(partial(self.delete, ids))

    def _limit(self, k: int | None) -> int:
        return self.k if k is None else k  # the index checks it

    def _scored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        vector = next(self.embedding.query_embed([query]))
        found = self._memory.search(vector, k, idf=self.embedding.requires_idf, keep=keeper(only))
        return [(document, score) for _, document, score in found]

    async def _ascored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        found: list[tuple[Document, float]] = await self.embedding.run_async(partial(self._scored, query, k, only))
        return found

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

"""Retrievers that need no vector store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_onnxembed._documents import as_documents, documents_of, texts_of
from onnxembed.adapters.fields import SPARSE_MODEL
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from onnxembed import SparseIndex, SparseTextEmbedding

__all__ = ["OnnxSparseRetriever"]


class OnnxSparseRetriever(BaseRetriever):
    """Exact sparse retrieval in memory: BM25, or a sparse model such as SPLADE.

    Documents live in this object, their vectors in an inverted index. Inverse document frequencies are those of the
    documents at hand. Only documents that share a word with the query are found.

    Usage:
        ```python
        from langchain_onnxembed import OnnxSparseRetriever  # pip install "langchain-onnxembed[retriever]"

        retriever = OnnxSparseRetriever.from_documents(documents, k=4)
        hybrid = EnsembleRetriever(retrievers=[retriever, store.as_retriever()], weights=[0.5, 0.5])
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    embedding: Any = Field(description="The core's sparse model.")
    k: int = Field(default=4, ge=1, description="Most documents that a query finds.")

    # Both change together, as one: a query of another thread sees the old pair or the new one.
    _content: tuple[tuple[Document, ...], SparseIndex | None] = PrivateAttr(default=((), None))

    @classmethod
    def from_documents(
        cls, documents: Iterable[Document], embedding: SparseTextEmbedding | SparseModel | None = None, *, k: int = 4
    ) -> Self:
        """Index documents.

        Args:
            documents: The documents.
            embedding: The sparse model, from the core or an adapter; BM25 in English when left out, with the mean
                length that these documents have.
            k: Most documents that a query finds.

        Returns:
            The retriever.
        """
        documents = as_documents(documents, "from_documents")
        retriever = cls(embedding=_core_model(embedding, texts_of(documents)), k=k)
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
    ) -> Self:
        """Index texts, with the metadata of each, as `from_documents` does documents."""
        return cls.from_documents(documents_of(texts, metadatas), embedding, k=k)

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents."""
        from onnxembed import SparseIndex

        documents = as_documents(documents, "add_documents")
        vectors = list(self.embedding.passage_embed(texts_of(documents)))
        present, index = self._content
        self._content = ((*present, *documents), (index or SparseIndex()).extended(vectors))

    async def aadd_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents without blocking the event loop."""
        await self.embedding.run_async(lambda: self.add_documents(documents))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        return self._search(query, k)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002  # LangChain's interface
        k: int | None = None,
    ) -> list[Document]:
        found: list[Document] = await self.embedding.run_async(lambda: self._search(query, k))
        return found

    def _search(self, query: str, k: int | None) -> list[Document]:
        documents, index = self._content
        vector = next(self.embedding.query_embed([query]))
        if index is None:
            return []
        positions, _ = index.search(vector, self.k if k is None else k, idf=self.embedding.requires_idf)
        return [documents[position] for position in positions]


def _core_model(embedding: SparseTextEmbedding | SparseModel | None, texts: list[str]) -> SparseTextEmbedding:
    if embedding is not None:
        return embedding.engine if isinstance(embedding, SparseModel) else embedding
    from onnxembed import SparseTextEmbedding

    bm25 = SparseTextEmbedding(SPARSE_MODEL)
    try:
        return bm25.fit(texts)
    except InputError:  # not one word in them: there is no length to measure
        return bm25

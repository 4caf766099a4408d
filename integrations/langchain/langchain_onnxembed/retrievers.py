"""Retrievers that need no vector store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_onnxembed._documents import as_documents, documents_of, texts_of
from langchain_onnxembed._sparse_model import SparseModel

if TYPE_CHECKING:
    from onnxembed import SparseIndex, SparseTextEmbedding


class OnnxSparseRetriever(BaseRetriever):
    """Exact sparse retrieval in memory: BM25, or a sparse model such as SPLADE.

    Documents live in this object, their vectors in an inverted index. Inverse document frequencies are those of the
    documents at hand. Only documents that share a word with the query are found.

    Setup:
        ```bash
        pip install -U "langchain-onnxembed[retriever]"
        ```

    Key init args:
        embedding: SparseTextEmbedding | OnnxSparse | None
            The sparse model; BM25 in English when left out.
        k: int
            The most documents a query finds.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxSparseRetriever

        retriever = OnnxSparseRetriever.from_documents(documents, k=4)
        ```

    Usage:
        ```python
        retriever.invoke("parse a date")
        ```

    Use with a vector store:
        ```python
        from langchain_classic.retrievers import EnsembleRetriever

        hybrid = EnsembleRetriever(retrievers=[retriever, store.as_retriever()], weights=[0.5, 0.5])
        ```

    Attributes:
        embedding: The core's sparse model.
        k: The most documents that a query finds.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    embedding: Any
    k: int = Field(default=4, ge=1)

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
            k: The most documents a query finds.

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
        """Index texts.

        Args:
            texts: The texts.
            metadatas: What is known of each, in the same order.
            embedding: As for `from_documents`.
            k: The most documents a query finds.

        Returns:
            The retriever.

        Raises:
            ValueError: There are not as many metadatas as texts.
        """
        return cls.from_documents(documents_of(texts, metadatas), embedding, k=k)

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents.

        Args:
            documents: The documents.
        """
        from onnxembed import SparseIndex

        documents = as_documents(documents, "add_documents")
        vectors = list(self.embedding.passage_embed(texts_of(documents)))
        present, index = self._content
        self._content = ((*present, *documents), (index or SparseIndex()).extended(vectors))

    async def aadd_documents(self, documents: Iterable[Document]) -> None:
        """Index further documents without blocking the event loop.

        Args:
            documents: The documents.
        """
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
    from onnxembed.errors import InputError

    bm25 = SparseTextEmbedding("Qdrant/bm25")
    try:
        return bm25.fit(texts)
    except InputError:  # not one word in them: there is no length to measure
        return bm25

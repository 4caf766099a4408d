"""What the rerankers have in common: documents in, the best of them out with their scores, reported to callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field
from typing_extensions import override

from langchain_onnxembed._documents import SCORE, SINGLE, as_documents
from langchain_onnxembed._model import NamedModel
from onnxembed.adapters.checks import as_list
from onnxembed.adapters.rerank import RankingModel

__all__ = ["Compressor", "RankedIndex"]


class RankedIndex(TypedDict):
    """The place of a document in a ranking."""

    index: int
    relevance_score: float


class Compressor(NamedModel, RankingModel, BaseDocumentCompressor):
    """A reranker as LangChain uses it."""

    top_n: int | None = Field(default=3, ge=1, description="Most documents to keep; `None` keeps all.")

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Keep the best documents for a query, best first.

        Args:
            documents: The documents; they stay as they are.
            query: The query.
            callbacks: LangChain's callbacks, which see one run.

        Returns:
            Copies of the documents, with the score under ``relevance_score`` in their metadata.
        """
        documents = as_documents(documents, "compress_documents")
        if callbacks is None:
            return self._compress(documents, query)
        manager = CallbackManager.configure(inheritable_callbacks=callbacks)
        run = manager.on_chain_start({"name": type(self).__name__}, self._inputs(documents, query))
        try:
            kept = self._compress(documents, query)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(_outputs(kept))
        return kept

    @override
    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        documents = as_documents(documents, "acompress_documents")
        if callbacks is None:
            return await self._in_pool(lambda: self._compress(documents, query))
        manager = AsyncCallbackManager.configure(inheritable_callbacks=callbacks)
        run = await manager.on_chain_start({"name": type(self).__name__}, self._inputs(documents, query))
        try:
            kept = await self._in_pool(lambda: self._compress(documents, query))
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(_outputs(kept))
        return kept

    def rerank(self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None) -> list[RankedIndex]:
        """Rank texts or documents for a query.

        Args:
            documents: The texts or documents.
            query: The query.
            top_n: Most to return; ``None`` for the field's number.

        Returns:
            Position and score of each that is kept, best first.
        """
        return self.rerank_batch([query], [documents], top_n=top_n)[0]

    def rerank_batch(
        self,
        queries: Sequence[str],
        documents_per_query: Sequence[Sequence[str | Document]],
        *,
        top_n: int | None = None,
    ) -> list[list[RankedIndex]]:
        """Rank the documents of many queries at once, which share batches; gives what `rerank` gives, per query."""
        lists = as_list(documents_per_query, "rerank_batch", "lists of documents", SINGLE)
        texts = [_texts(as_list(documents, "rerank", "str or Document", SINGLE)) for documents in lists]
        asked = as_list(queries, "rerank_batch", "str", SINGLE)
        return [
            [RankedIndex(index=place.index, relevance_score=place.score) for place in ranking]
            for ranking in self._rank(asked, texts, self.top_n if top_n is None else top_n)
        ]

    async def arerank(
        self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None
    ) -> list[RankedIndex]:
        """Rank as `rerank` does, without blocking the event loop."""
        return await self._in_pool(lambda: self.rerank(documents, query, top_n=top_n))

    def _compress(self, documents: list[Document], query: str) -> list[Document]:
        return [_scored(documents[place["index"]], place["relevance_score"]) for place in self.rerank(documents, query)]

    def _inputs(self, documents: Sequence[Document], query: str) -> dict[str, Any]:
        return {"query": query, "document_count": len(documents), "model": self.model_name, "top_n": self.top_n}


def _texts(documents: Iterable[str | Document]) -> list[str]:
    return [document.page_content if isinstance(document, Document) else document for document in documents]


def _scored(document: Document, score: float) -> Document:
    """A copy of a document, of its own class and with its id, that tells its score."""
    metadata = {name: value for name, value in document.metadata.items() if name != SCORE}
    return document.model_copy(update={"metadata": {**metadata, SCORE: score}})


def _outputs(kept: Sequence[Document]) -> dict[str, Any]:
    return {"documents": list(kept), "scores": [document.metadata[SCORE] for document in kept]}

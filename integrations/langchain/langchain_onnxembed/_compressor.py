"""What the rerankers have in common: documents in, the best of them out with their scores, told to callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field

from langchain_onnxembed._engine import EngineModel, as_list

if TYPE_CHECKING:
    from onnxembed import RankedDocument

_SINGLE = "wrap a single one in a list"


class RankedIndex(TypedDict):
    """The place of a document in a ranking."""

    index: int
    relevance_score: float


class Compressor(EngineModel, BaseDocumentCompressor):
    """A reranker as LangChain uses it.

    Attributes:
        top_n: The most documents to keep; `None` keeps all.
        score_threshold: Documents with a lower score are left out, before `top_n` counts.
    """

    top_n: int | None = Field(default=3, ge=1)
    score_threshold: float | None = None

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        """Rank the documents of each query; every reranker does."""
        raise NotImplementedError

    async def _in_pool(self, function: Callable[[], Any]) -> Any:
        """Await a blocking call in the engine's pool."""
        return await self._open(lazy_load=True).run_async(function)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Keep the best documents for a query, best first.

        Args:
            documents: The documents; they stay as they are.
            query: The query.
            callbacks: LangChain's callbacks; they are told of one run.

        Returns:
            Copies of the documents, with the score under ``relevance_score`` in their metadata.
        """
        documents = as_list(documents, "compress_documents", "Document", _SINGLE)
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

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Keep the best documents for a query, best first, without blocking the event loop.

        Args:
            documents: The documents; they stay as they are.
            query: The query.
            callbacks: LangChain's callbacks; they are told of one run.

        Returns:
            Copies of the documents, with the score under ``relevance_score`` in their metadata.
        """
        documents = as_list(documents, "acompress_documents", "Document", _SINGLE)
        if callbacks is None:
            return await self._acompress(documents, query)
        manager = AsyncCallbackManager.configure(inheritable_callbacks=callbacks)
        run = await manager.on_chain_start({"name": type(self).__name__}, self._inputs(documents, query))
        try:
            kept = await self._acompress(documents, query)
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
            top_n: The most to return; ``None`` for the field's number.

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
        """Rank the documents of many queries at once; they share batches.

        Args:
            queries: The queries.
            documents_per_query: For each query its texts or documents.
            top_n: The most to return for each; ``None`` for the field's number.

        Returns:
            For each query what ``rerank`` returns.
        """
        texts = [_texts(as_list(documents, "rerank", "str or Document", _SINGLE)) for documents in documents_per_query]
        asked = as_list(queries, "rerank_batch", "str", _SINGLE)
        return [
            [RankedIndex(index=place.index, relevance_score=place.score) for place in ranking]
            for ranking in self._rank(asked, texts, self.top_n if top_n is None else top_n)
        ]

    async def arerank(
        self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None
    ) -> list[RankedIndex]:
        """Rank texts or documents for a query, without blocking the event loop.

        Args:
            documents: The texts or documents.
            query: The query.
            top_n: The most to return; ``None`` for the field's number.

        Returns:
            Position and score of each that is kept, best first.
        """
        ranking: list[RankedIndex] = await self._in_pool(lambda: self.rerank(documents, query, top_n=top_n))
        return ranking

    def _compress(self, documents: list[Document], query: str) -> list[Document]:
        return [_scored(documents[place["index"]], place["relevance_score"]) for place in self.rerank(documents, query)]

    async def _acompress(self, documents: list[Document], query: str) -> list[Document]:
        kept: list[Document] = await self._in_pool(lambda: self._compress(documents, query))
        return kept

    def _inputs(self, documents: Sequence[Document], query: str) -> dict[str, Any]:
        return {"query": query, "document_count": len(documents), "model": self.model_name, "top_n": self.top_n}


def _texts(documents: Iterable[str | Document]) -> list[str]:
    return [document.page_content if isinstance(document, Document) else document for document in documents]


def _scored(document: Document, score: float) -> Document:
    """A copy of a document, of its own class and with its id, that tells its score."""
    metadata = {name: value for name, value in document.metadata.items() if name != "relevance_score"}
    return document.model_copy(update={"metadata": {**metadata, "relevance_score": score}})


def _outputs(kept: Sequence[Document]) -> dict[str, Any]:
    return {"documents": list(kept), "scores": [document.metadata["relevance_score"] for document in kept]}

"""What the retrievers have in common: scores, filters, and how many documents they find."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from langchain_onnxembed._documents import SCORE
from onnxembed.adapters.checks import positive
from onnxembed.adapters.refusals import Refusing

__all__ = ["ScoringRetriever"]


class ScoringRetriever(Refusing, BaseRetriever):
    """A retriever that knows the scores of what it finds."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_default=True)

    k: int = Field(default=4, ge=1, description="Most documents that a query finds.")
    filter: Any = Field(default=None, description="Which documents may be found; `None` for all.")
    include_scores: bool = Field(
        default=False,
        description="Whether found documents have their score under `relevance_score` in their metadata, as the "
        "rerankers give it.",
    )

    def similarity_search_with_score(
        self,
        query: str,
        k: int | None = None,
        filter: Any = None,  # noqa: A002 - LangChain's name
    ) -> list[tuple[Document, float]]:
        """Find documents with their scores, which are raw: larger is better, and models differ.

        Args:
            query: The query.
            k: Most documents to find; ``None`` for the field's number.
            filter: Which documents may be found; ``None`` for the field's choice.

        Returns:
            Documents and scores, best first.
        """
        return self._scored(query, self._limit(k), self.filter if filter is None else filter)

    async def asimilarity_search_with_score(
        self,
        query: str,
        k: int | None = None,
        filter: Any = None,  # noqa: A002 - LangChain's name
    ) -> list[tuple[Document, float]]:
        """Find documents as `similarity_search_with_score` does, without blocking the event loop."""
        return await self._ascored(query, self._limit(k), self.filter if filter is None else filter)

    def _scored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        """Find documents and scores; every kind does."""
        raise NotImplementedError

    async def _ascored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        raise NotImplementedError

    def _limit(self, k: int | None) -> int:
        return self.k if k is None else positive(k, "k")

    def _told(self, found: list[tuple[Document, float]]) -> list[Document]:
        """The documents, with their scores where these are asked for; those that are held stay as they are."""
        if not self.include_scores:
            return [document for document, _ in found]
        return [one.model_copy(update={"metadata": {**one.metadata, SCORE: score}}) for one, score in found]

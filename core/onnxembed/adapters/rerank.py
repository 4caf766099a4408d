"""Models that rank documents for queries: cross-encoders and late interaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field

from onnxembed.adapters.engine import EngineModel
from onnxembed.adapters.fields import RerankFields
from onnxembed.adapters.late_interaction import LateInteractionModel
from onnxembed.rerank.options import CrossEncoderOptions

if TYPE_CHECKING:
    from onnxembed import RankedDocument, TextCrossEncoder

__all__ = ["CrossEncoderModel", "CrossEncoderRanking", "LateInteractionRanking", "RankingModel"]


class RankingModel(EngineModel):
    """A model that orders documents by their score."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "top_k": "here it is called 'top_n'",
        "threshold": "here it is called 'score_threshold'",
    }

    score_threshold: float | None = Field(
        default=None, description="Documents with a lower score are left out, before `top_n` counts."
    )

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        """Rank the documents of each query, best first; every kind does."""
        raise NotImplementedError


class CrossEncoderModel(RerankFields, EngineModel):
    """A `TextCrossEncoder` behind fields."""

    options_class: ClassVar[type[CrossEncoderOptions]] = CrossEncoderOptions

    @classmethod
    def core_class(cls) -> type[TextCrossEncoder]:
        """Give the core's class."""
        from onnxembed import TextCrossEncoder

        return TextCrossEncoder

    @property
    def engine(self) -> TextCrossEncoder:
        """The core object that does the work; equal settings share one set of weights."""
        return cast("TextCrossEncoder", self._current().engine)


class CrossEncoderRanking(CrossEncoderModel, RankingModel):
    """Ranking by a cross-encoder, which reads query and document together."""

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        with self._in_our_words():
            return self.engine.rank_many(
                queries, documents, top_n, self.score_threshold, batch_size=self.batch_size, parallel=self.parallel
            )


class LateInteractionRanking(LateInteractionModel, RankingModel):
    """Ranking by MaxSim: the sum, over a query's tokens, of the largest dot product with any token of the document."""

    normalize_scores: bool = Field(
        default=False,
        description="Whether scores are divided by the number of the query's token vectors, so that queries compare.",
    )

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        with self._in_our_words():
            return self.engine.rank_many(
                queries,
                documents,
                top_n,
                self.score_threshold,
                normalize_scores=self.normalize_scores,
                batch_size=self.batch_size,
                parallel=self.parallel,
            )

"""Scores into a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan

from onnxembed.api.inputs import check_count, check_number


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document in its place.

    Attributes:
        index: Its position among the documents that were given, from 0.
        score: Its score, after the activation.
        document: Its text.
    """

    index: int
    score: float
    document: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What is kept of a ranking.

    Attributes:
        top_k: Most documents, or ``None`` for all.
        threshold: Least score, or ``None`` for any.
    """

    top_k: int | None
    threshold: float | None


def check_cut(top_k: int | None, threshold: float | None) -> Cut:
    """Check what is to be kept of a ranking."""
    return Cut(
        None if top_k is None else check_count(top_k, "top_k", 1),
        # The bounds of floating-point numbers: any number, but neither infinite nor NaN.
        None if threshold is None else check_number(threshold, "threshold", -inf, inf),
    )


def ranked(scores: Sequence[float], documents: Sequence[str], cut: Cut) -> list[RankedDocument]:
    """Sort documents by falling score; equal ones keep their order, and those without a score (NaN) come last.

    The threshold, which NaN never reaches, is applied before the number of documents.
    """
    order = [index for index, score in enumerate(scores) if not isnan(score)]
    order.sort(key=scores.__getitem__, reverse=True)
    if cut.threshold is not None:
        order = [index for index in order if scores[index] >= cut.threshold]
    elif len(order) < len(scores):
        order += [index for index, score in enumerate(scores) if isnan(score)]
    return [RankedDocument(index, scores[index], documents[index]) for index in order[: cut.top_k]]

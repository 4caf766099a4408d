"""The rows of a file that answer a question best: all are looked at, block by block, so nothing is approximated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from onnxembed.api.quantization import Output
from onnxembed.api.vectors import normalize
from onnxembed.cli.vectors.columns import Array
from onnxembed.cli.vectors.stored import Entries, Stored
from onnxembed.late_interaction.maxsim import maxsim
from onnxembed.late_interaction.multi_vectors import MultiVectors
from onnxembed.sparse.idf import inverse_document_frequency
from onnxembed.sparse.vector import SparseEmbedding

COSINE, DOT = "cosine", "dot"


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found.

    Attributes:
        position: Its position, counted from 0.
        score: Its score.
    """

    position: int
    score: float


class Scorer(Protocol):
    """Compares a question with rows."""

    columns: tuple[str, ...]

    def scores(self, block: Mapping[str, Entries]) -> Array:
        """Score the rows of a block: (questions, rows); NaN for a row that is not found."""
        ...


def best(file: Stored, scorer: Scorer, questions: int, top_k: int) -> list[list[Hit]]:
    """Find the best rows for each question; equal scores in the order of the rows."""
    columns = [column for column in file.record.columns if column.name in scorer.columns]
    kept = [(np.zeros(0, np.float64), np.zeros(0, np.int64))] * questions
    first = 0
    for block in file.blocks(columns):
        scores = scorer.scores(block)
        positions = np.arange(first, first + scores.shape[1])
        first += scores.shape[1]
        kept = [_better(one, scores[row], positions, top_k) for row, one in enumerate(kept)]
    return [[Hit(int(place), float(score)) for score, place in zip(*one, strict=True)] for one in kept]


def _better(kept: tuple[Array, Array], scores: Array, positions: Array, top_k: int) -> tuple[Array, Array]:
    there = ~np.isnan(scores)
    all_scores = np.concatenate([kept[0], scores[there].astype(np.float64)])
    all_positions = np.concatenate([kept[1], positions[there]])
    if len(all_scores) > top_k:
        least = np.partition(all_scores, len(all_scores) - top_k)[len(all_scores) - top_k]
        all_scores, all_positions = all_scores[all_scores >= least], all_positions[all_scores >= least]
    order = np.argsort(-all_scores, kind="stable")[:top_k]
    return all_scores[order], all_positions[order]


class Dense:
    """One vector for each row.

    Args:
        column: The column.
        questions: (questions, dim) float.
        precision: In which numbers the rows are kept.
        ranges: With which ranges.
        similarity: `COSINE` or `DOT`.
    """

    def __init__(self, column: str, questions: Array, precision: str, ranges: Any, similarity: str) -> None:
        self.columns: tuple[str, ...] = (column,)
        self._output = Output.read(precision, ranges)
        self._cosine = similarity == COSINE
        self._questions = self._scaled(questions.astype(np.float32))

    def _scaled(self, vectors: Array) -> Array:
        return normalize(vectors) if self._cosine else vectors

    def scores(self, block: Mapping[str, Entries]) -> Array:
        """Score the rows of a block."""
        (entries,) = block.values()
        vectors = self._output.decode(np.asarray(entries.numbers), self._questions.shape[1])
        scores: Array = self._questions @ self._scaled(vectors).T
        return scores


class Tokens:
    """Any number of vectors for each row, compared by MaxSim.

    Args:
        column: The column.
        questions: (tokens, dim) float matrices.
        precision: In which numbers the rows are kept.
        ranges: With which ranges.
    """

    def __init__(self, column: str, questions: list[Array], precision: str, ranges: Any) -> None:
        self.columns: tuple[str, ...] = (column,)
        self._output = Output.read(precision, ranges)
        self._questions = questions

    def scores(self, block: Mapping[str, Entries]) -> Array:
        """Score the rows of a block."""
        (entries,) = block.values()
        offsets = np.zeros(1, np.int64) if entries.offsets is None else entries.offsets
        decoded = self._output.decode(np.asarray(entries.numbers), self._questions[0].shape[1])
        documents = MultiVectors(np.ascontiguousarray(decoded, np.float32), offsets)
        return np.stack([maxsim(question, documents) for question in self._questions])


class Sparse:
    """Sparse vectors, compared by their dot product; a row without a term of the question is not found.

    Args:
        questions: The questions.
        frequencies: For each question in how many rows each of its terms occurs, and the number of rows, where the
            rarity of a term is to count; else ``None``.
    """

    def __init__(self, questions: list[SparseEmbedding], frequencies: tuple[list[Array], int] | None) -> None:
        self.columns: tuple[str, ...] = ("indices", "values")
        self._terms = [question.indices for question in questions]
        self._weights = [question.values for question in questions]
        if frequencies is not None:
            counts, rows = frequencies
            self._weights = [
                weights * inverse_document_frequency(count, rows)
                for weights, count in zip(self._weights, counts, strict=True)
            ]

    def scores(self, block: Mapping[str, Entries]) -> Array:
        """Score the rows of a block."""
        indices, values = np.asarray(block["indices"].numbers), np.asarray(block["values"].numbers)
        offsets = block["indices"].offsets
        rows = np.repeat(np.arange(len(block["indices"])), 1 if offsets is None else np.diff(offsets))
        return np.stack(
            [
                self._of(terms, weights, indices, values, rows, len(block["indices"]))
                for terms, weights in zip(self._terms, self._weights, strict=True)
            ]
        )

    def _of(self, terms: Array, weights: Array, indices: Array, values: Array, rows: Array, count: int) -> Array:
        places, known = _found(terms, indices)
        products = values[known] * weights[places[known]]
        scores = np.bincount(rows[known], products, minlength=count).astype(np.float64)  # of none, it gives integers
        scores[scores == 0] = np.nan
        return scores


def frequencies(file: Stored, questions: list[SparseEmbedding]) -> tuple[list[Array], int]:
    """Count in how many rows each term of each question occurs."""
    counts = [np.zeros(len(question), np.int64) for question in questions]
    columns = [column for column in file.record.columns if column.name == "indices"]
    for block in file.blocks(columns):
        indices = np.asarray(block["indices"].numbers)
        for question, count in zip(questions, counts, strict=True):
            places, known = _found(question.indices, indices)
            count += np.bincount(places[known], minlength=len(count))
    return counts, file.record.rows


def _found(terms: Array, indices: Array) -> tuple[Array, Array]:
    """Where each index is among the terms, which ascend, and whether it is one of them."""
    if not len(terms):
        return np.zeros(len(indices), np.int64), np.zeros(len(indices), bool)
    places = np.minimum(np.searchsorted(terms, indices), len(terms) - 1)
    return places, terms[places] == indices


def stacked(vectors: Iterable[Array]) -> Array:
    """Give the vectors of questions as a matrix."""
    return np.stack(list(vectors))

"""MiniCOIL: BM25 in which each known word has a few numbers for its sense instead of one (Qdrant, 2025).

``e = tanh(mean of the word's token vectors @ W[word])`` gives the sense, scaled to length 1 and multiplied by BM25's
weight of the word; words outside the vocabulary have that weight alone, at a number of their stem. Queries have no such
weight. The store brings in the inverse document frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.minicoil_words import MiniCoilTables, ResolvedText
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.text.graph import PaddedTokens

Array = np.ndarray[Any, np.dtype[Any]]

# Below this length a sense is left as it is.
_SHORTEST = 1e-8
# Indices are below this.
_INDICES = 2**31


@dataclass(frozen=True, slots=True)
class WordWeights:
    """BM25's part of a word's weight, ``c * (k + 1) / (c + k * (1 - b + b * n / avg_len))``.

    Attributes:
        k: How slowly repetition stops to count.
        b: How much the length of a document counts, 0 to 1.
        avg_len: Mean length of a document, in words.
    """

    k: float
    b: float
    avg_len: float

    def of(self, counts: Array, lengths: Array) -> Array:
        """Weigh words that occur ``counts`` times in documents of ``lengths`` words, as float64."""
        weights: Array = counts * (self.k + 1) / (counts + self.k * (1 - self.b + self.b * lengths / self.avg_len))
        return weights


@dataclass(frozen=True, slots=True)
class _Known:
    """The known words of a batch, each once per text."""

    keys: Array  # (words,) text and number as one, ascending
    rows: Array  # (words,) text of each
    words: Array  # (words,) number of each, from 1
    values: Array  # (words, dim) float64, its sense
    counts: Array  # (words,) occurrences


@dataclass(frozen=True, slots=True)
class _Others:
    """The stems of a batch that have no matrix, as often as they occur."""

    keys: Array  # (stems,) text and index as one
    same: Array  # (stems,) text, and number of the known word that is spelt like the stem or 0, as one


@dataclass(frozen=True, slots=True)
class MiniCoilWeigher:
    """Turns the token vectors of a batch into sparse vectors.

    Attributes:
        output: Name of the graph output, (batch, sequence, hidden).
        tables: The vocabulary and its matrices.
        weights: BM25's part for documents, ``None`` for queries.
    """

    output: str
    tables: MiniCoilTables
    weights: WordWeights | None

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector per text; refuses an output that is not (batch, sequence, hidden)."""
        if self.tables.file is not None:
            self.tables.file.check()
        hidden = self.tables.senses.shape[1]
        if output.shape != (*padded.mask.shape, hidden):
            raise ModelError(
                f"the graph's output {self.output!r} has the shape {list(output.shape)}; the word matrices need token "
                f"vectors of the shape {[*padded.mask.shape, hidden]}. Do graph and matrices belong together?"
            )
        kept = padded.mask > 0
        texts = [
            self.tables.words.resolve(ids[mask]) for ids, mask in zip(padded.ids.astype(np.int32), kept, strict=True)
        ]
        known = self._known(output[kept], texts)
        others = self._others(texts)
        # An unknown word may have the spelling of a known one as its stem: where that one occurs, it is counted there.
        met = np.isin(others.same, known.keys)
        counts = known.counts + np.bincount(np.searchsorted(known.keys, others.same[met]), minlength=len(known.keys))
        keys, other_counts = np.unique(others.keys[~met], return_counts=True)
        other_rows, other_indices = np.divmod(keys, _INDICES)
        lengths = np.bincount(known.rows, counts, len(texts)) + np.bincount(other_rows, other_counts, len(texts))

        dim = self.tables.senses.shape[2]
        rows = np.concatenate([np.repeat(known.rows, dim), other_rows])
        indices = np.concatenate([(known.words[:, None] * dim + np.arange(dim)).ravel(), other_indices])
        values = known.values * self._weight(counts, lengths[known.rows])[:, None]
        values = np.concatenate([values.ravel(), self._weight(other_counts, lengths[other_rows])])
        order = np.lexsort((indices, rows))
        return split_by_text(rows[order], indices[order], values[order], len(texts))

    def _weight(self, counts: Array, lengths: Array) -> Array:
        return np.ones(len(counts)) if self.weights is None else self.weights.of(counts, lengths)

    def _known(self, vectors: Array, texts: Sequence[ResolvedText]) -> _Known:
        """Average the vectors of each known word of each text, and let its matrix read the mean."""
        words = len(self.tables.senses)
        pieces = _keys([text.pieces for text in texts], words)
        order = np.argsort(pieces, kind="stable")
        order = order[pieces[order] % words > 0]
        keys, starts, sizes = np.unique(pieces[order], return_index=True, return_counts=True)
        rows, numbers = np.divmod(keys, words)
        if not len(keys):
            return _Known(keys, rows, numbers, np.zeros((0, self.tables.senses.shape[2])), np.zeros(0, dtype=np.int64))
        sums = np.add.reduceat(vectors[order].astype(np.float32, copy=False), starts, axis=0)
        means = (sums / sizes[:, None]).astype(np.float32)
        values = np.tanh(np.matmul(means[:, None], self.tables.senses[numbers])[:, 0]).astype(np.float64)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        values = np.where(length < _SHORTEST, values, values / np.maximum(length, _SHORTEST))
        occurrences = _keys([text.known for text in texts], words)
        counts = np.bincount(np.searchsorted(keys, occurrences), minlength=len(keys))
        return _Known(keys, rows, numbers, values, counts)

    def _others(self, texts: Sequence[ResolvedText]) -> _Others:
        return _Others(
            keys=_keys([text.others[:, 0] for text in texts], _INDICES),
            same=_keys([text.others[:, 1] for text in texts], len(self.tables.senses)),
        )


def _keys(numbers: Sequence[Array], most: int) -> Array:
    """Make one number of each text and a number below ``most``; ordered by text, then by number."""
    rows = np.repeat(np.arange(len(numbers)), [len(of_text) for of_text in numbers])
    keys: Array = rows * most + np.concatenate(numbers)
    return keys

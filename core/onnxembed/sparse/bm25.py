"""BM25 document and query vectors, without a model (Robertson and Zaragoza, 2009).

The score of a document is the dot product of its vector with the query's, once the query's values or the store bring in
the inverse document frequency.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import Any, TypeVar, cast

import numpy as np

from onnxembed.errors import InputError
from onnxembed.runtime import forks
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.sparse.bm25_settings import Bm25Settings
from onnxembed.sparse.chunk_numbers import ChunkNumbers
from onnxembed.sparse.counts import TermCounts, count_terms
from onnxembed.sparse.processes import map_in_processes
from onnxembed.sparse.statistics import Bm25Statistics, gather
from onnxembed.sparse.terms import MEMORY_LIMIT
from onnxembed.sparse.vector import FlatVectors, SparseEmbedding
from onnxembed.sparse.words import END, join

Array = np.ndarray[Any, np.dtype[Any]]
ResultT = TypeVar("ResultT")

# Texts that are counted together: enough to make a call of numpy cheap, few enough for the processor's caches.
WINDOW_TEXTS = 512
WINDOW_CHARACTERS = 1_000_000


class Bm25:
    """Turns texts into BM25 vectors; safe to share between threads, and pickles as its settings.

    A document's value for a term is ``f * (k + 1) / (f + k * (1 - b + b * n / avg_len))``, with ``f`` the term's
    occurrences and ``n`` the document's words after filtering; a query's value is 1, or the term's inverse document
    frequency. Texts without a word that counts have the empty vector.
    """

    def __init__(self, settings: Bm25Settings) -> None:
        self.settings = settings
        self.avg_len = settings.avg_len
        self._k = cast("float", settings.options.k)
        self._b = cast("float", settings.options.b)
        self._words = settings.words()
        self._numbers = ChunkNumbers(settings.terms(self._words))

    def __reduce__(self) -> tuple[type[Bm25], tuple[Bm25Settings]]:
        return type(self), (self.settings,)

    @property
    def statistics(self) -> Bm25Statistics | None:
        """What `fit` measured, or what was given."""
        return self.settings.options.statistics

    def embed(self, documents: Iterable[str], workers: int = 1) -> Iterator[SparseEmbedding]:
        """Turn documents into vectors, streamed: one per document, in order.

        So many processes share the work, this one included. They start in some tenths of a second: worth it from some
        100,000 texts on.
        """
        elsewhere = self.encode if workers == 1 else self._plain().encode
        encoded = self._map(self.encode, elsewhere, _windows(documents), workers)
        return forks.kept_here(chain.from_iterable(vectors.split() for vectors in encoded))

    def query_embed(self, queries: Iterable[str]) -> Iterator[SparseEmbedding]:
        """Turn queries into vectors: every term once, as 1.0, or its rarity with ``idf_in_query``."""
        encoded = map(self._encode_queries, _windows(queries))
        return forks.kept_here(chain.from_iterable(vectors.split() for vectors in encoded))

    def token_count(self, texts: Iterable[str]) -> int:
        """Count the words of all texts before any is dropped."""
        words = self._words
        total = 0
        for window in _windows(texts):
            for chunk, occurrences in Counter(join(window, words).split()).items():
                total += occurrences * (0 if chunk == END else len(words.split(chunk.decode())))
        return total

    def fit(self, texts: Iterable[str], workers: int = 1) -> Bm25:
        """Make a model with these settings and the statistics of a collection: mean length and document frequencies.

        The texts are read once, as a stream; only the table of terms is held.
        """
        plain = self._plain()
        parts = self._map(plain.measure, plain.measure, _windows(texts), workers)
        statistics = gather(self.settings.identity(), parts)
        if not statistics.token_count:
            raise InputError(f"fit() found no word in {statistics.document_count} texts; expected some to measure")
        return Bm25(self.settings.changed(avg_len=None, statistics=statistics))

    def encode(self, documents: Sequence[str]) -> FlatVectors:
        """Turn documents that are checked already into vectors that share their arrays."""
        found = self._count(documents)
        k, b = self._k, self._b
        # In this order of operations the numbers are fastembed's to the last digit.
        norms = k * (1 - b + b * found.lengths / self.avg_len)
        values = found.counts * (k + 1) / (found.counts + norms[found.documents])
        return FlatVectors(values, found.ids, found.ends)

    def measure(self, documents: Sequence[str]) -> tuple[int, int, Array, Array]:
        """Count documents, their words, and the documents that hold each term (ids and frequencies, both int64)."""
        found = self._count(documents)
        ids, frequencies = np.unique(found.ids, return_counts=True)
        return len(documents), int(found.lengths.sum()), ids, frequencies

    def _encode_queries(self, queries: Sequence[str]) -> FlatVectors:
        found = self._count(queries)
        statistics = self.statistics
        if self.settings.options.idf_in_query and statistics is not None:
            return FlatVectors(statistics.idf(found.ids), found.ids, found.ends)
        return FlatVectors(np.ones(len(found.ids)), found.ids, found.ends)

    def _plain(self) -> Bm25:
        """The model without its statistics, which documents do not need: small to send to other processes."""
        return Bm25(self.settings.changed(avg_len=self.avg_len, statistics=None, idf_in_query=False))

    def _count(self, texts: Sequence[str]) -> TermCounts:
        numbers = self._numbers
        if numbers.terms.size > MEMORY_LIMIT:
            # New tables instead of emptied ones: another thread may be in the middle of the old ones.
            numbers = self._numbers = ChunkNumbers(self.settings.terms(self._words))
        return count_terms(join(texts, self._words), len(texts), numbers)

    @staticmethod
    def _map(
        here: Callable[[Sequence[str]], ResultT],
        elsewhere: Callable[[Sequence[str]], ResultT],
        windows: Iterator[Sequence[str]],
        workers: int,
    ) -> Iterator[ResultT]:
        """Do the work in this process, or share it with others when there is more than a window of it."""
        if workers == 1:
            yield from map(here, windows)
            return
        first = list(islice(windows, 2))
        if len(first) < 2:
            yield from map(here, first)
            return
        yield from map_in_processes(elsewhere, chain(first, windows), workers - 1, here)


def _windows(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """Group texts; a cancelled call stops before its next group."""
    for window in _grouped(texts):
        checkpoint()
        yield window


def _grouped(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    if isinstance(texts, list | tuple):
        yield from _windows_of_held(texts)
        return
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text)
        if len(window) == WINDOW_TEXTS or characters >= WINDOW_CHARACTERS:
            yield window
            window = []
            characters = 0
    if window:
        yield window


def _windows_of_held(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Group texts that are all in memory."""
    start = 0
    while start < len(texts):
        window = texts[start : start + WINDOW_TEXTS]
        characters = list(accumulate(map(len, window)))
        if characters[-1] > WINDOW_CHARACTERS:
            window = window[: max(1, bisect_right(characters, WINDOW_CHARACTERS))]
        yield window
        start += len(window)

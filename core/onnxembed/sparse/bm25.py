"""BM25 document and query vectors, without a model (Robertson and Zaragoza, 2009).

The score of a document is the dot product of its vector with the query's, once the query's values or the store bring in
the inverse document frequency.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onnxembed.api.inputs import as_texts, check_count, check_text
from onnxembed.errors import InputError
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.sparse.bm25_settings import Bm25Settings
from onnxembed.sparse.chunk_numbers import ChunkNumbers
from onnxembed.sparse.counts import TermCounts, count_terms
from onnxembed.sparse.processes import map_in_processes
from onnxembed.sparse.scripts import Segmenter
from onnxembed.sparse.statistics import Bm25Statistics, gather
from onnxembed.sparse.terms import MEMORY_LIMIT, Stemmer
from onnxembed.sparse.vector import FlatVectors, SparseEmbedding
from onnxembed.sparse.words import END, join

Array = np.ndarray[Any, np.dtype[Any]]
ResultT = TypeVar("ResultT")

# Texts that are counted together: enough to make a call of numpy cheap, few enough for the processor's caches.
_WINDOW_TEXTS = 512
_WINDOW_CHARACTERS = 1_000_000


class Bm25:
    """Turns texts into BM25 vectors.

    A document's value for a term is ``f * (k + 1) / (f + k * (1 - b + b * n / avg_len))``, with ``f`` the term's
    occurrences and ``n`` the document's words after filtering; a query's value is 1, or the term's inverse document
    frequency. Texts without a word that counts have the empty vector. Safe to share between threads; pickles as its
    settings.

    Attributes:
        settings: The arguments, checked.
        avg_len: Mean length of a document, in words after filtering.
    """

    def __init__(
        self,
        language: str = "english",
        *,
        k: float = 1.2,
        b: float = 0.75,
        avg_len: float | None = None,
        token_max_length: int = 40,
        disable_stemmer: bool = False,
        stemmer: Stemmer | None = None,
        stopwords: Iterable[str] | None = None,
        compatible: bool = False,
        segmenter: Segmenter | None = None,
        statistics: Bm25Statistics | None = None,
        idf_in_query: bool = False,
        stop_words_folder: Path | str | None = None,
    ) -> None:
        """Check the settings. Nothing is downloaded.

        Args:
            language: Name or ISO 639-1 code of one of Snowball's eighteen languages; any name with a stemmer of one's
                own or none.
            k: How slowly repetition stops to count, at least 0.
            b: How much the length of a document counts, 0 to 1.
            avg_len: Mean length of a document, in words after filtering; ``None`` for that of ``statistics``, or 256.
            token_max_length: Longer words are dropped, in code points.
            disable_stemmer: Keep words whole; without ``stopwords=``, none are dropped then.
            stemmer: An object with ``stem_word(word) -> str``, instead of Snowball.
            stopwords: Words to drop, instead of the language's list; an empty collection drops none.
            compatible: Give fastembed 0.9.1's numbers to the last digit, its faults included, for an index that was
                made with it. Only the order of the entries differs: here ids ascend.
            segmenter: Cuts a run of characters of scripts without spaces (Chinese, Japanese, Korean, Thai, ...) into
                words; ``None`` for overlapping pairs of characters.
            statistics: What `fit` measured, with the same settings.
            idf_in_query: Put the inverse document frequency into query vectors, for stores that cannot.
            stop_words_folder: A folder with files ``<language>.txt``, one word a line; they win over the package's.

        Raises:
            InputTypeError: If an argument is of the wrong type.
            InputError: If one is out of range, arguments contradict each other, or the language is unknown.
            ModelError: If a stop word file is not UTF-8.
        """
        # The settings turn collections and strings into what they declare.
        words: Any = stopwords
        folder: Any = stop_words_folder
        self._open(
            Bm25Settings(
                language=language,
                k=k,
                b=b,
                avg_len=avg_len,
                token_max_length=token_max_length,
                disable_stemmer=disable_stemmer,
                stemmer=stemmer,
                stopwords=words,
                compatible=compatible,
                segmenter=segmenter,
                statistics=statistics,
                idf_in_query=idf_in_query,
                stop_words_folder=folder,
            )
        )

    @classmethod
    def of(cls, settings: Bm25Settings) -> Bm25:
        """Make a model of settings.

        Args:
            settings: The settings.

        Returns:
            The model.
        """
        model = cls.__new__(cls)
        model._open(settings)
        return model

    def _open(self, settings: Bm25Settings) -> None:
        """Prepare what this process needs."""
        self.settings = settings
        self.avg_len = settings.mean_length()
        self._words = settings.words()
        self._numbers = ChunkNumbers(settings.terms(self._words))

    def __getstate__(self) -> Bm25Settings:
        return self.settings

    def __setstate__(self, settings: Bm25Settings) -> None:
        self._open(settings)

    @property
    def statistics(self) -> Bm25Statistics | None:
        """What `fit` measured, or what was given."""
        return self.settings.statistics

    def embed(self, documents: str | Iterable[str], parallel: int | None = None) -> Iterator[SparseEmbedding]:
        """Turn documents into vectors, streamed.

        Args:
            documents: A text, a collection of texts, or an iterable of any length.
            parallel: Processes to share the work, this one included; 0 for one a processor, ``None`` for this alone.
                They start in some tenths of a second: worth it from some 100,000 texts on. Scripts need the usual
                ``__main__`` guard.

        Returns:
            An iterator over one vector a document, in order; values float64, ids int64 ascending.

        Raises:
            InputTypeError: If something else than texts is given.
            InputError: If ``parallel`` is negative, or a text is not valid Unicode.
            InferenceError: While iterating, if a process ends or fails.
        """
        windows = _windows(as_texts(documents, "documents"))
        plain = Bm25.of(replace(self.settings, avg_len=self.avg_len, statistics=None, idf_in_query=False))
        encoded = self._map(self.encode, plain.encode, windows, _workers(parallel))
        return chain.from_iterable(vectors.split() for vectors in encoded)

    def embed_batch(self, documents: Sequence[str]) -> list[SparseEmbedding]:
        """Turn documents that are checked already into vectors, at once.

        Args:
            documents: Texts of valid Unicode.

        Returns:
            One vector a document.
        """
        return self.encode(documents).split()

    def query_embed(self, queries: str | Iterable[str]) -> Iterator[SparseEmbedding]:
        """Turn queries into vectors: every term once.

        Args:
            queries: A text, a collection of texts, or an iterable of any length.

        Returns:
            An iterator over one vector a query, in order; values are 1.0, or with ``idf_in_query`` the inverse document
            frequencies.

        Raises:
            InputTypeError: If something else than texts is given.
            InputError: If a text is not valid Unicode.
        """
        windows = _windows(as_texts(queries, "queries"))
        return chain.from_iterable(self._encode_queries(window).split() for window in windows)

    def token_count(self, texts: str | Iterable[str]) -> int:
        """Count words before any is dropped.

        Args:
            texts: A text, a collection of texts, or an iterable of any length.

        Returns:
            The words of all texts.

        Raises:
            InputTypeError: If something else than texts is given.
        """
        words = self._words
        total = 0
        for window in _windows(as_texts(texts, "texts")):
            for chunk, occurrences in Counter(join(window, words).split()).items():
                total += occurrences * (0 if chunk == END else len(words.split(chunk.decode())))
        return total

    def fit(self, texts: str | Iterable[str], parallel: int | None = None) -> Bm25:
        """Measure a collection: its mean length and how many documents hold each term.

        The texts are read once, as a stream; only the table of terms is held.

        Args:
            texts: The documents.
            parallel: See `embed`.

        Returns:
            A new model with these settings, with the statistics and their mean length.

        Raises:
            InputTypeError: If something else than texts is given.
            InputError: If there is no word in them at all, or a text is not valid Unicode.
            InferenceError: If a process ends or fails.
        """
        windows = _windows(as_texts(texts, "texts"))
        plain = Bm25.of(replace(self.settings, statistics=None, idf_in_query=False))
        parts = self._map(plain.measure, plain.measure, windows, _workers(parallel))
        statistics = gather(self.settings.identity(), parts)
        if not statistics.token_count:
            raise InputError(f"fit() found no word in {statistics.document_count} texts; expected some to measure")
        return Bm25.of(replace(self.settings, avg_len=None, statistics=statistics))

    def encode(self, documents: Sequence[str]) -> FlatVectors:
        """Turn documents that are checked already into vectors that share their arrays.

        Args:
            documents: Texts of valid Unicode.

        Returns:
            The vectors.
        """
        found = self._count(documents)
        settings = self.settings
        # In this order of operations the numbers are fastembed's to the last digit.
        norms = settings.k * (1 - settings.b + settings.b * found.lengths / self.avg_len)
        values = found.counts * (settings.k + 1) / (found.counts + norms[found.documents])
        return FlatVectors(values, found.ids, found.ends)

    def measure(self, documents: Sequence[str]) -> tuple[int, int, Array, Array]:
        """Count the documents that hold each term.

        Args:
            documents: Texts of valid Unicode.

        Returns:
            Documents; their words; numbers of terms, and the documents that hold each, both int64.
        """
        found = self._count(documents)
        ids, frequencies = np.unique(found.ids, return_counts=True)
        return len(documents), int(found.lengths.sum()), ids, frequencies

    def _encode_queries(self, queries: Sequence[str]) -> FlatVectors:
        """Vectors of queries."""
        found = self._count(queries)
        statistics = self.settings.statistics
        if self.settings.idf_in_query and statistics is not None:
            return FlatVectors(statistics.idf(found.ids), found.ids, found.ends)
        return FlatVectors(np.ones(len(found.ids)), found.ids, found.ends)

    def _count(self, texts: Sequence[str]) -> TermCounts:
        """Count the terms of a window of texts."""
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
        """Do the work in this process, or in others when there is more than a window of it."""
        if workers == 1:
            yield from map(here, windows)
            return
        first = list(islice(windows, 2))
        if len(first) < 2:
            yield from map(here, first)
            return
        yield from map_in_processes(elsewhere, chain(first, windows), workers - 1, here)


def _workers(parallel: int | None) -> int:
    """How many processes share the work."""
    return 1 if parallel is None else check_count(parallel, "parallel", 0) or usable_cpus()


def _windows(texts: Iterable[object]) -> Iterator[Sequence[str]]:
    """Texts in groups, checked as they are read."""
    if isinstance(texts, list | tuple):
        yield from _windows_of_checked(texts)
        return
    window: list[str] = []
    characters = 0
    for index, raw in enumerate(texts):
        text = check_text(raw, index)
        window.append(text)
        characters += len(text)
        if len(window) == _WINDOW_TEXTS or characters >= _WINDOW_CHARACTERS:
            yield window
            window = []
            characters = 0
    if window:
        yield window


def _windows_of_checked(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Groups of texts that were checked already."""
    start = 0
    while start < len(texts):
        window = texts[start : start + _WINDOW_TEXTS]
        characters = list(accumulate(map(len, window)))
        if characters[-1] > _WINDOW_CHARACTERS:
            window = window[: max(1, bisect_right(characters, _WINDOW_CHARACTERS))]
        yield window
        start += len(window)

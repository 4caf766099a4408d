"""What BM25 measures on a collection: its mean length and how many documents hold each term."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import InputError, InputTypeError, ModelError
from onnxembed.hub.disk import private_name
from onnxembed.sparse.idf import inverse_document_frequency

Array = np.ndarray[Any, np.dtype[Any]]

_FORMAT = "onnxembed-bm25-statistics-1"
_HIGHEST_ID = 1 << 31
# New terms are collected up to so many entries before they are merged into the table.
PENDING_ENTRIES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bm25Statistics:
    """Counts of a collection; those of two collections add up.

    Attributes:
        made_with: The settings that decide which terms a text has; counts made with others cannot be used together.
        document_count: Documents, empty ones included.
        token_count: Words of all documents that no filter dropped.
        ids: (terms,) int64 numbers of terms, ascending and unique, 0 to 2^31.
        document_frequencies: (terms,) int64 documents that hold the term, 1 to ``document_count``.
    """

    made_with: str
    document_count: int
    token_count: int
    ids: Array
    document_frequencies: Array

    def __post_init__(self) -> None:
        ids = np.array(self.ids, dtype=np.int64, ndmin=1)
        frequencies = np.array(self.document_frequencies, dtype=np.int64, ndmin=1)
        wrong = _what_is_wrong(ids, frequencies, self.document_count, self.token_count)
        if wrong:
            raise InputError(f"these are no statistics: {wrong}")
        ids.flags.writeable = frequencies.flags.writeable = False
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "document_frequencies", frequencies)

    @property
    def avg_len(self) -> float:
        """Mean number of words per document; 0.0 without documents."""
        return self.token_count / self.document_count if self.document_count else 0.0

    def idf(self, ids: Any) -> Array:
        """Weigh terms by their rarity: ``ln((N - n + 0.5) / (n + 0.5) + 1)``.

        Args:
            ids: (any,) numbers of terms; one that never occurred counts as in no document.

        Returns:
            (any,) float64, above 0.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        n = np.zeros(wanted.shape, dtype=np.float64)
        if len(self.ids):
            places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
            found = self.ids[places] == wanted
            n[found] = self.document_frequencies[places[found]]
        return inverse_document_frequency(n, self.document_count)

    def merge(self, other: Bm25Statistics) -> Bm25Statistics:
        """Add the counts of another collection, as ``+`` does; an InputError if they were made with other settings."""
        if not isinstance(other, Bm25Statistics):
            raise InputTypeError(f"statistics can be merged with statistics; got {type(other).__name__}")
        check_same_settings(self.made_with, other.made_with)
        ids, frequencies = _added(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.document_frequencies, other.document_frequencies]),
        )
        return Bm25Statistics(
            self.made_with,
            self.document_count + other.document_count,
            self.token_count + other.token_count,
            ids,
            frequencies,
        )

    def __add__(self, other: Bm25Statistics) -> Bm25Statistics:
        return self.merge(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bm25Statistics):
            return NotImplemented
        return (
            (self.made_with, self.document_count, self.token_count)
            == (other.made_with, other.document_count, other.token_count)
            and np.array_equal(self.ids, other.ids)
            and np.array_equal(self.document_frequencies, other.document_frequencies)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Bm25Statistics({self.document_count} documents, {len(self.ids)} terms, avg_len={self.avg_len:.4g}, "
            f"{self.made_with})"
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write one file, by custom ``*.npz``, which appears whole or not at all; its folder must exist."""
        target = Path(path)
        staged = private_name(target)
        try:
            with staged.open("wb") as file:
                np.savez_compressed(
                    file,
                    format=np.array(_FORMAT),
                    made_with=np.array(self.made_with),
                    totals=np.array([self.document_count, self.token_count], dtype=np.int64),
                    ids=self.ids.astype(np.uint32),
                    document_frequencies=self.document_frequencies,
                )
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Bm25Statistics:
        """Read a file that `save` wrote; a ModelError if it is damaged or not such a file. Nothing in it is run."""
        hint = "it is damaged or not a file of Bm25Statistics.save(); make it again with Bm25.fit()"
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(file["format"]) != _FORMAT:
                    raise ValueError(f"its format is {str(file['format'])!r}, not {_FORMAT!r}")
                totals = file["totals"]
                return cls(
                    str(file["made_with"]),
                    int(totals[0]),
                    int(totals[1]),
                    file["ids"].astype(np.int64, casting="safe"),
                    file["document_frequencies"].astype(np.int64, casting="safe"),
                )
        except _DAMAGE as error:
            raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}); {hint}") from error


# What damaged and foreign files raise, an OSError of the system aside; InputError is a ValueError.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    TypeError,
    ValueError,
)


def gather(made_with: str, parts: Iterable[tuple[int, int, Array, Array]]) -> Bm25Statistics:
    """Add up the counts of many small groups of documents, each as `Bm25.measure` gives it."""
    documents = tokens = pending = 0
    ids: list[Array] = [np.zeros(0, dtype=np.int64)]
    frequencies: list[Array] = [np.zeros(0, dtype=np.int64)]
    for part_documents, part_tokens, part_ids, part_frequencies in parts:
        documents += part_documents
        tokens += part_tokens
        pending += len(part_ids)
        ids.append(part_ids)
        frequencies.append(part_frequencies)
        if pending > max(PENDING_ENTRIES, len(ids[0])):
            table = _added(np.concatenate(ids), np.concatenate(frequencies))
            ids, frequencies = [table[0]], [table[1]]
            pending = 0
    return Bm25Statistics(made_with, documents, tokens, *_added(np.concatenate(ids), np.concatenate(frequencies)))


def check_same_settings(ours: str, theirs: str) -> None:
    """Refuse counts that were made with other settings."""
    if ours != theirs:
        raise InputError(
            f"statistics made with {theirs} cannot be used with {ours}; measure them again with Bm25.fit()"
        )


def _added(ids: Array, frequencies: Array) -> tuple[Array, Array]:
    """Give unique ids, and the sums of their frequencies."""
    unique, places = np.unique(ids, return_inverse=True)
    # bincount adds in float64, which is exact here: no count comes near 2^53.
    return unique, np.bincount(places, weights=frequencies, minlength=len(unique)).astype(np.int64)


def _what_is_wrong(ids: Array, frequencies: Array, document_count: int, token_count: int) -> str:
    """Say why these cannot be counts of a collection; empty when they can."""
    if ids.ndim != 1 or ids.shape != frequencies.shape:
        return f"ids have the shape {list(ids.shape)}, document frequencies {list(frequencies.shape)}"
    if document_count < 0 or token_count < int(frequencies.sum()):
        return f"{document_count} documents with {token_count} words in all, and {int(frequencies.sum())} entries"
    if len(ids) and (ids[0] < 0 or ids[-1] > _HIGHEST_ID or not (ids[1:] > ids[:-1]).all()):
        return "ids are not ascending numbers from 0 to 2^31"
    if len(ids) and (frequencies.min() < 1 or frequencies.max() > document_count):
        return f"a document frequency is not between 1 and {document_count}"
    return ""

"""How often each term occurs in each of many texts, counted all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.sparse.chunk_numbers import ChunkNumbers
from onnxembed.sparse.terms import END_NUMBER, FIRST_GROUP, Terms, term_id
from onnxembed.sparse.words import END

Array = np.ndarray[Any, np.dtype[Any]]

# Term numbers go up to 2^31, so a text's position fits above them.
_SHIFT = 32
_LOW = (1 << _SHIFT) - 1


@dataclass(frozen=True, slots=True)
class TermCounts:
    """The terms of texts, sorted by text and number.

    Attributes:
        documents: (entries,) int64 position of the text.
        ids: (entries,) int64 number of the term, ascending and unique within a text.
        counts: (entries,) int64 occurrences.
        lengths: (texts,) int64 words that no filter dropped.
    """

    documents: Array
    ids: Array
    counts: Array
    lengths: Array

    @property
    def ends(self) -> Array:
        """(texts,) int64, where the entries of each text end."""
        return np.cumsum(np.bincount(self.documents, minlength=len(self.lengths)))


def count_terms(joined: bytes, text_count: int, chunk_numbers: ChunkNumbers) -> TermCounts:
    """Count the terms of texts, which `onnxembed.sparse.words.join` has joined.

    Occurrences of stems that share a number are added up, unless the terms track collisions: then the stem that
    appears last for the first time decides, as in fastembed 0.9.1.
    """
    terms = chunk_numbers.terms
    numbers = _with_groups(chunk_numbers.of(joined), terms)
    kept = numbers >= 0
    documents = np.cumsum(numbers == END_NUMBER)[kept]
    keys = (documents << _SHIFT) | numbers[kept]
    keys.sort()
    starts = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    unique = keys[first]
    found = TermCounts(
        documents=unique >> _SHIFT,
        ids=unique & _LOW,
        counts=np.diff(first, append=len(keys)),
        lengths=np.bincount(documents, minlength=text_count),
    )
    if terms.collided:
        _let_the_last_decide(found, joined.split(), terms)
    return found


def _with_groups(numbers: Array, terms: Terms) -> Array:
    """Replace the numbers of chunks of several terms by those of the terms."""
    several = numbers <= FIRST_GROUP
    if not several.any():
        return numbers
    groups = [terms.groups[group] for group in (FIRST_GROUP - numbers[several]).tolist()]
    repeats = np.ones(len(numbers), dtype=np.int64)
    repeats[several] = [len(group) for group in groups]
    spread = np.repeat(numbers, repeats)
    spread[spread <= FIRST_GROUP] = [number for group in groups for number in group]
    return spread


def _let_the_last_decide(found: TermCounts, chunks: Sequence[bytes], terms: Terms) -> None:
    """Put other counts where stems share a number; rare, so one entry at a time."""
    affected = np.flatnonzero(np.isin(found.ids, list(terms.collided))).tolist()
    if not affected:
        return
    ends = [-1, *(place for place, chunk in enumerate(chunks) if chunk == END), len(chunks)]
    for entry in affected:
        document, number = int(found.documents[entry]), int(found.ids[entry])
        own = chunks[ends[document] + 1 : ends[document + 1]]
        # A Counter keeps the order of first appearance.
        stems = Counter(stem for chunk in own for stem in terms.stems(chunk) if term_id(stem) == number)
        found.counts[entry] = list(stems.values())[-1]

"""From chunks of text to numbers of terms, remembered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from onnxembed.errors import InputTypeError
from onnxembed.sparse.words import END, Words

# What a chunk's number says when it is not that of its only term.
DROPPED = -1
END_NUMBER = -2
FIRST_GROUP = -3
# Bytes remembered, by a coarse estimate, before all are forgotten: room for the vocabulary of most collections.
MEMORY_LIMIT = 32_000_000
_BYTES_AN_ENTRY = 200


class Stemmer(Protocol):
    """Cuts endings off; any object with this method will do, such as those of py_rust_stemmers."""

    def stem_word(self, word: str) -> str:
        """Give the stem of a word in lower case; an empty one drops the word."""


def term_id(stem: str) -> int:
    """Number a term, 0 to 2^31: the absolute value of its 32-bit MurmurHash3 (x86, seed 0) as a signed integer.

    This is the scheme of Qdrant/bm25, so that vectors of both go into one index. Different terms may share a number.
    """
    import mmh3

    return abs(mmh3.hash(stem))


class Terms(dict[bytes, int]):
    """The number of each chunk, found on first use.

    A chunk with one term has the term's number (`term_id`). A chunk whose words are all filtered out has `DROPPED`, the
    separator of texts `END_NUMBER`; one with several terms has ``FIRST_GROUP - g``, and they are ``groups[g]``.
    With ``track_collisions``, ``collided`` keeps the numbers for which two different stems were met; ``size`` is an
    estimate of the bytes remembered.
    """

    def __init__(
        self,
        words: Words,
        stemmer: Stemmer | None,
        stop_words: frozenset[str],
        token_max_length: int,
        *,
        track_collisions: bool,
    ) -> None:
        """Start with nothing remembered; words of more than ``token_max_length`` code points are dropped."""
        import mmh3

        super().__init__({END: END_NUMBER})
        self._hash = mmh3.hash
        self._words = words
        self._stem_word = stemmer.stem_word if stemmer is not None else None
        self._stop_words = stop_words
        self._token_max_length = token_max_length
        self._number_of: dict[str, int] = {}
        self._stem_of: dict[int, str] | None = {} if track_collisions else None
        self._lock = threading.Lock()
        self.groups: list[list[int]] = []
        self.collided: set[int] = set()
        self.size = 0

    def numbers(self, chunks: Sequence[bytes]) -> list[int]:
        """Number chunks, most of which were not met before."""
        self._learn_plain(chunks)
        return [self[chunk] for chunk in chunks]

    def _learn_plain(self, chunks: Sequence[bytes]) -> None:
        """Number the chunks that are one plain word each, as new ones in most texts are, without a call for each step.

        Does to a word what `_number` does.
        """
        if not self._words.ascii_is_one_word:
            return
        trim, stem_word, hashed = self._words.trim, self._stem_word, self._hash
        stop_words, longest, stem_of = self._stop_words, self._token_max_length, self._stem_of
        size = 0
        for chunk in set(chunks).difference(self):
            word = chunk.decode()
            if not word.isascii():
                continue
            if not word.isalnum():
                word = trim(word)
            if not word or word in stop_words or len(word) > longest:
                self[chunk] = DROPPED
                continue
            stem = word if stem_word is None else stem_word(word)
            if not isinstance(stem, str):
                continue  # refused where it is asked for by itself
            number = self[chunk] = abs(hashed(stem)) if stem else DROPPED
            if stem_of is not None and stem and stem_of.setdefault(number, stem) != stem:
                self.collided.add(number)
            size += len(word)
        self.size += size + _BYTES_AN_ENTRY * len(chunks)

    def __missing__(self, chunk: bytes) -> int:
        words = self._words.split(chunk.decode())
        found = [number for number in map(self._number, words) if number != DROPPED]
        if len(found) > 1:
            with self._lock:
                self.groups.append(found)
                number = FIRST_GROUP - (len(self.groups) - 1)
        else:
            number = found[0] if found else DROPPED
        self[chunk] = number
        self.size += _BYTES_AN_ENTRY + len(chunk) + 8 * len(found)
        return number

    def stems(self, chunk: bytes) -> list[str]:
        """Give the stems of a chunk's words, without those that are dropped."""
        return [stem for word in self._words.split(chunk.decode()) if (stem := self._stem(word))]

    def _number(self, word: str) -> int:
        """Give the number of a word's term."""
        number = self._number_of.get(word)
        if number is None:
            stem = self._stem(word)
            number = self._number_of[word] = term_id(stem) if stem else DROPPED
            self.size += _BYTES_AN_ENTRY + len(word)
            if stem and self._stem_of is not None and self._stem_of.setdefault(number, stem) != stem:
                self.collided.add(number)
        return number

    def _stem(self, word: str) -> str:
        """Give what is left of a word; empty when it is dropped."""
        word = self._words.trim(word)
        if not word or word in self._stop_words or len(word) > self._token_max_length:
            return ""
        if self._stem_word is None:
            return word
        stem = self._stem_word(word)
        if not isinstance(stem, str):
            raise InputTypeError(f"stemmer.stem_word({word!r}) gave {stem!r}; expected a string")
        return stem

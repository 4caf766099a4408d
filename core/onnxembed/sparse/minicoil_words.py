"""The vocabulary of MiniCOIL: which words have matrices, and how the others count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.hub.content import content_digest
from onnxembed.hub.files import FolderFiles
from onnxembed.runtime.mapped_file import MappedFile
from onnxembed.sparse.pieces import REMEMBERED_WORDS, WordPieces, read_stop_words
from onnxembed.sparse.spec import MATRICES_FILE, WORDS_FILE
from onnxembed.sparse.terms import term_id
from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]

_LANGUAGE = "english"
_BERT_TOKENS = frozenset({"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"})
_LONGEST_STEM = 40
# Numbers of unknown words begin at a multiple of this, one whole range above the known ones.
_RANGE = 32_000
_HIGHEST_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that have matrices.

    Attributes:
        numbers: Number of each word, from 1.
        stems: The word that stands for a stem.
        dim: Numbers of a sense.
    """

    numbers: Mapping[str, int]
    stems: Mapping[str, str]
    dim: int

    @property
    def first_unknown(self) -> int:
        """The index at which unknown words begin."""
        return ((len(self.numbers) + 1) * self.dim // _RANGE + 2) * _RANGE


@dataclass(frozen=True, slots=True)
class _Word:
    """What a word counts as."""

    number: int  # of its matrix; 0 when it has none
    # Without a matrix: the index of each of its stems, and the number of the known word that is spelt like it, or 0.
    others: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedText:
    """The words of one text.

    Attributes:
        pieces: (tokens,) int64, for each token the number of its word; 0 without a matrix.
        known: (words,) int64, the number of each word that has a matrix.
        others: (stems, 2) int64, see `_Word`.
    """

    pieces: Array
    known: Array
    others: Array


class MiniCoilWords:
    """Finds how the words of a text count."""

    def __init__(self, pieces: WordPieces, vocabulary: Vocabulary, stop_words: frozenset[str]) -> None:
        from py_rust_stemmers import SnowballStemmer

        self._pieces = pieces
        self._vocabulary = vocabulary
        self._stop_words = stop_words
        self._stem = SnowballStemmer(_LANGUAGE).stem_word
        self._word = lru_cache(REMEMBERED_WORDS)(self._resolve)

    def resolve(self, ids: Array) -> ResolvedText:
        """Find the words of a text, given its (tokens,) int32 ids; special tokens are words that do not count."""
        starts = self._pieces.starts(ids)
        words = [self._word(key) for key in self._pieces.keys(ids, starts)]
        numbers = np.array([word.number for word in words], dtype=np.int64)
        others = [stem for word in words for stem in word.others]
        return ResolvedText(
            pieces=np.repeat(numbers, np.diff(starts, append=len(ids))),
            known=numbers[numbers > 0],
            others=np.array(others, dtype=np.int64).reshape(-1, 2),
        )

    def _resolve(self, key: bytes) -> _Word:
        """Find the word itself, the stem that it is, or the stem that it has; else its stems."""
        text = self._pieces.spell(key)
        if text in self._stop_words:
            return _Word(0)
        numbers, stems = self._vocabulary.numbers, self._vocabulary.stems
        for spelling in (text, stems.get(text), stems.get(self._stem(text))):
            if spelling is not None and spelling in numbers:
                return _Word(numbers[spelling])
        return _Word(0, tuple(self._others(text)))

    def _others(self, text: str) -> list[tuple[int, int]]:
        if self._is_dropped(text):
            return []
        found = []
        for part in re.sub(r"[^\w\s]", " ", text).split():
            stem = self._stem(part)
            if len(stem) <= _LONGEST_STEM and not self._is_dropped(stem):
                first = self._vocabulary.first_unknown
                index = first + term_id(stem) % (_HIGHEST_INDEX - first)
                found.append((index, self._vocabulary.numbers.get(stem, 0)))
        return found

    def _is_dropped(self, text: str) -> bool:
        punctuation = len(text) == 1 and unicodedata.category(text).startswith("P")
        return punctuation or text in self._stop_words or text in _BERT_TOKENS


@dataclass(frozen=True, slots=True)
class MiniCoilTables:
    """What a MiniCOIL model has besides its graph.

    Attributes:
        words: The vocabulary.
        senses: (words + 1, hidden, dim) float, mapped from its file; row 0 belongs to no word.
        file: That file, ``None`` for matrices in memory.
    """

    words: MiniCoilWords
    senses: Array
    file: MappedFile | None = None


def load_minicoil(folder: Path, tokenizer: TextTokenizer) -> MiniCoilTables:
    """Read the words and map their matrices; refuses files that do not belong together."""
    path = folder / MATRICES_FILE
    file = MappedFile(path, content_digest(path)) if path.is_file() else None
    senses = _map_matrices(path)
    vocabulary = _read_vocabulary(folder / WORDS_FILE, senses.shape[2])
    if len(senses) != len(vocabulary.numbers) + 1:
        raise ModelError(
            f"{folder}: {MATRICES_FILE} holds {len(senses)} matrices and {WORDS_FILE} {len(vocabulary.numbers)} words; "
            f"expected one matrix more than words. The files do not belong together: fetch both again"
        )
    return MiniCoilTables(MiniCoilWords(WordPieces(tokenizer), vocabulary, read_stop_words(folder)), senses, file)


def _map_matrices(path: Path) -> Array:
    try:
        senses: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path} is not a NumPy array that can be mapped: {error}; fetch the file again") from error
    if senses.ndim != 3 or senses.dtype.kind != "f" or 0 in senses.shape:
        raise ModelError(
            f"{path} holds {senses.dtype}{list(senses.shape)}; expected real numbers (words + 1, hidden, dim)"
        )
    return senses


def _read_vocabulary(path: Path, dim: int) -> Vocabulary:
    content = FolderFiles(path.parent).json_object(path.name)
    words, stems = content.get("vocab"), content.get("stem_mapping")
    if not isinstance(words, list) or not isinstance(stems, dict) or not _are_strings([*words, *stems.values()]):
        raise ModelError(f'{path}: expected an object with a list of words "vocab" and an object "stem_mapping"')
    numbers = {word: number for number, word in enumerate(words, start=1)}
    if len(numbers) != len(words):
        raise ModelError(f"{path} names {len(words) - len(numbers)} words twice; fetch the file again")
    lacking = next((word for word in stems.values() if word not in numbers), None)
    if lacking is not None:
        raise ModelError(f"{path}: stem_mapping leads to {lacking!r}, which is not in vocab; fetch the file again")
    return Vocabulary(numbers, stems, dim)


def _are_strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)

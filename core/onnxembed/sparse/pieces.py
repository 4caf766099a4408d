"""Words out of the pieces that a tokenizer makes of them, and the tokens and words that do not count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.spec import STOP_WORDS_FILE
from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]

# Unused ids between those of tokens; a table has a row for each.
_MOST_ROWS = 1 << 20
REMEMBERED_WORDS = 1 << 16
"""How many words' numbers are kept; a few MB."""


class WordPieces:
    """Knows which pieces continue a word, and what they spell. A word is known by the bytes of its token ids.

    Made for tokenizers whose continuing pieces have a prefix, as those of WordPiece have.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
        prefix = getattr(tokenizer.backend.model, "continuing_subword_prefix", None) or "##"
        size = table_size(vocabulary)
        self._spelling = [""] * size
        self._begins = np.ones(size, dtype=bool)
        for piece, number in vocabulary.items():
            self._begins[number] = not piece.startswith(prefix)
            self._spelling[number] = piece.removeprefix(prefix)
        self.special = np.zeros(size, dtype=bool)
        self.special[special_ids(tokenizer)] = True

    def starts(self, ids: Array) -> Array:
        """Find the positions at which words begin, ascending; the first piece always begins one."""
        begins = self._begins[ids]
        begins[:1] = True
        return np.flatnonzero(begins)

    @staticmethod
    def keys(ids: Array, starts: Array) -> Iterator[bytes]:
        """Give one key per word, for ids (pieces,) int32 and the positions at which words begin."""
        raw = ids.astype("<i4", copy=False).tobytes()
        bounds = [*(starts * 4).tolist(), len(raw)]
        for start, end in pairwise(bounds):
            yield raw[start:end]

    def spell(self, key: bytes) -> str:
        """Join the pieces of a word."""
        return "".join(self._spelling[number] for number in np.frombuffer(key, dtype="<i4").tolist())


def table_size(vocabulary: Mapping[str, int]) -> int:
    """Rows of a table with one for every id; ids that would make it huge are a `ModelError`."""
    size = 1 + max(vocabulary.values(), default=0)
    if size > _MOST_ROWS + len(vocabulary):
        raise ModelError(
            f"tokenizer.json gives a token the id {size - 1}, with {len(vocabulary)} tokens in all; fetch it again"
        )
    return size


def special_ids(tokenizer: TextTokenizer) -> list[int]:
    """Give the ids of tokens that are no part of a text, such as those at both ends, ascending."""
    added = tokenizer.backend.get_added_tokens_decoder()
    return sorted(number for number, token in added.items() if token.special)


def read_stop_words(folder: Path) -> frozenset[str]:
    """Read ``stopwords.txt``, one word per line; a model works without it."""
    path = folder / STOP_WORDS_FILE
    try:
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return frozenset()
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not UTF-8 text: {error}; fetch the file again") from error

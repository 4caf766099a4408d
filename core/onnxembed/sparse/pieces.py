"""Words out of the pieces that a tokenizer makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.special import special_ids
from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]

STOP_WORDS_FILE = "stopwords.txt"
REMEMBERED_WORDS = 1 << 16
"""How many words' numbers are kept; a few MB."""


class WordPieces:
    """Which pieces continue a word, and what they spell. A word is known by the bytes of its token ids."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """Read the vocabulary.

        Args:
            tokenizer: A tokenizer whose continuing pieces have a prefix, as WordPiece's have.
        """
        vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
        prefix = getattr(tokenizer.backend.model, "continuing_subword_prefix", None) or "##"
        size = 1 + max(vocabulary.values(), default=0)
        self._spelling = [""] * size
        self._begins = np.ones(size, dtype=bool)
        for piece, number in vocabulary.items():
            self._begins[number] = not piece.startswith(prefix)
            self._spelling[number] = piece.removeprefix(prefix)
        self.special = np.zeros(size, dtype=bool)
        self.special[special_ids(tokenizer)] = True

    def starts(self, ids: Array) -> Array:
        """Find where words begin; the first piece begins one whatever it is.

        Args:
            ids: (pieces,) int32.

        Returns:
            (words,) positions, ascending.
        """
        begins = self._begins[ids]
        begins[:1] = True
        return np.flatnonzero(begins)

    @staticmethod
    def keys(ids: Array, starts: Array) -> Iterator[bytes]:
        """Name words by their pieces.

        Args:
            ids: (pieces,) int32.
            starts: Where words begin.

        Yields:
            One key a word.
        """
        raw = ids.astype("<i4", copy=False).tobytes()
        bounds = [*(starts * 4).tolist(), len(raw)]
        for start, end in pairwise(bounds):
            yield raw[start:end]

    def spell(self, key: bytes) -> str:
        """Spell a word.

        Args:
            key: Its name.

        Returns:
            Its pieces, joined.
        """
        return "".join(self._spelling[number] for number in np.frombuffer(key, dtype="<i4").tolist())


def read_stop_words(folder: Path) -> frozenset[str]:
    """Read ``stopwords.txt``, one word a line; a model works without it.

    Args:
        folder: The model's folder.

    Returns:
        The words.

    Raises:
        ModelError: If the file is not UTF-8.
    """
    path = folder / STOP_WORDS_FILE
    try:
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return frozenset()
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not UTF-8 text: {error}; fetch the file again") from error

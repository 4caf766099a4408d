"""BM42: words weighted by the attention that the first token pays them in the last layer (Qdrant, 2024).

A word's weight is the sum over its pieces, a stem's the largest of its words; the value is ``ln(1 + weight) ** alpha``.
Of stems that share a number the largest counts too. The store brings in the inverse document frequency.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.pieces import REMEMBERED_WORDS, WordPieces, read_stop_words
from onnxembed.sparse.rows import order_rows
from onnxembed.sparse.terms import DROPPED, term_id
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]

_LANGUAGE = "english"
_PUNCTUATION = frozenset(string.punctuation)


class Bm42Words:
    """The words of a text and the numbers of their stems."""

    def __init__(self, pieces: WordPieces, stop_words: frozenset[str]) -> None:
        """Prepare the filters.

        Args:
            pieces: The tokenizer's vocabulary.
            stop_words: Words that do not count.
        """
        from py_rust_stemmers import SnowballStemmer

        self._pieces = pieces
        self._dropped = stop_words | _PUNCTUATION
        self._stemmer = SnowballStemmer(_LANGUAGE)
        self._number = lru_cache(REMEMBERED_WORDS)(self._number_of)

    def find(self, ids: Array) -> tuple[Array, Array, Array]:
        """Find the words of a text.

        Args:
            ids: (pieces,) int32, special tokens included.

        Returns:
            Positions of the pieces that are no special tokens; where in these words begin; the number of each word's
            stem, `DROPPED` for one that does not count.
        """
        places = np.flatnonzero(~self._pieces.special[ids])
        inner = ids[places]
        starts = self._pieces.starts(inner)
        numbers = np.fromiter(map(self._number, self._pieces.keys(inner, starts)), np.int64, count=len(starts))
        return places, starts, numbers

    def look_up(self, batch: Sequence[Tokens]) -> list[SparseEmbedding]:
        """Make vectors of queries: every stem once, without inference.

        Args:
            batch: Tokenised queries.

        Returns:
            One vector a query, of ones.
        """
        found = [numbers[numbers != DROPPED] for _, _, numbers in (self.find(tokens.ids) for tokens in batch)]
        rows = np.repeat(np.arange(len(found)), [len(numbers) for numbers in found])
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
        return order_rows(rows, numbers, np.ones(len(numbers)), len(found))

    def _number_of(self, key: bytes) -> int:
        word = self._pieces.spell(key)
        return DROPPED if word in self._dropped else term_id(self._stemmer.stem_word(word))


class Bm42Weigher:
    """Attention of a batch to sparse vectors."""

    def __init__(self, output: str, words: Bm42Words, alpha: float) -> None:
        """Combine a table of words with the choice of a call.

        Args:
            output: Name of the graph output: attention of the first token (batch, sequence), the mean over the heads,
                or all probabilities of a layer (batch, heads, sequence, sequence).
            words: Finds the words of texts.
            alpha: The exponent; below 1 it evens weights out.
        """
        self.output = output
        self._words = words
        self._alpha = alpha

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make vectors of what the graph gave.

        Args:
            output: See above.
            padded: The batch.

        Returns:
            One vector a text.

        Raises:
            ModelError: If the output has another shape.
        """
        attention = first_token_attention(output, padded.mask, self.output)
        found: list[tuple[Array, Array]] = []
        for ids, mask, row in zip(padded.ids, padded.mask, attention, strict=True):
            kept = mask > 0
            places, starts, numbers = self._words.find(ids[kept].astype(np.int32))
            if not len(starts):
                found.append((numbers, np.zeros(0)))
                continue
            weights = np.add.reduceat(row[kept][places], starts)
            counts = numbers != DROPPED
            found.append((numbers[counts], weights[counts]))
        rows = np.repeat(np.arange(len(found)), [len(numbers) for numbers, _ in found])
        values = np.log1p(np.concatenate([weights for _, weights in found])) ** self._alpha
        return order_rows(rows, np.concatenate([numbers for numbers, _ in found]), values, len(found))


def first_token_attention(output: Array, mask: Array, name: str) -> Array:
    """Take how much the first token attends to each token, as the mean over the heads.

    Args:
        output: (batch, heads, sequence, sequence), or (batch, sequence) where the graph did it.
        mask: (batch, sequence) 1 where a token is.
        name: The output's name, for messages.

    Returns:
        (batch, sequence) float64.

    Raises:
        ModelError: If the output has another shape.
    """
    batch, length = mask.shape
    if output.shape == (batch, length):
        return output.astype(np.float64)
    if output.ndim != 4 or output.shape[0] != batch or output.shape[2:] != (length, length):
        raise ModelError(
            f"the graph's output {name!r} has the shape {list(output.shape)} for a batch of {[batch, length]}; "
            "expected the attention of one layer, (batch, heads, sequence, sequence)"
        )
    first = output[np.arange(batch), :, mask.argmax(axis=1)]
    mean: Array = first.mean(axis=1, dtype=np.float64)
    return mean


def load_bm42(folder: Path, tokenizer: TextTokenizer) -> Bm42Words:
    """Read what a model needs beside its graph.

    Args:
        folder: The model's folder.
        tokenizer: Its tokenizer.

    Returns:
        Its words.
    """
    return Bm42Words(WordPieces(tokenizer), read_stop_words(folder))

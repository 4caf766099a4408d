"""BM42: words weighted by the attention that the first token pays them in the last layer (Qdrant, 2024).

A word's weight is the sum over its pieces, a stem's the largest of its words; the value is ``ln(1 + weight) ** alpha``.
Of stems that share a number the largest counts too. The store brings in the inverse document frequency.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.api.graph_file import GraphFile
from onnxembed.errors import ModelError
from onnxembed.sparse.pieces import REMEMBERED_WORDS, WordPieces, read_stop_words
from onnxembed.sparse.spec import ATTENTIONS
from onnxembed.sparse.terms import DROPPED, term_id
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.spec import GraphHead
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]

_LANGUAGE = "english"
_PUNCTUATION = frozenset(string.punctuation)


class Bm42Words:
    """Finds the words of a text and the numbers of their stems."""

    def __init__(self, pieces: WordPieces, stop_words: frozenset[str]) -> None:
        from py_rust_stemmers import SnowballStemmer

        self._pieces = pieces
        self._dropped = stop_words | _PUNCTUATION
        self._stemmer = SnowballStemmer(_LANGUAGE)
        self._number = lru_cache(REMEMBERED_WORDS)(self._number_of)

    def find(self, ids: Array) -> tuple[Array, Array, Array]:
        """Find the words of a text, given its (pieces,) int32 ids with special tokens.

        Returns the positions of pieces that are no special tokens, where in these words begin, and the number of each
        word's stem, `DROPPED` for a word that does not count.
        """
        places = np.flatnonzero(~self._pieces.special[ids])
        inner = ids[places]
        starts = self._pieces.starts(inner)
        numbers = np.fromiter(map(self._number, self._pieces.keys(inner, starts)), np.int64, count=len(starts))
        return places, starts, numbers

    def look_up(self, batch: Sequence[Tokens]) -> list[SparseEmbedding]:
        """Make one vector per query, without inference: 1 for every stem."""
        found = [numbers[numbers != DROPPED] for _, _, numbers in (self.find(tokens.ids) for tokens in batch)]
        return _one_per_text(found, np.ones(sum(map(len, found))))

    def _number_of(self, key: bytes) -> int:
        word = self._pieces.spell(key)
        return DROPPED if word in self._dropped else term_id(self._stemmer.stem_word(word))


@dataclass(frozen=True, slots=True)
class Bm42Weigher:
    """Turns the attention of a batch into sparse vectors.

    Attributes:
        output: Name of the graph output: attention of the first token (batch, sequence), the mean over the heads, or
            all probabilities of a layer (batch, heads, sequence, sequence).
        words: Finds the words of texts.
        alpha: The exponent; below 1 it evens weights out.
    """

    output: str
    words: Bm42Words
    alpha: float

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector per text; refuses an output of another shape."""
        attention = first_token_attention(output, padded.mask, self.output)
        stems: list[Array] = []
        weights: list[Array] = []
        for ids, mask, row in zip(padded.ids, padded.mask, attention, strict=True):
            kept = mask > 0
            places, starts, numbers = self.words.find(ids[kept].astype(np.int32))
            counts = numbers != DROPPED
            sums = np.add.reduceat(row[kept][places], starts) if len(starts) else np.zeros(0)
            stems.append(numbers[counts])
            weights.append(sums[counts])
        return _one_per_text(stems, np.log1p(np.concatenate(weights)) ** self.alpha)


def attention_output(file: GraphFile, named: int | str) -> str:
    """Choose the output with the attention of the last layer; ``named`` is that of the description, if it is a name."""
    names = [output.name for output in file.outputs]
    if file.compiled or GraphHead.CLS_ATTENTION in names:
        return file.output_name(GraphHead.CLS_ATTENTION.value)
    if isinstance(named, str):
        return file.output_name(named)
    layers = [(int(match[1]), name) for name in names if (match := ATTENTIONS.fullmatch(name))]
    if not layers:
        raise ModelError(
            f"{file.path} gives {', '.join(names)}; a BM42 model needs the attention of its last layer, under a name "
            "such as attention_6. Export it with its attentions, or pass output_name= to add_custom_model"
        )
    return max(layers)[1]


def first_token_attention(output: Array, mask: Array, name: str) -> Array:
    """Take how much the first token attends to each token, as the mean over the heads: (batch, sequence) float64.

    ``output`` is (batch, heads, sequence, sequence), or (batch, sequence) where the graph took the mean.
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


def _one_per_text(stems: Sequence[Array], values: Array) -> list[SparseEmbedding]:
    """Make one vector per text of the numbers of its stems; of stems that share a number the largest value counts."""
    texts = np.repeat(np.arange(len(stems)), [len(numbers) for numbers in stems])
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *stems])
    order = np.lexsort((values, ids, texts))
    texts, ids, values = texts[order], ids[order], values[order]
    last = np.ones(len(texts), dtype=bool)
    last[:-1] = (texts[1:] != texts[:-1]) | (ids[1:] != ids[:-1])
    return split_by_text(texts[last], ids[last], values[last], len(stems))


def load_bm42(folder: Path, tokenizer: TextTokenizer) -> Bm42Words:
    """Read what a BM42 model needs besides its graph."""
    return Bm42Words(WordPieces(tokenizer), read_stop_words(folder))

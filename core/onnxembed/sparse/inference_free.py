"""Queries of the inference-free models: each token has a fixed weight, its inverse document frequency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.rows import split_rows
from onnxembed.sparse.special import special_ids
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import read_json

Array = np.ndarray[Any, np.dtype[Any]]

IDF_FILE = "idf.json"


class IdfTable:
    """The weight of each token of a query."""

    def __init__(self, weights: Array) -> None:
        """Hold the table.

        Args:
            weights: (vocabulary,) float64; not a number for tokens without a weight.
        """
        self._weights = weights

    def look_up(self, batch: Sequence[Tokens]) -> list[SparseEmbedding]:
        """Weigh queries.

        Args:
            batch: Tokenised queries.

        Returns:
            One vector a query; every token counts once.
        """
        queries = [np.unique(tokens.ids) for tokens in batch]
        rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
        ids = np.concatenate([np.zeros(0, dtype=np.int32), *queries])
        weights = self._weights[ids]
        known = ~np.isnan(weights)
        return split_rows(rows[known], ids[known], weights[known], len(queries))


def load_idf(folder: Path, tokenizer: TextTokenizer) -> IdfTable:
    """Read ``idf.json``: token texts and their weights. Tokens that the vocabulary lacks are passed over.

    Args:
        folder: The model's folder.
        tokenizer: The model's tokenizer.

    Returns:
        The table.

    Raises:
        ModelError: If the file is missing, is not of that form, or shares no token with the vocabulary.
    """
    path = folder / IDF_FILE
    if not path.is_file():
        raise ModelError(f"{folder} has no {IDF_FILE}; expected the weights of tokens in queries there")
    stated = read_json(folder, IDF_FILE)
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
    weights = np.full(1 + max(vocabulary.values(), default=0), np.nan)
    for token, weight in stated.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ModelError(f"{path}: the weight of {token!r} is {weight!r}; expected a finite number")
        if token in vocabulary:
            weights[vocabulary[token]] = weight
    if np.isnan(weights).all():
        raise ModelError(
            f"{path} has no weight for any token of the tokenizer's vocabulary; expected the table that belongs to it"
        )
    weights[special_ids(tokenizer)] = np.nan
    return IdfTable(weights)

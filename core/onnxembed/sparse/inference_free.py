"""Queries of the inference-free models: each token has a fixed weight, its inverse document frequency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.sparse.pieces import special_ids, table_size
from onnxembed.sparse.spec import IDF_FILE
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class IdfTable:
    """The weight of each token of a query.

    Attributes:
        weights: (vocabulary,) float64; NaN for tokens without a weight.
    """

    weights: Array

    def look_up(self, batch: Sequence[Tokens]) -> list[SparseEmbedding]:
        """Make one vector per query; every token counts once."""
        queries = [np.unique(tokens.ids) for tokens in batch]
        rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
        ids = np.concatenate([np.zeros(0, dtype=np.int32), *queries])
        weights = self.weights[ids]
        known = ~np.isnan(weights)
        return split_by_text(rows[known], ids[known], weights[known], len(queries))


def load_idf(folder: Path, tokenizer: TextTokenizer) -> IdfTable:
    """Read ``idf.json``: token texts and their weights. Tokens that the vocabulary lacks are passed over."""
    path = folder / IDF_FILE
    if not path.is_file():
        raise ModelError(f"{folder} has no {IDF_FILE}; expected the weights of tokens in queries there")
    stated = FolderFiles(folder).json_object(IDF_FILE)
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
    weights = np.full(table_size(vocabulary), np.nan)
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

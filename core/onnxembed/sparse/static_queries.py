"""Queries by a table of weights: sentence-transformers' SparseStaticEmbedding, the query branch of a Router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.sparse.splade import Pruning, pruned
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.spec import TokenizerSettings
from onnxembed.text.tokenizer import TextTokenizer, Tokens, load_tokenizer

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class StaticQueries:
    """The weight of each token of a query, and the tokenizer that belongs to it.

    Attributes:
        tokenizer: Adds no special tokens.
        weights: (vocabulary,) float32; tokens of weight 0 have no entry.
    """

    tokenizer: TextTokenizer
    weights: Array

    def look_up(self, batch: Sequence[Tokens], pruning: Pruning) -> list[SparseEmbedding]:
        """Make one vector per query; every token counts once."""
        queries = [np.unique(tokens.ids) for tokens in batch]
        rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
        ids = np.concatenate([np.zeros(0, dtype=np.int32), *queries])
        weights = self.weights[ids]
        there = weights != 0
        rows, ids, weights = rows[there], ids[there], weights[there]
        kept = pruned(rows, ids, np.abs(weights), pruning)
        return split_by_text(rows[kept], ids[kept], weights[kept], len(queries))


def load_static_queries(folder: Path, max_length: int | None, settings: TokenizerSettings | None) -> StaticQueries:
    """Read the table and its tokenizer; ``max_length`` is the caller's limit, ``settings`` what the files say.

    A table that is damaged, or smaller than the tokenizer's vocabulary, is a `ModelError`.
    """
    path = folder / WEIGHTS_FILE
    with SafetensorsFile(path) as file:
        weights = file.tensor("weight").astype(np.float32)
    tokenizer = load_tokenizer(folder, max_length, settings, add_special_tokens=False)
    size = 1 + max(tokenizer.backend.get_vocab(with_added_tokens=True).values(), default=0)
    if weights.ndim != 1 or len(weights) < size or not np.isfinite(weights).all():
        raise ModelError(
            f"{path} holds no table for this tokenizer: a weight of the shape {list(weights.shape)}; expected one "
            f"finite number for each of {size} tokens"
        )
    return StaticQueries(tokenizer, weights)

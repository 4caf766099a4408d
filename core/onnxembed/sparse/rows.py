"""From the entries of a whole batch to one vector a text."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from onnxembed.sparse.vector import SparseEmbedding

Array = np.ndarray[Any, np.dtype[Any]]


def split_rows(rows: Array, indices: Array, values: Array, count: int) -> list[SparseEmbedding]:
    """Cut the entries of a batch into vectors.

    Args:
        rows: (entries,) integers, the text that each entry belongs to, ascending.
        indices: (entries,) integers, ascending and unique within a text.
        values: (entries,) numbers.
        count: Texts of the batch.

    Returns:
        One vector a text; they share their memory.
    """
    ids, numbers = indices.astype(np.int64), values.astype(np.float64)
    ids.flags.writeable = numbers.flags.writeable = False
    bounds = np.searchsorted(rows, np.arange(count + 1)).tolist()
    return [SparseEmbedding.trusted(numbers[start:end], ids[start:end]) for start, end in pairwise(bounds)]


def order_rows(rows: Array, indices: Array, values: Array, count: int) -> list[SparseEmbedding]:
    """Do the same with entries in any order; of entries with one index in one text the largest counts.

    Args:
        rows: (entries,) integers.
        indices: (entries,) integers, at least 0.
        values: (entries,) numbers.
        count: Texts of the batch.

    Returns:
        One vector a text.
    """
    order = np.lexsort((values, indices, rows))
    rows, indices, values = rows[order], indices[order], values[order]
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = (rows[1:] != rows[:-1]) | (indices[1:] != indices[:-1])
    return split_rows(rows[last], indices[last], values[last], count)

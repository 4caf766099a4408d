"""Small functions on arrays and iterables that fastembed's users import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed.common.arguments import define_cache_dir
from fastembed.common.types import NumpyArray

__all__ = ["define_cache_dir", "iter_batch", "last_token_pooling", "mean_pooling", "normalize"]

ItemT = TypeVar("ItemT")


def normalize(input_array: NumpyArray, p: int = 2, dim: int = 1, eps: float = 1e-12) -> NumpyArray:
    """Scale vectors to length 1 by the norm of order ``p`` over the axis ``dim``, which counts as ``eps`` at least.

    The type stays; float16 is computed in float32.
    """
    wide = input_array.astype(np.float32) if input_array.dtype == np.float16 else input_array
    lengths = np.linalg.norm(wide, ord=p, axis=dim, keepdims=True)
    scaled: NumpyArray = (wide / np.maximum(lengths, eps)).astype(input_array.dtype)
    return scaled


def mean_pooling(input_array: NumpyArray, attention_mask: NDArray[np.int64]) -> NumpyArray:
    """Average the token vectors that the mask keeps: (batch, tokens, dim) and (batch, tokens) to (batch, dim) float64.

    A row without any is 0.
    """
    weights = attention_mask.astype(np.float64)
    sums = np.einsum("btd,bt->bd", input_array.astype(np.float64), weights)
    mean: NumpyArray = sums / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return mean


def last_token_pooling(input_array: NumpyArray, attention_mask: NDArray[np.int64]) -> NumpyArray:
    """Take the vector of each row's last token that the mask keeps, on whichever side the padding is.

    A row without any gives its last vector.
    """
    last = attention_mask.shape[1] - 1 - np.argmax(attention_mask[:, ::-1], axis=1)
    pooled: NumpyArray = input_array[np.arange(len(input_array)), last]
    return pooled


def iter_batch(iterable: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    """Cut an iterable into lists of ``size`` items, the last of which may be shorter; below 1 is a ValueError."""
    if size < 1:
        raise ValueError(f"batch_size must be >= 1, got {size}")
    items = iter(iterable)
    return iter(lambda: list(islice(items, size)), [])

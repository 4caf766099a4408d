"""Many documents of many vectors each, seen as one sequence of rows that is read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from onnxembed.errors import InputError
from onnxembed.late_interaction.matrix import each_of_one_width

Array = np.ndarray[Any, np.dtype[Any]]


class Documents(Protocol):
    """Documents laid end to end."""

    @property
    def offsets(self) -> Array:
        """(documents + 1,) int64; document ``i`` is the rows from ``offsets[i]`` to ``offsets[i + 1]``."""
        ...

    @property
    def dim(self) -> int:
        """Numbers of a vector; 0 without documents."""
        ...

    def read(self, start: int, stop: int, buffer: Array) -> Array:
        """Decode the rows from ``start`` to ``stop``, counted over all documents, as (stop - start, dim) float32.

        They lie in ``buffer``, (at least stop - start, dim) float32 and contiguous, or in the documents themselves.
        """
        ...


class ArrayList:
    """Documents that lie in arrays of their own, all (tokens, dim); none is copied."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._arrays = arrays
        self.dim = arrays[0].shape[1] if arrays else 0
        self.offsets = offsets_of(list(map(len, arrays)))

    def read(self, start: int, stop: int, buffer: Array) -> Array:
        """Join the rows from ``start`` to ``stop``, at least one, in the buffer."""
        first = int(np.searchsorted(self.offsets, start, side="right")) - 1
        last = int(np.searchsorted(self.offsets, stop, side="left"))
        parts = [
            array[max(start - offset, 0) : stop - offset]
            for array, offset in zip(self._arrays[first:last], self.offsets[first:last].tolist(), strict=True)
        ]
        joined: Array = np.concatenate(parts, out=buffer[: stop - start], casting="same_kind")
        return joined


def offsets_of(lengths: Sequence[int]) -> Array:
    """Add up the rows of each document to ``Documents.offsets``."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def check_arrays(arrays: object, name: str) -> ArrayList:
    """Take matrices of one width from a caller; ``name``, such as ``"document"``, is what messages call one of them."""
    if isinstance(arrays, np.ndarray) and arrays.ndim == 2:
        raise InputError(
            f"expected an iterable of matrices (tokens, dim), one per {name}; given one of shape {arrays.shape}. "
            "Write [matrix] for a single one"
        )
    return ArrayList(list(each_of_one_width(arrays, name)))

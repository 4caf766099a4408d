"""Many documents of many vectors each, seen as one run of rows that is read piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.matrix import as_matrix

Array = np.ndarray[Any, np.dtype[Any]]


class Documents(Protocol):
    """Documents laid end to end.

    Attributes:
        offsets: (documents + 1,) int64; document ``i`` is the rows from ``offsets[i]`` to ``offsets[i + 1]``.
        dim: Numbers in a vector; 0 where there is no document to tell.
    """

    @property
    def offsets(self) -> Array:
        """See above."""
        ...

    @property
    def dim(self) -> int:
        """See above."""
        ...

    def read(self, start: int, stop: int, buffer: Array) -> Array:
        """Decode some rows.

        Args:
            start: The first, counted over all documents.
            stop: One past the last.
            buffer: (at least stop - start, dim) float32, contiguous, to be written to where that is needed.

        Returns:
            (stop - start, dim) float32, either in the buffer or in the documents themselves.
        """
        ...


class ArrayList:
    """Documents that lie in the caller's own arrays."""

    def __init__(self, arrays: Iterable[object], name: str) -> None:
        """Check every array; none is copied.

        Args:
            arrays: One (tokens, dim) matrix a document.
            name: What one of them is called in messages, such as ``"document"``.

        Raises:
            InputTypeError: If this is no iterable of matrices of numbers.
            InputError: If one is no matrix, or their widths differ.
        """
        if isinstance(arrays, (str, bytes)) or not isinstance(arrays, Iterable):
            raise InputTypeError(
                f"expected a sequence of matrices (tokens, dim), one a {name}; given {type(arrays).__name__}"
            )
        if isinstance(arrays, np.ndarray) and arrays.ndim == 2:
            raise InputError(
                f"expected a sequence of matrices (tokens, dim), one a {name}; given one of shape {arrays.shape}. "
                "Write [matrix] for a single one"
            )
        self._arrays = [as_matrix(array, f"{name} {index}") for index, array in enumerate(arrays)]
        self.dim = self._arrays[0].shape[1] if self._arrays else 0
        for index, array in enumerate(self._arrays):
            if array.shape[1] != self.dim:
                raise InputError(
                    f"{name} {index} has vectors of {array.shape[1]} numbers, {name} 0 of {self.dim}; "
                    "all must come from one model"
                )
        self.offsets = offsets_of([len(array) for array in self._arrays])

    def read(self, start: int, stop: int, buffer: Array) -> Array:
        """Join some rows; see ``Documents.read``.

        Args:
            start: The first row.
            stop: One past the last; more than ``start``.
            buffer: Where to join them.

        Returns:
            (stop - start, dim) float32.
        """
        first = int(np.searchsorted(self.offsets, start, side="right")) - 1
        last = int(np.searchsorted(self.offsets, stop, side="left"))
        parts = [
            array[max(start - offset, 0) : stop - offset]
            for array, offset in zip(self._arrays[first:last], self.offsets[first:last].tolist(), strict=True)
        ]
        joined: Array = np.concatenate(parts, out=buffer[: stop - start], casting="same_kind")
        return joined


def offsets_of(lengths: Sequence[int]) -> Array:
    """Add lengths up.

    Args:
        lengths: Rows of each document.

    Returns:
        (documents + 1,) int64, as in ``Documents``.
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets

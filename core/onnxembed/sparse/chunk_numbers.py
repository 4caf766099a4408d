"""The numbers of all chunks of many texts, found by NumPy instead of one Python object per word.

A table in front of `Terms`: chunks of up to 16 bytes are compared as two 64-bit integers, thousands in one call. What
the table does not know goes to `Terms`, so it may forget anything.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from onnxembed.sparse.terms import Terms

Array = np.ndarray[Any, np.dtype[Any]]

_SPACE = ord(" ")
_LONGEST = 16
# 3 MB; a chunk has two places to be in.
_BITS = 17
# Odd numbers without a pattern: multiplying by them spreads the low bits over the high ones.
_SPREAD_LOW = np.uint64(0x9E3779B97F4A7C15)
_SPREAD_HIGH = np.uint64(0xC2B2AE3D27D4EB4F)
# Keeps the first 0 to 8 bytes of a little-endian integer.
_KEPT_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)


class ChunkNumbers:
    """Numbers chunks in the order of a text; `terms` finds the number of a chunk that is not known."""

    def __init__(self, terms: Terms, bits: int = _BITS) -> None:
        self.terms = terms
        self._shift = np.uint64(64 - bits)
        self._low = np.zeros(1 << bits, dtype=np.uint64)  # 0 where nothing is: no chunk begins with a zero byte
        self._high = np.zeros(1 << bits, dtype=np.uint64)
        self._numbers = np.zeros(1 << bits, dtype=np.int64)
        self._lock = threading.Lock()

    def of(self, joined: bytes) -> Array:
        """Number the chunks of texts: (chunks,) int64, as `Terms` has them.

        ``joined`` holds chunks with spaces between them, without zero bytes (`onnxembed.sparse.words.join`).
        """
        padded = b" " + joined + b" " * _LONGEST
        inside = np.frombuffer(padded, dtype=np.uint8) != _SPACE
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        starts, ends = np.ascontiguousarray(edges[0::2]), edges[1::2]
        lengths = ends - starts
        # Eight bytes from any position on, as one integer. take() with "clip" is indexing without its checks.
        eight = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
        low = eight[starts]
        low &= _KEPT_BYTES.take(lengths, mode="clip")
        # Most words end within the first eight bytes.
        beyond = np.flatnonzero(lengths > 8)
        lengths_beyond = lengths[beyond]
        high = np.zeros(len(starts), dtype=np.uint64)
        high[beyond] = eight[starts[beyond] + 8] & _KEPT_BYTES.take(lengths_beyond - 8, mode="clip")
        spread = low * _SPREAD_LOW
        spread += high * _SPREAD_HIGH
        spread >>= self._shift
        with self._lock:
            long = beyond[lengths_beyond > _LONGEST]
            numbers, unknown = self._look_up(low, high, places := spread.view(np.int64), long)
        if len(unknown):
            numbers[unknown] = self.terms.numbers(
                [padded[start:end] for start, end in zip(starts[unknown].tolist(), ends[unknown].tolist(), strict=True)]
            )
            learned = unknown[lengths[unknown] <= _LONGEST]
            with self._lock:
                self._learn(low[learned], high[learned], places[learned], numbers[learned])
        return numbers

    def _look_up(self, low: Array, high: Array, places: Array, long: Array) -> tuple[Array, Array]:
        """Give the numbers, and the positions of chunks that are not known."""
        numbers = self._numbers.take(places)
        same = self._low.take(places) == low
        same &= self._high.take(places) == high
        same[long] = False
        left = np.flatnonzero(~same)
        second = places[left] ^ 1
        same = (self._low[second] == low[left]) & (self._high[second] == high[left])
        numbers[left] = self._numbers[second]
        same[np.searchsorted(left, long)] = False
        return numbers, left[~same]

    def _learn(self, low: Array, high: Array, places: Array, numbers: Array) -> None:
        """Put chunks into their first place, or into their second when the first is taken."""
        free = np.where(self._low[places] == 0, places, places ^ 1)
        # Of chunks for one place the last stays, in all three arrays.
        self._low[free] = low
        self._high[free] = high
        self._numbers[free] = numbers

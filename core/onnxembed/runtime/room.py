"""What happens when a device has no memory for a batch: it is run in halves, and later ones of its size at once so."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

logger = logging.getLogger("onnxembed.runtime")

# What ONNX Runtime, CUDA, cuBLAS, cuDNN, DirectML and C++ say.
_NO_MEMORY = re.compile(
    r"failed to allocate memory|out of memory|_ALLOC_FAILED|bad.?alloc|CUDA failure 2\b|cudaErrorMemoryAllocation|"
    r"is smaller than requested bytes|E_OUTOFMEMORY|not enough (?:GPU |device )?memory",
    re.IGNORECASE,
)
NO_ROOM = ". The device has too little memory for one item of this length: set a lower max_length, or free memory there"
"""How an error ends that smaller batches would not prevent."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of ONNX Runtime says that memory ran out."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


class Room:
    """How large a batch a device has room for, as far as it has shown.

    Attributes:
        limited: Whether it has shown anything.
    """

    limited: bool

    def __init__(self) -> None:
        """Start without a limit."""
        self.limited = False
        self._most: int | None = None
        self._lock = threading.Lock()

    def has(self, feed: Mapping[str, Array]) -> bool:
        """Whether a batch is worth a try; one that cannot be halved always is."""
        most = self._most
        return most is None or _cells(feed) <= most or item_count(feed) < 2

    def lacked(self, feed: Mapping[str, Array]) -> None:
        """Note that there was no memory for a batch."""
        most = max(1, _cells(feed) // 2)
        with self._lock:
            if self._most is not None and self._most <= most:
                return
            self._most, self.limited = most, True
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.items())
        logger.warning("the device has no memory for a batch with %s; such batches are halved from now on", shapes)


def item_count(feed: Mapping[str, Array]) -> int:
    """Items of a batch, by the first axis that all inputs but single numbers have in common; 1 where they differ."""
    counts = {array.shape[0] for array in feed.values() if array.ndim}
    return counts.pop() if len(counts) == 1 else 1


def halves(feed: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cut a batch of at least two items into two."""
    middle = item_count(feed) // 2
    first = {name: array[:middle] if array.ndim else array for name, array in feed.items()}
    rest = {name: array[middle:] if array.ndim else array for name, array in feed.items()}
    return first, rest


def joined(parts: Sequence[Sequence[Array]]) -> list[Array]:
    """Put the outputs of both halves together."""
    import numpy as np

    return [np.concatenate(arrays, axis=0) for arrays in zip(*parts, strict=True)]


def _cells(feed: Mapping[str, Array]) -> int:
    return max(array.size for array in feed.values())

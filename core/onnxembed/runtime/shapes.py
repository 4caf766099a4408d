"""Few shapes for providers that compile a graph anew for each: lengths and batches are filled up to usual sizes.

What fills is padding, or a copy of an item whose result is dropped, so no result changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onnxembed.runtime.room import item_count

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_SHORTEST = 16


def usual_length(length: int, most: int) -> int:
    """The power of two that a padded length is filled up to, at least 16 and at most the limit."""
    return max(length, min(most, max(_SHORTEST, _power(length))))


def filled(feed: Mapping[str, Array]) -> dict[str, Array]:
    """Fill a batch up to a power of two with copies of its last item."""
    import numpy as np

    count = item_count(feed)
    missing = _power(count) - count
    if not missing:
        return dict(feed)
    return {
        name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if array.ndim else array
        for name, array in feed.items()
    }


def _power(number: int) -> int:
    """The lowest power of two that is not below a number."""
    return 1 << max(number - 1, 0).bit_length()

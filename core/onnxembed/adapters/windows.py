"""Long lists in parts, so that what is computed of them is never held all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["WINDOW", "windows"]

ItemT = TypeVar("ItemT")

WINDOW = 256
"""Documents whose token vectors are held at once."""


def windows(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    """Cut items into lists of at most `WINDOW`, in order; items are taken as they are needed."""
    remaining = iter(items)
    while window := list(islice(remaining, WINDOW)):
        yield window

"""How far something is, on standard error: tqdm's bar where tqdm is installed, else a line of our own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_SECONDS = 0.2

Advance = Callable[[int], object]
"""Tells that so many items more are done."""

_framework_shows: ContextVar[bool] = ContextVar("onnxembed_framework_shows", default=False)


@contextmanager
def progress(
    description: str, unit: str, total: int | None, *, shown: bool | None = None, initial: int = 0
) -> Iterator[Advance]:
    """Show how far something is, for as long as the block runs.

    Args:
        description: What is done.
        unit: What is counted, in the singular.
        total: How many there are, or ``None`` where that is not known.
        shown: Whether it is shown at all; ``None`` is no.
        initial: How many were done before.

    Yields:
        What to call with the number of items that were done.
    """
    if not shown:
        yield _ignore
        return
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        line = _Line(description, unit, total, initial)
        try:
            yield line.update
        finally:
            line.close()
        return
    with tqdm(desc=description, unit=unit, total=total, initial=initial) as bar:
        yield bar.update


@dataclass(frozen=True, slots=True)
class Counting:
    """What a bar says.

    Attributes:
        description: What is done.
        unit: What is counted, in the singular.
    """

    description: str
    unit: str


def counted(results: Iterator[T], total: int | None, counting: Counting) -> Iterator[T]:
    """Show how many results are there as they are handed out.

    Args:
        results: The results; closed with what this gives.
        total: How many there will be, where that is known.
        counting: What the bar says.

    Returns:
        The results; as they are for a single item, or where a framework shows a bar of its own.
    """
    if total == 1 or _framework_shows.get():
        return results
    return _counted(results, counting, total)


def _counted(results: Iterator[T], counting: Counting, total: int | None) -> Iterator[T]:
    held: Any = results
    with progress(counting.description, counting.unit, total, shown=True) as advance, closing(held):
        for result in results:
            advance(1)
            yield result


def while_read(items: Iterable[T], shown: AbstractContextManager[Advance]) -> Iterator[T]:
    """Show how many items were read, by what `progress` gives."""
    with shown as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def framework_shows() -> Iterator[None]:
    """Have calls show no bar of their own, since a framework shows one over several of them."""
    token = _framework_shows.set(True)
    try:
        yield
    finally:
        _framework_shows.reset(token)


def _ignore(_: int) -> None:
    """Show nothing."""


class _Line:
    """One line that is written again and again."""

    def __init__(self, description: str, unit: str, total: int | None, initial: int) -> None:
        self._description, self._unit, self._total = description, unit, total
        self._initial = self._done = initial
        self._begun = time.monotonic()
        self._next = self._begun

    def update(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS
            self._write(now)

    def _write(self, now: float) -> None:
        of = "" if self._total is None else f" of {self._total}"
        rate = (self._done - self._initial) / max(now - self._begun, 1e-9)
        sys.stderr.write(f"\r{self._description}: {self._done}{of} {self._unit}s, {rate:.1f} per second ")
        sys.stderr.flush()

    def close(self) -> None:
        self._write(time.monotonic())
        sys.stderr.write("\n")

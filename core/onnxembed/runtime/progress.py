"""How far something is, on standard error: tqdm's bar where tqdm is installed, else a line of our own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS = 0.2

Advance = Callable[[int], object]
"""Tells that so many items more are done."""


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

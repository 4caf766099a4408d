"""Values that belong to one process: made on first use, and made again after a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes for itself, once (unless making it fails), whichever thread comes first.

    Locks are kept by process number too: a lock that another thread held at the moment of the fork stays locked for
    ever in the child, so the child gets a new one. ``dict.setdefault`` is atomic, which makes that safe without a lock
    of its own.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._locks: dict[int, threading.Lock] = {}
        self._held: tuple[int, T] | None = None

    def get(self) -> T:
        """This process's value, made on first use."""
        process = os.getpid()
        held = self._held
        if held is not None and held[0] == process:
            return held[1]
        with self._locks.setdefault(process, threading.Lock()):
            held = self._held
            if held is None or held[0] != process:
                held = self._held = (process, self._make())
            return held[1]

    @property
    def made(self) -> bool:
        """Whether this process already has its value."""
        return self._held is not None and self._held[0] == os.getpid()

"""Runs on the processor take turns: no more threads compute at once than there are processors.

Each of ONNX Runtime's sessions has threads of its own, which meet after every operator. Where two runs want all
processors at once, those of one wait for those of the other all the time: two models side by side took 1.3 times as
long as one after the other. In turns, batch by batch, they take the same. So does one session that several threads use.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.per_process import PerProcess


class Turns:
    """Processors that are held for the length of a run, first come, first served."""

    def __init__(self, processors: int) -> None:
        """Take their number."""
        self._processors = processors
        self._free = processors
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return len(self._queue)

    @contextmanager
    def hold(self, threads: int) -> Iterator[None]:
        """Hold as many processors as threads compute, all of them at most, once they are free."""
        wanted = min(threads, self._processors)
        with self._changed:
            if self._queue or self._free < wanted:
                self._wait(wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                if self._queue:
                    self._changed.notify_all()

    def _wait(self, wanted: int) -> None:
        place = object()
        self._queue.append(place)
        try:
            while self._queue[0] is not place or self._free < wanted:
                self._changed.wait()
        finally:  # an interrupted call leaves the queue, too
            self._queue.remove(place)
            self._changed.notify_all()


ON_ONE_PROCESSOR: ContextVar[bool] = ContextVar("onnxembed_on_one_processor", default=False)
"""Whether a run is one of many that each compute on one processor."""
TURNS = PerProcess(lambda: Turns(usable_cpus()))
"""Those of this process."""

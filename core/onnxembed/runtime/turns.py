"""Runs on the processor take turns: no more threads compute at once than there are processors.

Each of ONNX Runtime's sessions has threads of its own, which meet after every operator. Where two runs want all
processors at once, those of one wait for those of the other all the time: two models side by side took 1.3 times as
long as one after the other. In turns, batch by batch, they take the same. So does one session that several threads use.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar

from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.per_process import PerProcess


class Turns:
    """Processors that are held for the length of a run, first come, first served."""

    def __init__(self, processors: int) -> None:
        """Take their number."""
        self._processors = processors
        self._free = processors
        self._lock = threading.Lock()
        # How many each run in the queue wants, with a lock that is held until it has them.
        self._queue: deque[tuple[int, threading.Lock]] = deque()

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return len(self._queue)

    def take(self, threads: int) -> None:
        """Take as many processors as threads compute, all of them at most, once they are free."""
        wanted = min(threads, self._processors)
        with self._lock:
            if not self._queue and self._free >= wanted:
                self._free -= wanted
                return
            place = wanted, threading.Lock()
            place[1].acquire()
            self._queue.append(place)
        try:
            place[1].acquire()
        except BaseException:  # an interrupted call leaves the queue, or gives back what it just got
            with self._lock:
                if place in self._queue:
                    self._queue.remove(place)
                else:
                    self._free += wanted
                self._hand_out()
            raise

    def give_back(self, threads: int) -> None:
        """Give back what `take` took for so many threads."""
        with self._lock:
            self._free += min(threads, self._processors)
            if self._queue:
                self._hand_out()

    def _hand_out(self) -> None:
        """Let those run that are first and have room."""
        while self._queue and self._queue[0][0] <= self._free:
            wanted, lock = self._queue.popleft()
            self._free -= wanted
            lock.release()


ON_ONE_PROCESSOR: ContextVar[bool] = ContextVar("onnxembed_on_one_processor", default=False)
"""Whether a run is one of many that each compute on one processor."""
TURNS = PerProcess(lambda: Turns(usable_cpus()))
"""Those of this process."""

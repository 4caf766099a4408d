"""One way through: items are prepared, sorted into batches, run, finished, and come back in order.

The caller's thread reads the items and hands out the results. One thread prepares the next window while others run the
present one, so at any moment at most three windows are held: one being handed out, one running, one being read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from onnxembed.runtime.batching import BatchLimits, plan_batches

ItemT = TypeVar("ItemT")
PreparedT = TypeVar("PreparedT")
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

RUN_THREAD_PREFIX = "onnxembed-run"
PREPARE_THREAD_PREFIX = "onnxembed-prepare"


class Family(Protocol[ItemT, PreparedT, ResultT_co]):
    """What distinguishes one kind of model from another. A new kind of model is a new object of this form."""

    def check(self, item: object, index: int) -> ItemT:
        """Return the item, or raise when it is of the wrong kind; called in the caller's thread as items are read."""

    def size(self, item: ItemT) -> int:
        """Say how large an item is in memory before it is prepared, in any unit; bounds a window."""

    def prepare(self, items: Sequence[ItemT], first_index: int) -> Sequence[PreparedT]:
        """Tokenise or transform items; may run in another thread."""

    def cost(self, prepared: PreparedT) -> int:
        """Say what one item costs to run when it is not padded, such as its tokens."""

    def run(self, batch: Sequence[PreparedT], worker: int) -> Iterable[ResultT_co]:
        """Collate, run and finish one batch; may run in several threads at once."""


@dataclass(frozen=True, slots=True)
class _Window(Generic[PreparedT, ResultT]):
    """Items that are sorted together: their batches, and the futures of these."""

    batches: Sequence[Sequence[int]]
    futures: Sequence[Future[Iterable[ResultT]]]


def stream(
    items: Iterable[object],
    family: Family[ItemT, PreparedT, ResultT],
    limits: BatchLimits,
    workers: int,
) -> Iterator[ResultT]:
    """Run items of any number through a model, in bounded memory.

    Closing the iterator early, an error in the middle, or an interrupt cancels what is queued, waits for the batches
    that are running, and leaves no thread behind.

    Args:
        items: The items; read in the caller's thread, a few windows ahead of the results.
        family: The kind of model.
        limits: Bounds of batches and windows.
        workers: Threads that run batches, at least 1.

    Yields:
        One result an item, in the order of the items.
    """
    reader = _Reader(iter(items), family, limits)
    first = reader.read()
    if reader.exhausted:
        prepared = family.prepare(first, 0)
        batches = plan_batches([family.cost(p) for p in prepared], limits.budget, limits.max_items)
        if workers == 1 or len(batches) <= 1:
            # Small work stays in the caller's thread: no thread is worth starting for it.
            yield from _restore(batches, (family.run([prepared[i] for i in b], 0) for b in batches))
            return
        yield from _stream_windows(reader, family, limits, min(workers, len(batches)), _done(prepared))
        return
    yield from _stream_windows(reader, family, limits, workers, first)


def _done(prepared: Sequence[PreparedT]) -> Future[Sequence[PreparedT]]:
    """A future that already has its result."""
    future: Future[Sequence[PreparedT]] = Future()
    future.set_result(prepared)
    return future


class _Reader(Generic[ItemT]):
    """Reads windows of checked items."""

    def __init__(self, items: Iterator[object], family: Family[ItemT, PreparedT, ResultT], limits: BatchLimits) -> None:
        self._items = items
        self._check: Callable[[object, int], ItemT] = family.check
        self._size: Callable[[ItemT], int] = family.size
        self._limits = limits
        self.count = 0
        self.exhausted = False

    def read(self) -> list[ItemT]:
        """Read the next window; shorter than a full one only at the end or when its items are large."""
        window: list[ItemT] = []
        size = 0
        for raw in islice(self._items, self._limits.window_items):
            item = self._check(raw, self.count + len(window))
            window.append(item)
            size += self._size(item)
            if size >= self._limits.window_size:
                break
        else:
            self.exhausted = len(window) < self._limits.window_items
        self.count += len(window)
        return window


def _stream_windows(
    reader: _Reader[ItemT],
    family: Family[ItemT, PreparedT, ResultT],
    limits: BatchLimits,
    workers: int,
    first: Sequence[ItemT] | Future[Sequence[PreparedT]],
) -> Iterator[ResultT]:
    """The threaded way, for more than one window or more than one worker."""
    preparer = ThreadPoolExecutor(1, thread_name_prefix=PREPARE_THREAD_PREFIX)
    runners = ThreadPoolExecutor(workers, thread_name_prefix=RUN_THREAD_PREFIX)
    running: deque[_Window[PreparedT, ResultT]] = deque()
    started = 0
    try:
        pending: Future[Sequence[PreparedT]] | None
        pending = first if isinstance(first, Future) else preparer.submit(family.prepare, first, 0)
        while pending is not None or running:
            if pending is not None:
                prepared = pending.result()
                batches = plan_batches([family.cost(p) for p in prepared], limits.budget, limits.max_items)
                futures = [
                    runners.submit(family.run, [prepared[i] for i in batch], started + number)
                    for number, batch in enumerate(batches)
                ]
                started += len(batches)
                running.append(_Window(batches, futures))
                del prepared, futures
                start = reader.count
                window = [] if reader.exhausted else reader.read()
                pending = preparer.submit(family.prepare, window, start) if window else None
            if pending is None or len(running) > 1:
                done = running.popleft()
                yield from _restore(done.batches, (future.result() for future in done.futures))
                del done
    finally:
        preparer.shutdown(wait=True, cancel_futures=True)
        runners.shutdown(wait=True, cancel_futures=True)


def _restore(batches: Sequence[Sequence[int]], results: Iterable[Iterable[ResultT]]) -> Iterator[ResultT]:
    """Put results back into the order of their items, each handed out as soon as all before it are there."""
    slots: dict[int, ResultT] = {}
    following = 0
    for batch, batch_results in zip(batches, results, strict=True):
        slots.update(zip(batch, batch_results, strict=True))
        while following in slots:
            yield slots.pop(following)
            following += 1

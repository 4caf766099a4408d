"""One way through: items are prepared, sorted into batches, run, finished, and come back in order.

The caller's thread reads the items and hands out the results. One thread prepares the next window while others run the
present one, so at any moment at most three windows are held: one being handed out, one running, one being read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, replace
from os import getpid
from typing import Generic, Protocol, TypeVar

from onnxembed.runtime.batching import BatchLimits, plan_within
from onnxembed.runtime.cancellation import checkpoint, current_call
from onnxembed.runtime.forks import begun_in
from onnxembed.runtime.threads import Threads
from onnxembed.runtime.turns import ON_ONE_PROCESSOR

ItemT = TypeVar("ItemT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
PreparedT = TypeVar("PreparedT")
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

RUN_THREAD_PREFIX = "onnxembed-run"
PREPARE_THREAD_PREFIX = "onnxembed-prepare"
# From so many on, batches go to one processor each: opening a session for that takes as long as one or two.
_MANY_BATCHES = 16


class Work(Protocol[ItemT_contra, PreparedT, ResultT_co]):
    """The work of one call: a model with the choices of that call. A new kind of model is a new object of this form."""

    def size(self, item: ItemT_contra, /) -> int:
        """Say how large an item is in memory before it is prepared, in any unit; bounds a window."""

    def prepare(self, items: Sequence[ItemT_contra], first_index: int) -> Sequence[PreparedT]:
        """Tokenise or transform items; may run in another thread."""

    def costs(self, prepared: Sequence[PreparedT]) -> Sequence[int]:
        """Say what each item costs to run when it is not padded, such as its tokens."""

    def run(self, batch: Sequence[PreparedT], worker: int) -> Iterable[ResultT_co]:
        """Collate, run and finish one batch; may run in several threads at once."""


@dataclass(frozen=True, slots=True)
class _Window(Generic[PreparedT, ResultT]):
    """Items that are sorted together: their batches, and the futures of these."""

    batches: Sequence[Sequence[int]]
    futures: Sequence[Future[Iterable[ResultT]]]


def stream(items: Iterable[ItemT], work: Work[ItemT, PreparedT, ResultT], limits: BatchLimits) -> Iterator[ResultT]:
    """Run items of any number through a model, in bounded memory.

    Closing the iterator early, an error in the middle, or an interrupt cancels what is queued, waits for the batches
    that are running, and leaves no thread behind. So does a cancelled call (`checkpoint`), before its next batch. A
    child process cannot go on with an iterator of its parent.

    Args:
        items: The items, checked; read in the caller's thread, a few windows ahead of the results.
        work: The work of the call.
        limits: Bounds of batches and windows, and the threads that run batches.

    Returns:
        An iterator of one result per item, in the order of the items.
    """
    return _stream(items, work, limits, getpid())


def _stream(
    items: Iterable[ItemT], work: Work[ItemT, PreparedT, ResultT], limits: BatchLimits, process: int
) -> Iterator[ResultT]:
    if getpid() != process:
        raise begun_in(process)
    if current_call.get() is not None:
        checkpoint()
    reader = _Reader(iter(items), work.size, limits)
    first = reader.read()
    if not reader.exhausted:
        yield from _stream_windows(reader, work, limits.in_lanes() if limits.lanes > 1 else limits, first, process)
        return
    prepared = work.prepare(first, 0)
    batches = plan_within(work.costs(prepared), limits)
    if limits.lanes > 1 and len(batches) >= _MANY_BATCHES:
        yield from _stream_windows(reader, work, limits.in_lanes(), _done(prepared), process)
    elif len(batches) == 1:
        # Small work stays in the caller's thread: no thread is worth starting for it.
        (batch,) = batches
        results = dict(zip(batch, work.run([prepared[i] for i in batch], 0), strict=True))
        for position in range(len(batch)):
            yield results.pop(position)
            if getpid() != process:
                raise begun_in(process)
    elif limits.workers == 1 or not batches:
        yield from _restore(batches, (_run(work, [prepared[i] for i in batch], 0) for batch in batches), process)
    else:
        workers = min(limits.workers, len(batches))
        yield from _stream_windows(reader, work, replace(limits, workers=workers), _done(prepared), process)


def _run(work: Work[ItemT, PreparedT, ResultT], batch: Sequence[PreparedT], worker: int) -> Iterable[ResultT]:
    checkpoint()
    return work.run(batch, worker)


def _run_in_lane(work: Work[ItemT, PreparedT, ResultT], batch: Sequence[PreparedT], worker: int) -> Iterable[ResultT]:
    """Run a batch on one processor; in a context of its own."""
    ON_ONE_PROCESSOR.set(True)
    return _run(work, batch, worker)


def _done(prepared: Sequence[PreparedT]) -> Future[Sequence[PreparedT]]:
    """A future that already has its result."""
    future: Future[Sequence[PreparedT]] = Future()
    future.set_result(prepared)
    return future


class _Reader(Generic[ItemT]):
    """Reads windows of items."""

    def __init__(self, items: Iterator[ItemT], size: Callable[[ItemT], int], limits: BatchLimits) -> None:
        self._items = items
        self._size = size
        self._limits = limits
        self.count = 0
        self.exhausted = False

    def read(self) -> list[ItemT]:
        """Read the next window; shorter than a full one only at the end or when its items are large."""
        window: list[ItemT] = []
        size = 0
        limits = self._limits
        for item in self._items:
            window.append(item)
            size += self._size(item)
            if size >= limits.window_size or (len(window) >= limits.window_items and size >= limits.least_window):
                break
        else:
            self.exhausted = True
        self.count += len(window)
        return window


def _stream_windows(
    reader: _Reader[ItemT],
    work: Work[ItemT, PreparedT, ResultT],
    limits: BatchLimits,
    first: Sequence[ItemT] | Future[Sequence[PreparedT]],
    process: int,
) -> Iterator[ResultT]:
    """The threaded way, for more than one window or more than one worker."""
    preparer = Threads(limits.preparers, PREPARE_THREAD_PREFIX)
    runners = Threads(limits.workers, RUN_THREAD_PREFIX)
    run = _run_in_lane if limits.lanes > 1 else _run
    running: deque[_Window[PreparedT, ResultT]] = deque()
    started = 0
    try:
        pending: deque[Future[Sequence[PreparedT]]] = deque()
        pending.append(
            first if isinstance(first, Future) else preparer.submit(copy_context().run, work.prepare, first, 0)
        )
        while pending or running:
            if pending:
                prepared = preparer.result(pending.popleft())
                checkpoint()
                batches = plan_within(work.costs(prepared), limits)
                futures = [
                    runners.submit(copy_context().run, run, work, [prepared[i] for i in batch], started + number)
                    for number, batch in enumerate(batches)
                ]
                started += len(batches)
                running.append(_Window(batches, futures))
                del prepared, futures
                while len(pending) < limits.preparers and not reader.exhausted:
                    start = reader.count
                    window = reader.read()
                    if window:
                        pending.append(preparer.submit(copy_context().run, work.prepare, window, start))
            if not pending or len(running) > 1:
                done = running.popleft()
                yield from _restore(done.batches, map(runners.result, done.futures), process)
                del done
    finally:
        preparer.close()
        runners.close()


def _restore(batches: Sequence[Sequence[int]], results: Iterable[Iterable[ResultT]], process: int) -> Iterator[ResultT]:
    """Put results back into the order of their items, each handed out as soon as all before it are there."""
    slots: dict[int, ResultT] = {}
    following = 0
    for batch, batch_results in zip(batches, results, strict=True):
        slots.update(zip(batch, batch_results, strict=True))
        while following in slots:
            yield slots.pop(following)
            if getpid() != process:
                raise begun_in(process)
            following += 1

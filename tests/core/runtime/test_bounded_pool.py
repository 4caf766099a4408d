"""Blocking work off an event loop."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from onnxembed.runtime.batching import BatchLimits
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cancellation import CallCancelled, checkpoint
from onnxembed.runtime.pipeline import stream

marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker", default="unset")


async def test_no_more_at_once_than_allowed() -> None:
    pool, lock = BoundedPool(2), threading.Lock()
    now = most = 0

    def work() -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return 1

    assert sum(await asyncio.gather(*(pool.run(work) for _ in range(50)))) == 50
    assert most == 2


async def test_context_variables_are_seen() -> None:
    marker.set("here")
    assert await BoundedPool(1).run(marker.get) == "here"


async def test_errors_pass() -> None:
    def work() -> None:
        raise LookupError("as it was")

    with pytest.raises(LookupError, match="as it was"):
        await BoundedPool(1).run(work)


async def test_the_loop_keeps_turning() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await BoundedPool(1).run(lambda: time.sleep(0.3))
    ticker.cancel()
    assert ticks > 20


async def test_cancelling_drops_what_has_not_begun() -> None:
    pool, begun, leave = BoundedPool(1), [], threading.Event()
    first = asyncio.create_task(pool.run(lambda: leave.wait(5)))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(pool.run(lambda: begun.append(1)))
    await asyncio.sleep(0.02)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    leave.set()
    assert await first is True
    assert await pool.run(lambda: "usable") == "usable"
    assert begun == []


def numbers(count: int, closed: list[bool], wait: float = 0.0) -> Iterator[int]:
    try:
        for number in range(count):
            time.sleep(wait)
            yield number
    finally:
        closed.append(True)


async def test_iterating() -> None:
    closed: list[bool] = []
    assert [item async for item in BoundedPool(1).iterate(numbers(200, closed))] == list(range(200))
    assert closed == [True]
    nothing: list[int] = []
    assert [item async for item in BoundedPool(1).iterate(iter(nothing))] == []


async def test_stopping_early_closes_the_iterator() -> None:
    closed: list[bool] = []
    pool = BoundedPool(1)
    items = pool.iterate(numbers(10_000, closed))
    assert await anext(items) == 0
    await items.aclose()  # type: ignore[attr-defined]
    assert closed == [True]


async def test_cancelling_in_the_middle_closes_the_iterator() -> None:
    closed: list[bool] = []
    pool = BoundedPool(1)

    async def consume() -> None:
        async for _ in pool.iterate(numbers(10_000, closed, wait=0.001)):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pool.run(lambda: list(closed)) == [True]


class Requests:
    """Work that notes the batches of each request; a batch holds requests' own numbers."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.first, self.leave = threading.Event(), threading.Event()
        self.leave.set()

    def size(self, item: int) -> int:
        return 1

    def prepare(self, items: Sequence[int], first_index: int) -> Sequence[int]:
        return items

    def costs(self, prepared: Sequence[int]) -> Sequence[int]:
        return [1] * len(prepared)

    def run(self, batch: Sequence[int], worker: int) -> Sequence[int]:
        self.batches.append(batch[0])
        self.first.set()
        self.leave.wait(10)
        return batch

    def of(self, request: int, batches: int, workers: int = 1) -> Iterator[int]:
        limits = BatchLimits(budget=4, max_items=4, window_items=40, window_size=1000, workers=workers)
        return stream([request] * 4 * batches, self, limits)


async def consumed(items: object) -> None:
    async for _ in items:  # type: ignore[attr-defined]
        pass


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["run", "iterate"])
async def test_large_requests_that_are_cancelled_cost_two_batches_at_most(workers: int, way: str) -> None:
    """50 requests at once, 20 of them large and cancelled early: the others wait for no more than beside 20 of two."""
    pool, work = BoundedPool(2), Requests()
    work.leave.clear()

    def asked(request: int, batches: int) -> asyncio.Task[object]:
        results = work.of(request, batches, workers)
        if way == "iterate":
            return asyncio.create_task(consumed(pool.iterate(results)))
        return asyncio.create_task(pool.run(lambda: list(results)))

    large = [asked(number, 1000) for number in range(20)]
    small = [asked(number, 1) for number in range(20, 50)]
    assert await asyncio.to_thread(work.first.wait, 10)
    for task in large:
        task.cancel()
    await asyncio.wait(large, timeout=0.1)  # those that have not begun end at once
    work.leave.set()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*large, return_exceptions=True))
    await asyncio.gather(*small)
    assert sorted(work.batches)[-30:] == list(range(20, 50))
    of_large = [number for number in work.batches if number < 20]
    assert max(map(of_large.count, of_large)) <= 2
    assert set(of_large) <= {0, 1}  # of the others nothing was begun


async def test_a_timeout_stops_the_work() -> None:
    pool, work = BoundedPool(1), Requests()
    work.leave.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.run(lambda: list(work.of(0, 100))), 0.05)
    work.leave.set()
    assert await pool.run(lambda: list(work.of(1, 1))) == [1] * 4
    assert work.batches == [0, 1]


async def test_a_cancelled_call_is_not_kept_going_by_catching_errors() -> None:
    pool, inside, leave, seen = BoundedPool(1), threading.Event(), threading.Event(), []

    def work() -> None:
        inside.set()
        leave.wait(10)
        for _ in range(3):
            try:
                checkpoint()
            except Exception:  # what a careless caller does
                seen.append("caught")
            seen.append("went on")

    task = asyncio.create_task(pool.run(work))
    assert await asyncio.to_thread(inside.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leave.set()
    await pool.run(int)
    assert seen == []


async def test_what_a_finished_call_gave_can_be_used_later() -> None:
    pool, work = BoundedPool(1), Requests()
    results = await pool.run(lambda: work.of(0, 20))
    assert len(list(results)) == 80
    checkpoint()
    assert issubclass(CallCancelled, BaseException)
    assert not issubclass(CallCancelled, Exception)


async def test_abandoned_calls_leave_nothing_behind() -> None:
    """Many cancelled streams: no thread of a pipeline, and no more of the pool's than it has."""
    pool, work = BoundedPool(2), Requests()
    for number in range(20):
        task = asyncio.create_task(consumed(pool.iterate(work.of(number, 1000, workers=2))))
        while number not in work.batches:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    meeting = threading.Barrier(2)
    await asyncio.gather(*(pool.run(lambda: meeting.wait(10)) for _ in range(2)))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("onnxembed-run", "onnxembed-prepare"))]
    assert len(pool._threads.get()._workers) <= 2

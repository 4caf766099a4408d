"""Blocking work off an event loop."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator

import pytest

from onnxembed.runtime.bounded_pool import BoundedPool

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
    assert [item async for item in BoundedPool(1).iterate(iter([]))] == []


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

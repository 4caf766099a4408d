"""Blocking work off the event loop: a few threads of our own instead of the loop's default pool.

The default pool has up to 32 threads and is shared with everything else; a hundred concurrent queries would start
dozens of inferences, each wanting every processor.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from onnxembed.runtime.cancellation import Call, current_call
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.threads import Threads

T = TypeVar("T")

ASYNC_THREAD_PREFIX = "onnxembed-async"
# Results cross from the pool to the loop in chunks, since each crossing costs about 50 microseconds.
_CHUNK = 64


class BoundedPool:
    """At most ``max_concurrency`` blocking calls at a time, each with its caller's context variables.

    A call whose await is cancelled is dropped when it has not begun; one under way ends at its next batch.
    """

    def __init__(self, max_concurrency: int) -> None:
        """Remember the bound; threads start with the first calls."""
        self.max_concurrency = max_concurrency
        self._threads = PerProcess(lambda: Threads(max_concurrency, ASYNC_THREAD_PREFIX))
        # What was abandoned ends beside the queue, not behind it.
        self._closer = PerProcess(lambda: Threads(1, ASYNC_THREAD_PREFIX))

    async def run(self, function: Callable[[], T]) -> T:
        """Await a blocking call."""
        import asyncio

        call = Call()
        future = self._submit(function, call)
        try:
            return await asyncio.wrap_future(future)
        finally:
            if not future.done():
                call.cancel()

    def _submit(self, function: Callable[[], T], call: Call) -> Future[T]:
        context = contextvars.copy_context()
        context.run(current_call.set, call)
        return self._threads.get().submit(context.run, function)

    async def iterate(self, iterator: Iterator[T]) -> AsyncIterator[T]:
        """Await the items of a blocking iterator.

        The iterator is closed when the caller stops early, and when the caller is cancelled; a step under way ends at
        its next batch.

        Args:
            iterator: A generator; it is used by one thread at a time, not always the same one.

        Yields:
            Its items.
        """
        import asyncio

        call = Call()
        step: Future[list[T]] | None = None
        ended = False
        try:
            while not ended:
                step = self._submit(lambda: list(islice(iterator, _CHUNK)), call)
                chunk = await asyncio.wrap_future(step)
                ended = len(chunk) < _CHUNK
                for item in chunk:
                    yield item
        finally:
            if not ended:
                call.cancel()
                close: Callable[[], None] = getattr(iterator, "close", lambda: None)
                if step is None or step.done():
                    await asyncio.shield(asyncio.wrap_future(self._closer.get().submit(close)))
                else:
                    step.add_done_callback(lambda _: close())

"""Blocking work off the event loop: a few threads of our own instead of the loop's default pool.

The default pool has up to 32 threads and is shared with everything else; a hundred concurrent queries would start
dozens of inferences, each wanting every processor.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from onnxembed.runtime.per_process import PerProcess

T = TypeVar("T")

ASYNC_THREAD_PREFIX = "onnxembed-async"
# Results cross from the pool to the loop in chunks, since each crossing costs about 50 microseconds.
_CHUNK = 64


class BoundedPool:
    """At most ``max_concurrency`` blocking calls at a time, each with its caller's context variables."""

    def __init__(self, max_concurrency: int) -> None:
        """Remember the bound; threads start with the first call.

        Args:
            max_concurrency: How many calls may run at once.
        """
        self.max_concurrency = max_concurrency
        self._executor = PerProcess(lambda: ThreadPoolExecutor(max_concurrency, thread_name_prefix=ASYNC_THREAD_PREFIX))

    async def run(self, function: Callable[[], T]) -> T:
        """Await a blocking call. Cancelling the await drops the call when it has not begun; one under way finishes.

        Args:
            function: The call.

        Returns:
            What it returns.
        """
        import asyncio

        return await asyncio.wrap_future(self._submit(function))

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        return self._executor.get().submit(contextvars.copy_context().run, function)

    async def iterate(self, iterator: Iterator[T]) -> AsyncIterator[T]:
        """Await the items of a blocking iterator.

        The iterator is closed when it ends, when the caller stops early, and when the caller is cancelled; a step under
        way is let finish first.

        Args:
            iterator: A generator; it is used by one thread at a time, not always the same one.

        Yields:
            Its items.
        """
        import asyncio

        step: Future[list[T]] | None = None
        close: Callable[[], None] = getattr(iterator, "close", lambda: None)
        try:
            while True:
                step = self._submit(lambda: list(islice(iterator, _CHUNK)))
                chunk = await asyncio.wrap_future(step)
                for item in chunk:
                    yield item
                if len(chunk) < _CHUNK:
                    return
        finally:
            if step is None or step.done():
                await asyncio.shield(asyncio.wrap_future(self._submit(close)))
            else:
                step.add_done_callback(lambda _: close())

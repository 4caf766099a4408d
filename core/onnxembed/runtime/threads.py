"""Threads of our own, since those of ``concurrent.futures`` take no work once the main thread has ended.

They are daemons that end with their owner. Where no thread can be started (Python 3.12 and later start none once the
main thread has ended, and some systems have a limit), the work is done in the caller's thread.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from onnxembed.runtime.cancellation import cancel_all

T = TypeVar("T")
ItemT = TypeVar("ItemT")

# How long the end of the interpreter waits for work that is under way, such as a batch or a load: a thread that dies
# inside ONNX Runtime may take the process with it, and a caller's function may never end.
_SECONDS_AT_EXIT = 30.0
# How often a thread that waits for a result looks whether the workers have stopped, as they do at exit.
_SECONDS_BETWEEN_LOOKS = 1.0


class _Task(Generic[T]):
    """A call and the future of its result."""

    __slots__ = ("args", "function", "future")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.future: Future[T] = Future()
        self.function = function
        self.args = args

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args)
        except BaseException as error:  # noqa: BLE001  # raised where the result is taken
            self.future.set_exception(error)
            del self  # the traceback holds this frame, and the future the traceback
        else:
            self.future.set_result(result)


class _Queue:
    """What owner and workers share; workers do not hold the owner, so that they end with it."""

    __slots__ = ("stopped", "tasks")

    def __init__(self) -> None:
        self.tasks: SimpleQueue[_Task[Any] | None] = SimpleQueue()
        self.stopped = False

    def serve(self) -> None:
        """Work until there is a ``None``, which is left for the other workers."""
        while not self.stopped:
            task = self.tasks.get()
            if task is None:
                break
            task.run()
            del task  # its result is not to be held until the next one comes
        self.tasks.put(None)

    def next_left(self) -> _Task[Any] | None:
        """Take a task that no worker will."""
        while True:
            try:
                task = self.tasks.get_nowait()
            except Empty:
                return None
            if task is not None:
                return task


class Threads:
    """At most ``count`` threads that do calls in the order given, each started with one of the first calls."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._process = os.getpid()
        self._starting = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._queue = _Queue()
        # A simple queue may be written to by the collector at any time: no Python code runs while its lock is held.
        weakref.finalize(self, self._queue.tasks.put, None).atexit = False

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Have a call made; its future is to be taken with `result`, or by an event loop."""
        task = _Task(function, args)
        if self._has_workers():
            self._queue.tasks.put(task)
        else:
            task.run()
        return task.future

    def result(self, future: Future[T]) -> T:
        """Wait for what `submit` gave; what stopped workers have left is done here."""
        while not future.done():
            if self._queue.stopped and (task := self._queue.next_left()) is not None:
                task.run()
                continue
            try:
                return future.result(_SECONDS_BETWEEN_LOOKS)
            except TimeoutError:
                continue  # of this wait, or of the call itself: then the future is done
        return future.result()

    def map(self, function: Callable[[ItemT], T], items: Iterable[ItemT]) -> Iterator[T]:
        """Call a function with each item; of several errors, that of the first item is raised, and the rest dropped."""
        futures = [self.submit(function, item) for item in items]
        try:
            for future in futures:
                yield self.result(future)
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Drop the calls that have not begun, wait for the others, and end the threads."""
        if os.getpid() != self._process:
            return  # the threads are those of the parent
        self._queue.stopped = True
        while (task := self._queue.next_left()) is not None:
            task.future.cancel()
        self._queue.tasks.put(None)
        if not sys.is_finalizing():  # threads do not run any more then
            self._join(None)

    def stop(self) -> None:
        """End the threads after what they do now; the calls that have not begun stay for `result`."""
        self._queue.stopped = True
        self._queue.tasks.put(None)

    def _join(self, deadline: float | None) -> None:
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _has_workers(self) -> bool:
        """Whether there is a thread for one more call, started if need be."""
        if self._queue.stopped:
            return False
        if len(self._workers) < self._count:
            with self._starting:
                if len(self._workers) < self._count and (worker := _started(self._queue.serve, self._name)):
                    self._workers.append(worker)
                    _with_workers[id(self)] = self
        return bool(self._workers)


# Those that have threads, of this process and of the one it was forked from.
_with_workers: weakref.WeakValueDictionary[int, Threads] = weakref.WeakValueDictionary()
_ending = False


def _started(target: Callable[[], object], name: str) -> threading.Thread | None:
    """Start a daemon thread, where one can be started that will still be seen to its end."""
    main = threading.main_thread()
    if _ending or (not main.is_alive() and threading.current_thread() is main):
        return None  # inside an ``atexit`` function
    _watch_exit()
    try:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
    except RuntimeError:  # the interpreter ends, has no daemon threads, or the system has no more
        return None
    return thread


def run_beside(function: Callable[[], object], name: str, seconds: float) -> None:
    """Call a function that knows no time limit, and stop waiting for it after so many seconds."""
    thread = _started(function, name)
    if thread is None:
        function()
    else:
        thread.join(seconds)


@cache
def _watch_exit() -> None:
    """Have the end of the interpreter noticed; from the first thread on, so that importing has no effect."""
    atexit.register(_end_all)


def _end_all() -> None:
    """Cancel what is awaited by nobody, and wait for what ONNX Runtime is doing; later work needs no threads."""
    global _ending  # one per process
    _ending = True
    cancel_all()
    process = os.getpid()
    threads = [those for reference in _with_workers.valuerefs() if (those := reference()) is not None]
    threads = [those for those in threads if those._process == process]
    for those in threads:
        those.stop()
    deadline = time.monotonic() + _SECONDS_AT_EXIT
    for those in threads:
        those._join(deadline)

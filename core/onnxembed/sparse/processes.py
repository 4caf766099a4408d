"""A function mapped over chunks in processes of its own: in order, bounded, and ended with the work.

For work that holds Python's lock; what releases it runs in threads (`onnxembed.runtime.pipeline`).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from onnxembed.errors import InferenceError, InputError, OnnxEmbedError

ChunkT = TypeVar("ChunkT")
ResultT = TypeVar("ResultT")

# A worker computes one chunk while the next already waits for it.
_CHUNKS_A_WORKER = 2
# Results that may wait for an earlier one, with those that are computed.
_CHUNKS_AHEAD_A_WORKER = 4
SECONDS_TO_END = 5.0


def map_in_processes(
    function: Callable[[ChunkT], ResultT],
    chunks: Iterable[ChunkT],
    workers: int,
    here: Callable[[ChunkT], ResultT] | None = None,
) -> Iterator[ResultT]:
    """Map a function over chunks in so many other processes, giving one result per chunk in the order of the chunks.

    ``function`` is pickled to every process once. Chunks are read in the caller's thread, at most four per worker ahead
    of the results. ``here`` does the same in this process whenever the others are busy; with ``None`` they do it all.
    Closing the iterator early, an error, or an interrupt ends the processes. A process that ends by itself, or a
    function that raises, is an InferenceError; errors of this package come as they are.
    """
    try:
        sent = pickle.dumps(function, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"parallel={workers} sends the model to other processes, but it cannot be pickled: {error}. Define stemmer "
            "and segmenter at the top of a module, or leave parallel= out"
        ) from error
    pool: list[_Worker] = []
    process = os.getpid()
    try:
        for _ in range(workers):
            pool.append(_Worker(sent))
        yield from _run(pool, iter(chunks), here)
        for worker in pool:
            worker.dismiss()
    finally:
        if os.getpid() == process:  # a forked child has none of them, and would end its parent's
            _end(pool)


def _run(pool: list[_Worker], chunks: Iterator[Any], here: Callable[[Any], Any] | None) -> Iterator[Any]:
    """Hand chunks to the workers, and give results in order."""
    most_ahead = _CHUNKS_AHEAD_A_WORKER * (len(pool) + (here is not None))
    following = 0
    handed_out = 0
    waiting: dict[int, Any] = {}
    exhausted = False
    while True:
        while not exhausted and handed_out - following < most_ahead:
            worker = min(pool, key=lambda candidate: len(candidate.numbers))
            busy = len(worker.numbers) >= _CHUNKS_A_WORKER
            if busy and (here is None or following in waiting or _receive(pool, waiting, wait=False)):
                break
            chunk = next(chunks, STOP)
            if isinstance(chunk, _Stop):
                exhausted = True
                break
            if not busy:
                worker.send(handed_out, chunk)
            elif here is not None:
                # Nothing is ready and all workers are busy: instead of waiting, this process does its share.
                waiting[handed_out] = here(chunk)
            handed_out += 1
        if following in waiting:
            yield waiting.pop(following)
            following += 1
        elif following == handed_out:
            return
        else:
            _receive(pool, waiting, wait=True)


def _receive(pool: list[_Worker], waiting: dict[int, Any], *, wait: bool) -> bool:
    """Take the results that are ready, or wait for one, or for the end of a process; say whether there was one."""
    of_channel = {worker.channel: worker for worker in pool if worker.numbers}
    ready = connection.wait(list(of_channel), None if wait else 0)
    for channel in ready:
        number, result = of_channel[channel].receive()  # type: ignore[index]
        waiting[number] = result
    return bool(ready)


def _end(pool: list[_Worker]) -> None:
    """Leave no process behind."""
    for worker in pool:
        if not worker.dismissed:
            worker.process.terminate()
    for worker in pool:
        worker.process.join(SECONDS_TO_END)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.channel.close()
        worker.process.close()


class _Worker:
    """One process and the caller's end of its pipe.

    The process ends when the pipe does, so it never outlives its parent.
    """

    def __init__(self, function: bytes) -> None:
        context = get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.numbers: deque[int] = deque()
        self.dismissed = False
        self.process: SpawnProcess = context.Process(
            target=serve, args=(theirs, function), name="onnxembed-worker", daemon=True
        )
        try:
            self.process.start()
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.close()

    def send(self, number: int, chunk: Any) -> None:
        try:
            self.channel.send(chunk)
        except OSError as error:
            raise self._died() from error
        self.numbers.append(number)

    def receive(self) -> tuple[int, Any]:
        """Take the next result, which is of the earliest chunk."""
        try:
            outcome = self.channel.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(outcome, _Failure):
            outcome.raise_here()
        return self.numbers.popleft(), outcome

    def dismiss(self) -> None:
        """Let the process end by itself."""
        self.dismissed = True
        with contextlib.suppress(OSError):
            self.channel.send(STOP)

    def _died(self) -> InferenceError:
        self.process.join(SECONDS_TO_END)
        code = self.process.exitcode
        hint = "negative codes are signals; -9 often means that the system ran out of memory"
        if code == 1:
            hint = 'a script that uses parallel= must start its work under if __name__ == "__main__":'
        return InferenceError(f"worker process {self.process.pid} ended with exit code {code} ({hint})")


@dataclass(frozen=True, slots=True)
class _Stop:
    """Tells a process that there is nothing more."""


STOP = _Stop()


@dataclass(frozen=True, slots=True)
class _Failure:
    """An exception on its way to the caller."""

    error: BaseException
    trace: str = field(default="")

    def raise_here(self) -> None:
        """Raise it, or an error of this package that has it as its cause."""
        self.error.add_note(f"In a worker process:\n{self.trace}")
        if isinstance(self.error, OnnxEmbedError):
            raise self.error
        raise InferenceError(f"a worker process failed with {type(self.error).__name__}: {self.error}") from self.error


def serve(channel: connection.Connection, sent: bytes) -> None:
    """Map chunks until there are no more: the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller's process decides what an interrupt means
    chunks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A thread of its own reads, so that the caller can send while a result is on its way: neither waits for the other.
    threading.Thread(target=_read, args=(channel, chunks), daemon=True).start()
    function: Callable[[Any], Any] | None = None
    while not isinstance(chunk := chunks.get(), _Stop):
        try:
            function = pickle.loads(sent) if function is None else function  # noqa: S301 - made by our own parent
            outcome = function(chunk)
        except Exception as error:  # noqa: BLE001 - any error goes to the caller
            outcome = portable(error)
        try:
            channel.send(outcome)
        except OSError:
            return


def _read(channel: connection.Connection, chunks: queue.SimpleQueue[Any]) -> None:
    """Move chunks from the pipe to the queue, to the end of the pipe."""
    chunk: Any = None
    while not isinstance(chunk, _Stop):
        try:
            chunk = channel.recv()
        except Exception:  # noqa: BLE001 - the end of the pipe, or a chunk that cannot be read: nothing can follow
            chunk = STOP
        chunks.put(chunk)


def portable(error: Exception) -> _Failure:
    """Put an exception into a form that survives pickling."""
    import traceback

    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made on the line itself
    except Exception:  # noqa: BLE001 - exceptions may hold anything
        return _Failure(RuntimeError(repr(error)), trace)
    return _Failure(error, trace)

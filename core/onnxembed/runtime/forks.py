"""What a fork must not tear: imports and loads of other threads, and the threads of Rust and of pipelines.

A child process has the memory of its parent but only the thread that forked. What another thread was doing at that
moment, with the locks it held, stays half done in the child for ever. So a fork waits until no other thread imports
one of our packages or is inside a `whole` section; and a child never uses threads that only its parent has.
"""

from __future__ import annotations

import _imp
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

from onnxembed.errors import InferenceError

# The Hub's client imports this, and it cannot be imported once the main thread has ended.
with suppress(RuntimeError):
    import concurrent.futures.thread  # noqa: F401

T = TypeVar("T")

# Longest wait of a fork: whatever is wrong with the other thread, a fork without the wait is better than none.
_SECONDS = 60.0
_SECONDS_BETWEEN_LOOKS = 0.005
# Packages that are imported on first use, in whichever thread that is.
_PACKAGES = {
    *("PIL", "filelock", "httpcore", "httpx", "huggingface_hub", "mmh3", "numpy", "onnxembed", "onnxruntime"),
    *("py_rust_stemmers", "pypdfium2", "pypdfium2_raw", "ssl", "tokenizers", "tqdm"),
}
# The process that loaded this module: any other one is its child.
_HOME = os.getpid()


class _Sections:
    """The threads inside a `whole` section; a fork holds the lock while it is made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside: Counter[int] = Counter()

    def count(self, change: int) -> None:
        """Note that this thread enters or leaves a section."""
        with self.lock:
            self.inside[threading.get_ident()] += change
            self.inside = +self.inside

    def taken(self) -> bool:
        """Whether another thread is inside."""
        return bool(self.inside.keys() - {threading.get_ident()})


_sections = _Sections()


@contextmanager
def whole() -> Iterator[None]:
    """A section that no fork tears: one of another thread waits until it is left. For what takes seconds at most."""
    _sections.count(1)
    try:
        yield
    finally:
        _sections.count(-1)


@cache
def watch() -> None:
    """Have forks noticed; from the first model on, so that importing has no effect."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_start_anew)


def _wait() -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        _sections.lock.acquire()
        _imp.acquire_lock()  # nobody begins an import between the look and the fork
        if not (_sections.taken() or importing()) or time.monotonic() > deadline:
            return
        _go_on()
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def importing() -> bool:
    """Whether another thread imports one of our packages, and so holds a lock that a child could never take."""
    # No public function tells; without this one, only `whole` sections are waited for.
    locks: dict[str, Callable[[], Any]] = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    me = threading.get_ident()
    return any(
        getattr(lock(), "owner", None) not in (None, me)
        for name, lock in list(locks.items())
        if name.partition(".")[0] in _PACKAGES
    )


def _go_on() -> None:
    _imp.release_lock()
    _sections.lock.release()


def _start_anew() -> None:
    """Forget the other threads; this one may be inside a section itself."""
    me = threading.get_ident()
    _sections.lock = threading.Lock()
    _sections.inside = +Counter({me: _sections.inside[me]})
    with suppress(RuntimeError):  # where a system forks without asking first
        _imp.release_lock()


def begun_in(process: int) -> InferenceError:
    """The error of a child that goes on with what its parent began."""
    return InferenceError(
        f"these results were begun in process {process}, and this is process {os.getpid()}, forked from it: the "
        "threads that compute them stayed there. Call the method again in this process"
    )


def kept_here(results: Iterator[T]) -> Iterator[T]:
    """Give results to the process that asks for them now, not to a child of it."""
    return _kept(results, os.getpid())


def _kept(results: Iterator[T], process: int) -> Iterator[T]:
    if os.getpid() == process:
        for result in results:
            yield result
            if os.getpid() != process:
                break
        else:
            return
    raise begun_in(process)


# The process that has used the thread pool of ``tokenizers``, or the parent of this one that has.
_rust_threads_in: int | None = None


def rust_threads_run() -> bool:
    """Whether ``tokenizers`` may use its threads here; a forked child has none of them, and would wait for ever.

    The library itself notices a fork, unless ``TOKENIZERS_PARALLELISM=true`` is set. Where it is set, someone else may
    have used the threads before the fork.
    """
    global _rust_threads_in  # one per process
    process = os.getpid()
    if _rust_threads_in is None and (process == _HOME or not os.environ.get("TOKENIZERS_PARALLELISM")):
        _rust_threads_in = process
    return _rust_threads_in == process

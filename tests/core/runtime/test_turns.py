from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.runtime.turns import Turns


@contextmanager
def held_in(turns: Turns, threads: int) -> Iterator[None]:
    turns.take(threads)
    try:
        yield
    finally:
        turns.give_back(threads)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_never_more_threads_than_processors(processors: int, runs: list[int]) -> None:
    turns, lock, held, most = Turns(processors), threading.Lock(), 0, 0

    def run(threads: int) -> None:
        nonlocal held, most
        with held_in(turns, threads):
            with lock:
                held += min(threads, processors)
                most = max(most, held)
            with lock:
                held -= min(threads, processors)

    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(run, runs))
    assert 1 <= most <= processors
    assert held == 0
    with held_in(turns, processors):  # all are free again
        pass


def test_first_come_first_served() -> None:
    """A run of all processors is not passed by small ones that come after it."""
    turns, order = Turns(2), []
    queued = [threading.Event() for _ in range(2)]

    def run(number: int, threads: int) -> None:
        queued[number].set()
        with held_in(turns, threads):
            order.append(number)

    with held_in(turns, 1):
        waiting = []
        for number, threads in ((0, 2), (1, 1)):
            thread = threading.Thread(target=run, args=(number, threads))
            thread.start()
            waiting.append(thread)
            queued[number].wait()
            while turns.waiting <= number:  # until it waits
                threading.Event().wait(0.001)
        assert order == []
    for thread in waiting:
        thread.join()
    assert order == [0, 1]


class Interrupted(BaseException):
    """Stands for what ends a wait."""


def test_an_interrupted_wait_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(2)

    class Refusing:
        """A lock whose second `acquire` is interrupted."""

        def __init__(self) -> None:
            self.asked = 0

        def acquire(self) -> None:
            self.asked += 1
            if self.asked == 2:
                raise Interrupted

    with held_in(turns, 2):
        monkeypatch.setattr("onnxembed.runtime.turns.threading.Lock", Refusing)
        with pytest.raises(Interrupted):
            turns.take(1)
        monkeypatch.undo()
        assert turns.waiting == 0
    with held_in(turns, 2):  # all are free again
        pass

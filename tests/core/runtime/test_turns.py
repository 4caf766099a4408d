from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.runtime.turns import Turns


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_never_more_threads_than_processors(processors: int, runs: list[int]) -> None:
    turns, lock, held, most = Turns(processors), threading.Lock(), 0, 0

    def run(threads: int) -> None:
        nonlocal held, most
        with turns.hold(threads):
            with lock:
                held += min(threads, processors)
                most = max(most, held)
            with lock:
                held -= min(threads, processors)

    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(run, runs))
    assert 1 <= most <= processors
    assert held == 0
    with turns.hold(processors):  # all are free again
        pass


def test_first_come_first_served() -> None:
    """A run of all processors is not passed by small ones that come after it."""
    turns, order = Turns(2), []
    queued = [threading.Event() for _ in range(2)]

    def run(number: int, threads: int) -> None:
        queued[number].set()
        with turns.hold(threads):
            order.append(number)

    with turns.hold(1):
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


def test_a_failed_run_gives_back_what_it_held() -> None:
    turns = Turns(2)
    with pytest.raises(ZeroDivisionError), turns.hold(2):
        raise ZeroDivisionError
    with turns.hold(2):
        pass

"""Threads of our own: in order, bounded, ended with their owner, and done without where none can start."""

import contextlib
import gc
import threading
from collections.abc import Iterator

import pytest

from onnxembed.runtime import threads
from onnxembed.runtime.threads import Threads, run_beside

NAME = "onnxembed-test-threads"


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


@contextlib.contextmanager
def blocked(workers: Threads) -> Iterator[threading.Event]:
    """Keep a worker busy until the block ends."""
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        leave.wait(10)

    workers.submit(wait)
    assert inside.wait(10)
    try:
        yield leave
    finally:
        leave.set()


def refused(*_: object, **__: object) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_calls_are_done_in_order_by_at_most_so_many_daemons() -> None:
    with contextlib.closing(Threads(1, NAME)) as workers:
        assert alive() == []
        done: list[int] = []
        futures = [workers.submit(done.append, number) for number in range(100)]
        for future in futures:
            workers.result(future)
        assert done == list(range(100))
        assert [thread.daemon for thread in alive()] == [True]
    assert alive() == []
    with contextlib.closing(Threads(3, NAME)) as workers:
        meeting = threading.Barrier(3)
        assert sorted(workers.map(lambda _: meeting.wait(10), range(3))) == [0, 1, 2]
        assert len(alive()) == 3
    assert alive() == []


def test_errors_come_out_where_the_result_is_taken() -> None:
    def fail(number: int) -> int:
        if number % 2:
            raise TimeoutError(f"call {number}")
        return number

    with contextlib.closing(Threads(2, NAME)) as workers:
        with pytest.raises(TimeoutError, match="call 7"):
            workers.result(workers.submit(fail, 7))
        with pytest.raises(TimeoutError, match="call 1"):
            list(workers.map(fail, range(8)))
        assert workers.result(workers.submit(fail, 8)) == 8


def test_closing_drops_what_has_not_begun() -> None:
    done: list[int] = []
    workers = Threads(1, NAME)
    with blocked(workers) as leave:
        later = workers.submit(done.append, 1)
        threading.Timer(0.01, leave.set).start()
        workers.close()
    assert later.cancelled()
    assert done == []
    assert alive() == []
    workers.close()


def test_they_end_with_their_owner() -> None:
    workers = Threads(2, NAME)
    workers.result(workers.submit(int))
    workers.result(workers.submit(int))
    ending = alive()
    assert ending
    del workers
    gc.collect()
    for thread in ending:
        thread.join(10)
    assert alive() == []


def test_where_no_thread_can_start_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", refused)
    workers = Threads(2, NAME)
    assert workers.result(workers.submit(threading.current_thread)) is threading.current_thread()
    assert list(workers.map(str, range(3))) == ["0", "1", "2"]
    seen: list[threading.Thread] = []
    run_beside(lambda: seen.append(threading.current_thread()), NAME, 5.0)
    assert seen == [threading.current_thread()]
    workers.close()


def test_one_worker_is_enough_where_no_other_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(Threads(2, NAME)) as workers:
        (thread,) = workers.map(lambda _: threading.current_thread(), [0])
        monkeypatch.setattr(threading.Thread, "start", refused)
        assert list(workers.map(lambda _: threading.current_thread(), range(3))) == [thread] * 3
        monkeypatch.undo()


def test_what_stopped_workers_leave_is_done_by_who_waits_for_it() -> None:
    workers, by = Threads(1, NAME), []
    with blocked(workers):
        left = [workers.submit(lambda: by.append(threading.current_thread())) for _ in range(3)]
        workers.stop()
    for thread in alive():
        thread.join(10)
    workers.result(left[2])
    assert by == [threading.current_thread()] * 3
    assert workers.result(workers.submit(str, 5)) == "5"  # and what comes later, too


def test_a_wait_that_was_begun_before_they_stopped_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_SECONDS_BETWEEN_LOOKS", 0.01)
    workers, got = Threads(1, NAME), []
    with blocked(workers):
        left = workers.submit(str, 7)
        waiting = threading.Thread(target=lambda: got.append(workers.result(left)))
        waiting.start()
        workers.stop()
    waiting.join(10)
    assert got == ["7"]


def test_a_slow_call_is_given_up() -> None:
    leave = threading.Event()
    run_beside(lambda: leave.wait(30), NAME, 0.01)
    leave.set()
    for thread in alive():
        thread.join(10)

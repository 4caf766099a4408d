"""Work in other processes: ordered, bounded, and nothing left behind."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess

import pytest

from onnxembed.errors import InferenceError, InputError, InputTypeError
from onnxembed.sparse import bm25, processes
from onnxembed.sparse.processes import map_in_processes
from tests.fixtures.bm25_models import make_bm25


def slow_square(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0.0)
    return number * number


def fail_at_five(number: int) -> int:
    if number == 5:
        raise KeyError("five")
    return number


class Stubborn(Exception):  # noqa: N818 - a name for a thing that cannot be pickled
    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.handler = lambda: None


def refuse(number: int) -> int:
    if number == 1:
        raise InputTypeError("not one")
    raise Stubborn


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def leave(_number: int) -> int:
    os._exit(1)


def large(size: int) -> bytes:
    return b"x" * size


def deaf(number: int) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return number


def sleep_long(number: int) -> int:
    time.sleep(60 if number else 0)
    return number


def children() -> list[str]:
    return [child.name for child in multiprocessing.active_children()]


def test_results_come_in_order() -> None:
    assert list(map_in_processes(slow_square, range(20), 2)) == [number * number for number in range(20)]
    assert children() == []


def test_chunks_are_read_a_bounded_way_ahead() -> None:
    read: list[int] = []

    def chunks() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    results = map_in_processes(slow_square, chunks(), 2)
    assert next(results) == 0
    assert len(read) <= 8
    results.close()  # type: ignore[attr-defined]
    assert children() == []


def test_large_chunks_and_results_do_not_block_each_other() -> None:
    sizes = [3_000_000] * 6
    assert [len(result) for result in map_in_processes(large, sizes, 1)] == sizes
    texts = ["x" * size for size in sizes]
    assert list(map_in_processes(str.upper, texts, 1)) == [text.upper() for text in texts]


def test_closing_early_does_not_wait() -> None:
    results = map_in_processes(sleep_long, range(5), 2)
    assert next(results) == 0
    start = time.perf_counter()
    results.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - start < 5
    assert children() == []


def test_an_exception_is_the_cause() -> None:
    results = map_in_processes(fail_at_five, range(20), 2)
    with pytest.raises(InferenceError, match="a worker process failed with KeyError: 'five'") as caught:
        list(results)
    assert isinstance(caught.value.__cause__, KeyError)
    assert "fail_at_five" in caught.value.__cause__.__notes__[0]
    assert children() == []


def test_errors_of_this_package_come_as_they_are_and_others_in_words() -> None:
    with pytest.raises(InputTypeError, match="not one"):
        list(map_in_processes(refuse, [1], 1))
    with pytest.raises(InferenceError, match=r"RuntimeError: Stubborn\('cannot travel'\)"):
        list(map_in_processes(refuse, [2], 1))


def test_a_killed_process_is_named_with_its_exit_code() -> None:
    with pytest.raises(InferenceError, match=r"worker process \d+ ended with exit code -9"):
        list(map_in_processes(die, range(20), 2))
    assert children() == []


def test_a_process_that_ends_by_itself() -> None:
    with pytest.raises(InferenceError, match=r"exit code 1 .*__main__"):
        list(map_in_processes(leave, range(20), 1))


def test_what_cannot_be_pickled_is_told_before_anything_starts() -> None:
    with pytest.raises(InputError, match="cannot be pickled"):
        next(map_in_processes(lambda number: number, [1], 2))
    assert children() == []


def test_an_error_of_the_source_ends_the_processes() -> None:
    def chunks() -> Iterator[int]:
        yield 1
        raise InputError("a bad text")

    with pytest.raises(InputError, match="a bad text"):
        list(map_in_processes(slow_square, chunks(), 2))
    assert children() == []


@pytest.mark.parametrize("compatible", [True, False])
def test_bm25_gives_the_same_with_workers(compatible: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "WINDOW_TEXTS", 16)
    texts = [
        f"Word{number % 17} running Straße 北京 kitchens prostaglandins {'the' * (number % 3)}" for number in range(100)
    ]
    model = make_bm25(compatible=compatible, disable_stemmer=True).fit(texts)
    expected = list(model.embed(texts))
    assert list(model.embed(iter(texts), 2)) == expected
    assert model.fit(texts, 2).statistics == model.statistics
    assert children() == []


def test_what_a_process_does() -> None:
    ours, theirs = multiprocessing.Pipe()
    before = signal.getsignal(signal.SIGINT)
    try:
        for chunk in (4, 5, processes.STOP):
            ours.send(chunk)
        processes.serve(theirs, pickle.dumps(fail_at_five))
        assert ours.recv() == 4
        failure = ours.recv()
        assert (type(failure.error), "KeyError" in failure.trace) == (KeyError, True)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ours.send(1)
        ours.close()
        processes.serve(theirs, pickle.dumps(slow_square))  # the caller is gone: it ends
    finally:
        signal.signal(signal.SIGINT, before)
        theirs.close()


def test_exceptions_that_cannot_travel_become_words() -> None:
    assert processes.portable(KeyError("five")).error.args == ("five",)
    assert repr(processes.portable(Stubborn()).error) == "RuntimeError(\"Stubborn('cannot travel')\")"


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_TO_END", 0.3)
    results = map_in_processes(deaf, range(3), 1)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert children() == []


def test_a_process_that_is_gone_before_it_is_sent_anything() -> None:
    def chunks() -> Iterator[int]:
        yield 1
        (child,) = multiprocessing.active_children()
        child.kill()
        child.join()
        yield 2

    with pytest.raises(InferenceError, match="exit code -9"):
        list(map_in_processes(slow_square, chunks(), 1))


def test_a_process_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpawnProcess, "start", lambda _self: (_ for _ in ()).throw(OSError("no more processes")))
    with pytest.raises(OSError, match="no more processes"):
        list(map_in_processes(slow_square, [1], 2))


def test_little_work_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "map_in_processes", None)
    model = make_bm25()
    assert list(model.embed(["fox", "dog"], 4)) == list(model.embed(["fox", "dog"]))
    assert list(model.embed([], 2)) == []


def test_this_process_does_its_share() -> None:
    own: list[int] = []

    def here(chunk: int) -> int:
        own.append(chunk)
        return slow_square(chunk)

    results = list(map_in_processes(slow_square, range(40), 1, here))
    assert results == [chunk * chunk for chunk in range(40)]
    assert 0 < len(own) < 40


def test_an_error_here_ends_the_others() -> None:
    def here(chunk: int) -> int:
        raise ValueError(f"here with {chunk}")

    with pytest.raises(ValueError, match="here with"):
        list(map_in_processes(slow_square, range(100), 1, here))
    assert children() == []

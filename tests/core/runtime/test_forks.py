"""What a fork must not tear."""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from onnxembed.errors import InferenceError, OnnxEmbedError
from onnxembed.runtime import forks, pipeline
from onnxembed.runtime.batching import BatchLimits

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def status_of_child() -> int:
    """Fork; the child enters a section, as every load does."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), forks.whole():
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1]


@contextlib.contextmanager
def loading() -> Iterator[threading.Event]:
    """A section of another thread, left when the event is set."""
    inside, leave = threading.Event(), threading.Event()

    def load() -> None:
        with forks.whole(), forks.whole():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=load)
    thread.start()
    assert inside.wait(10)
    yield leave
    leave.set()
    thread.join()


def test_a_fork_waits_for_the_loads_of_other_threads() -> None:
    forks.watch()
    order: list[str] = []
    with loading() as leave:

        def end() -> None:
            order.append("loaded")
            leave.set()

        threading.Timer(0.05, end).start()
        assert status_of_child() == 0
        order.append("forked")
    assert order == ["loaded", "forked"]


def test_a_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    forks.watch()
    monkeypatch.setattr(forks, "_SECONDS", 0.02)
    with loading():
        assert status_of_child() == 0


def test_a_fork_inside_a_section_waits_for_nobody() -> None:
    forks.watch()
    with forks.whole():
        assert status_of_child() == 0
    with forks.whole():
        child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_fork_waits_for_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    forks.watch()
    looks: list[bool] = [True, True, False]
    monkeypatch.setattr(forks, "importing", lambda: looks.pop(0))
    assert status_of_child() == 0
    assert looks == []


def test_an_import_of_another_thread_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import threading\nthreading.main_thread().begun.set()\nthreading.main_thread().leave.wait(10)\n"
    (tmp_path / "slowly_imported.py").write_text(source, encoding="utf-8")
    main = threading.main_thread()
    main.begun, main.leave = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forks, "_PACKAGES", {"slowly_imported"})
    assert not forks.importing()
    thread = threading.Thread(target=lambda: __import__("slowly_imported"))
    thread.start()
    assert main.begun.wait(10)  # type: ignore[attr-defined]
    assert forks.importing()
    main.leave.set()  # type: ignore[attr-defined]
    thread.join()
    assert not forks.importing()


class Numbers:
    def size(self, item: int) -> int:
        return 1

    def prepare(self, items: Sequence[int], first_index: int) -> Sequence[int]:
        return items

    def costs(self, prepared: Sequence[int]) -> Sequence[int]:
        return prepared

    def run(self, batch: Sequence[int], worker: int) -> Sequence[int]:
        return batch


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [2, 8, 30])
@pytest.mark.parametrize("begun", [False, True])
def test_results_stay_in_their_process(workers: int, count: int, begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = BatchLimits(budget=4, max_items=4, window_items=10, window_size=100, workers=workers)
    results = pipeline.stream([1] * count, Numbers(), limits)
    if begun:
        next(results)
    child = os.fork()
    if child == 0:
        try:
            next(results)
        except InferenceError as error:
            os._exit(0 if f"process {os.getppid()}" in str(error) else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert list(results) == [1] * (count - begun)


def test_any_iterator_can_be_kept_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(forks.kept_here(iter(range(3)))) == [0, 1, 2]
    fresh, begun = forks.kept_here(iter(range(3))), forks.kept_here(iter(range(3)))
    next(begun)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for results in fresh, begun:
        with pytest.raises(OnnxEmbedError, match="Call the method again"):
            next(results)


def test_rust_threads_run_where_they_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_rust_threads_in", None)
    home = os.getpid()
    monkeypatch.setattr(forks, "_HOME", home)
    # A child whose parent has not used them starts its own, unless someone else may have.
    monkeypatch.setattr(os, "getpid", lambda: -1)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    assert not forks.rust_threads_run()
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    assert forks.rust_threads_run()
    monkeypatch.setattr(os, "getpid", lambda: -2)
    assert not forks.rust_threads_run()

"""The pipeline with a work of its own: items are numbers, an item costs what it is, its result is its square."""

import gc
import threading
import time
import tracemalloc
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from onnxembed.api.inputs import check_items
from onnxembed.runtime import pipeline
from onnxembed.runtime.batching import BatchLimits, RunPlan, batch_limits
from onnxembed.runtime.pipeline import PREPARE_THREAD_PREFIX, RUN_THREAD_PREFIX
from onnxembed.runtime.turns import ON_ONE_PROCESSOR

LIMITS = BatchLimits(budget=50, max_items=8, window_items=20, window_size=10_000)


def stream(items: Iterable[int], work: "Squares", limits: BatchLimits, workers: int) -> Iterator[int]:
    return pipeline.stream(items, work, replace(limits, workers=workers))


class Squares:
    """Counts what is under way, so that tests can see concurrency and leftovers."""

    def __init__(self, fail_at: int | None = None, wait: float = 0.0, remembered: int = 1000) -> None:
        self.fail_at = fail_at
        self.wait = wait
        self.remembered = remembered
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.firsts: list[int] = []

    def size(self, item: int) -> int:
        return item

    def prepare(self, items: Sequence[int], first_index: int) -> list[int]:
        if len(self.firsts) < self.remembered:
            self.firsts.append(first_index)
        return list(items)

    def costs(self, prepared: Sequence[int]) -> Sequence[int]:
        return prepared

    def run(self, batch: Sequence[int], worker: int) -> list[int]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if len(self.batches) < self.remembered:
                self.batches.append(list(batch))
            self.threads.add(threading.current_thread().name)
        try:
            time.sleep(self.wait)
            if self.fail_at in batch:
                raise RuntimeError("a batch failed")
            return [item * item for item in batch]
        finally:
            with self.lock:
                self.now -= 1


def ours() -> list[str]:
    # Threads of asynchronous pools live as long as their models, which an earlier test may have left to the collector.
    ours = (RUN_THREAD_PREFIX, PREPARE_THREAD_PREFIX)
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


@pytest.mark.parametrize("count", [0, 1, 7, 19, 20, 21, 40, 133])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", [list, iter])
def test_results_are_in_order(count: int, workers: int, kind: type) -> None:
    items = [(number * 7919) % 61 for number in range(count)]
    assert list(stream(kind(items), Squares(), LIMITS, workers)) == [item * item for item in items]
    assert ours() == []


def test_batches_keep_to_the_budget() -> None:
    work = Squares()
    list(stream([30, 10, 60, 10, 20, 5], work, LIMITS, 1))
    assert work.batches == [[60], [30], [20], [10, 10], [5]]


def test_small_work_starts_no_thread() -> None:
    work = Squares()
    list(stream([3, 3, 3], work, LIMITS, 4))
    assert work.threads == {threading.current_thread().name}


def test_workers_run_at_once_and_no_more_than_asked() -> None:
    work = Squares(wait=0.01)
    list(stream(iter(range(100)), work, LIMITS, 3))
    assert work.most == 3
    assert all(name.startswith("onnxembed-run") for name in work.threads)


def test_positions_are_told_to_prepare() -> None:
    work = Squares()
    list(stream(iter([1] * 45), work, LIMITS, 1))
    assert work.firsts == [0, 20, 40]


def test_large_items_end_a_window_early() -> None:
    work = Squares()
    limits = BatchLimits(budget=50, max_items=8, window_items=20, window_size=100)
    assert list(stream([60, 60, 1, 2], work, limits, 1)) == [3600, 3600, 1, 4]
    assert work.firsts == [0, 2]


def test_small_items_do_not_end_a_window_that_a_large_budget_needs() -> None:
    work = Squares()
    assert list(stream(iter([2] * 130), work, replace(LIMITS, least_window=100), 1)) == [4] * 130
    assert work.firsts == [0, 50, 100]


class Meeting(Squares):
    """Two windows wait for each other while they are prepared."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=30)

    def prepare(self, items: Sequence[int], first_index: int) -> list[int]:
        if first_index in (20, 40):
            self.both.wait()
        return super().prepare(items, first_index)


def test_two_windows_are_prepared_at_once_for_a_device() -> None:
    work = Meeting()
    items = [(number * 7919) % 61 for number in range(90)]
    assert list(stream(iter(items), work, replace(LIMITS, preparers=2), 2)) == [item * item for item in items]
    assert sorted(work.firsts) == [0, 20, 40, 60, 80]
    assert ours() == []


def test_items_are_read_a_few_windows_ahead_only() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(10_000):
            read += 1
            yield number % 5

    results = stream(items(), Squares(), LIMITS, 2)
    for _ in range(50):
        next(results)
    assert read <= 50 + 3 * LIMITS.window_items
    assert isinstance(results, Generator)
    results.close()


def test_closing_early_leaves_no_thread() -> None:
    work = Squares(wait=0.005)
    results = stream(iter(range(10_000)), work, LIMITS, 2)
    next(results)
    assert ours()
    assert isinstance(results, Generator)
    results.close()
    assert ours() == []
    assert work.now == 0


def test_forgetting_the_iterator_leaves_no_thread() -> None:
    results = stream(iter(range(10_000)), Squares(), LIMITS, 2)
    next(results)
    del results
    gc.collect()
    assert ours() == []


def test_an_error_in_a_batch_is_told_and_leaves_no_thread() -> None:
    results = stream(iter([1] * 30 + [7] + [1] * 500), Squares(fail_at=7), LIMITS, 2)
    with pytest.raises(RuntimeError, match="a batch failed"):
        list(results)
    assert ours() == []


def test_an_error_of_the_callers_iterable_is_told_and_leaves_no_thread() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        list(stream(items(), Squares(), LIMITS, 2))
    assert ours() == []


def test_a_wrong_item_in_a_generator_is_told_with_its_position() -> None:
    def check(item: object, index: int) -> int:
        if not isinstance(item, int):
            raise TypeError(f"item {index}")
        return item

    given = check_items((number if number != 33 else None for number in range(100)), lambda items: None, check)
    with pytest.raises(TypeError, match="item 33"):
        list(stream(given.items, Squares(), LIMITS, 1))
    assert ours() == []


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_many_items_hold_memory_flat(count: int) -> None:
    """Peaks of the traced memory in each tenth of the items: the last is no higher than the second."""
    limits = BatchLimits(budget=2000, max_items=256, window_items=512, window_size=100_000)
    tracemalloc.start()
    try:
        peaks = []
        results = stream((number % 20 for number in range(count)), Squares(remembered=0), limits, 2)
        work_total = 0
        for position, result in enumerate(results):
            work_total += result
            if (position + 1) % (count // 10) == 0:
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert work_total == count // 20 * sum(number * number for number in range(20))
    assert len(peaks) == 10
    assert max(peaks[2:]) < 1.3 * peaks[1] + 100_000


class Lanes(Squares):
    """Notes in which way each batch ran."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[bool] = []

    def run(self, batch: Sequence[int], worker: int) -> list[int]:
        self.alone.append(ON_ONE_PROCESSOR.get())
        return super().run(batch, worker)


@pytest.mark.parametrize(("count", "lanes"), [(60, False), (61, True), (300, True)])
def test_many_batches_run_on_one_processor_each(count: int, lanes: bool) -> None:
    limits = BatchLimits(budget=40, max_items=99, window_items=100, window_size=10_000, lanes=2)
    work = Lanes()
    assert list(pipeline.stream([10] * count, work, limits)) == [100] * count
    assert set(work.alone) == {lanes}
    assert max(map(len, work.batches)) == (2 if lanes else 4)
    assert not ON_ONE_PROCESSOR.get()


def test_a_call_with_workers_or_a_budget_has_no_lanes() -> None:
    plan = RunPlan(budget=512, lanes=2)
    assert batch_limits(plan, 8, None, None).lanes == 2
    assert batch_limits(plan, 8, 2, None).lanes == batch_limits(plan, 8, None, 99).lanes == 1

"""Several devices: which one a run goes to, and which are opened."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest

from onnxembed.errors import ProviderError
from onnxembed.runtime.batching import BatchLimits
from onnxembed.runtime.pipeline import stream
from onnxembed.runtime.providers import Placement
from onnxembed.runtime.session import Session
from onnxembed.runtime.sessions import Sessions, open_each

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class Clock:
    """Time that passes once all threads of a job wait for it."""

    def __init__(self, workers: int, runs: int) -> None:
        self.now = 0
        self._workers = workers
        self._left = runs
        self._ends: list[int] = []
        self._changed = threading.Condition()

    def wait(self, time: int) -> None:
        with self._changed:
            end = self.now + time
            self._ends.append(end)
            while end > self.now:
                # Those whose time has come leave first.
                if len(self._ends) == min(self._workers, self._left) and min(self._ends) > self.now:
                    self.now = min(self._ends)
                    self._changed.notify_all()
                else:
                    assert self._changed.wait(30)
            self._ends.remove(end)
            self._left -= 1
            self._changed.notify_all()


class Device:
    """A device that computes one batch after the other."""

    def __init__(self, compute: Callable[[], None] = lambda: None) -> None:
        self.batches = 0
        self.most = 0
        self._compute = compute
        self._under_way = 0
        self._busy = threading.Lock()
        self._counting = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._counting:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        yield
        with self._counting:
            self._under_way -= 1

    def run(self) -> None:
        with self.counted(), self._busy:
            self.batches += 1
            self._compute()


def shared(*devices: Device) -> Sessions:
    return Sessions(cast("Any", devices))


class Batches:
    """Work of one item a batch, on some devices."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def size(self, item: int) -> int:
        return 1

    def prepare(self, items: Sequence[int], first_index: int) -> Sequence[int]:
        return items

    def costs(self, prepared: Sequence[int]) -> Sequence[int]:
        return [1] * len(prepared)

    def run(self, batch: Sequence[int], worker: int) -> Sequence[int]:
        with self.sessions.free() as device:
            cast("Any", device).run()
        return batch


def test_unequal_devices_share_by_their_speed() -> None:
    clock = Clock(workers=2, runs=80)
    fast, slow = Device(lambda: clock.wait(1)), Device(lambda: clock.wait(4))
    limits = BatchLimits(budget=1, max_items=1, window_items=100, window_size=1000, workers=2)
    assert list(stream(range(80), Batches(shared(slow, fast)), limits)) == list(range(80))
    assert (fast.most, slow.most) == (1, 1)  # never two at once on one while the other has nothing to do
    assert fast.batches + slow.batches == 80
    assert clock.now <= 1.1 * 64  # the ideal: 64 batches on the fast one, 16 on the other


def test_concurrent_queries_use_all_devices() -> None:
    clock = Clock(workers=2, runs=40)
    one, other = Device(lambda: clock.wait(1)), Device(lambda: clock.wait(1))
    work = Batches(shared(one, other))
    limits = BatchLimits(budget=1, max_items=1, window_items=100, window_size=1000)
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(lambda item: list(stream([item], work, limits)), range(40))) == [[i] for i in range(40)]
    assert one.batches + other.batches == 40
    assert clock.now <= 22  # 20 if no device ever waits for a query
    assert max(one.most, other.most) <= 2


def test_queries_in_turn_use_all_devices() -> None:
    one, other = Device(), Device()
    sessions = shared(one, other)
    for _ in range(20):
        with sessions.free() as device:
            cast("Any", device).run()
    assert (one.batches, other.batches) == (10, 10)


def test_a_failed_run_frees_its_device() -> None:
    sessions = shared(Device(), Device())
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), sessions.free():
            raise ZeroDivisionError
    with sessions.free():
        pass


def test_a_lone_device_takes_two_runs_at_once() -> None:
    device = cast("Any", Device())
    device.providers = (CUDA, CPU)
    sessions = shared(device)
    one, two = sessions.take(), sessions.take()
    with ThreadPoolExecutor(1) as other:
        third = other.submit(sessions.take)
        with pytest.raises(TimeoutError):
            third.result(0.05)
        sessions.give_back(one)
        assert third.result(30) is two is device


def test_a_lone_session_takes_every_run() -> None:
    sessions = shared(Device())
    with sessions.free() as one, sessions.free() as two, sessions.free() as three:
        assert one is two is three
    assert Sessions.of(sessions) is sessions
    assert len(Sessions.of((one,))) == 1


class Opener:
    """Opens what a test says can be opened: pairs of a provider and a device."""

    def __init__(self, *there: tuple[str, str]) -> None:
        self.there = {*there, (CPU, "")}
        self.opened: list[tuple[str, str]] = []

    def __call__(self, placement: Placement) -> Session:
        name, options = placement.providers[0]
        key = (name, dict(options).get("device_id", ""))
        if key not in self.there:
            raise ProviderError(f"no {key[0]} on {key[1]}")
        assert not placement.fallback_allowed
        self.opened.append(key)
        return cast("Session", object())


def placements(*numbers: int, first: Sequence[str] = (CUDA,), fallback: bool = True) -> list[Placement]:
    return [
        Placement((*((name, (("device_id", str(number)),)) for name in first), (CPU, ())), fallback_allowed=fallback)
        for number in numbers
    ]


def test_every_device_is_opened() -> None:
    opener = Opener((CUDA, "0"), (CUDA, "1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_each(placements(0, 1), opener)) == 2


def test_a_lost_device_is_left_out() -> None:
    opener = Opener((CUDA, "0"))
    with pytest.warns(RuntimeWarning, match="a device is left out: no CUDAExecutionProvider on 7"):
        assert len(open_each(placements(0, 7), opener)) == 1
    assert opener.opened == [(CUDA, "0")]


def test_a_lost_device_that_is_required_is_an_error() -> None:
    with pytest.raises(ProviderError, match="on 7"):
        open_each(placements(0, 7, fallback=False), Opener((CUDA, "0")))


def test_the_processor_has_one_session() -> None:
    opener = Opener()
    with pytest.warns(RuntimeWarning, match="CPUExecutionProvider is tried next"):
        assert len(open_each(placements(0, 1), opener)) == 1
    assert opener.opened == [(CPU, "")]


def test_the_listed_fallback_keeps_all_devices() -> None:
    opener = Opener((CUDA, "0"), (CUDA, "1"))
    with pytest.warns(RuntimeWarning, match="CUDAExecutionProvider is tried next: no TensorrtExecutionProvider"):
        assert len(open_each(placements(0, 1, first=(TENSORRT, CUDA)), opener)) == 2
    assert opener.opened == [(CUDA, "0"), (CUDA, "1")]

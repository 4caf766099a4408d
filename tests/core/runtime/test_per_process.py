import os
import threading
import time

import pytest

from onnxembed.runtime.per_process import PerProcess


def test_made_once_under_a_race_of_threads() -> None:
    made = []

    def make() -> object:
        time.sleep(0.02)
        made.append(object())
        return made[-1]

    value = PerProcess(make)
    assert not value.made
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(value.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(item is made[0] for item in got)
    assert value.made


def test_a_failure_is_not_kept() -> None:
    attempts = []

    def make() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("not yet")
        return 5

    value = PerProcess(make)
    with pytest.raises(OSError, match="not yet"):
        value.get()
    assert not value.made
    assert value.get() == 5


def test_made_anew_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    value = PerProcess(object)
    first = value.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not value.made
    second = value.get()
    assert second is not first
    assert value.get() is second


def test_a_lock_held_at_a_fork_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, leave = threading.Event(), threading.Event()

    def make() -> int:
        if os.getpid() != -1:
            inside.set()
            leave.wait(5)
        return os.getpid()

    value = PerProcess(make)
    slow = threading.Thread(target=value.get)
    slow.start()
    inside.wait(5)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert value.get() == -1
    leave.set()
    slow.join()

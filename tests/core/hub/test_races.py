"""Many at once: one download, the same folder for all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.locate import locate
from onnxembed.hub.locks import locked
from onnxembed.hub.settings import StoreSettings
from tests.core.hub.small import MODEL, QUICK, REPOSITORY, WANTED, content, files
from tests.fixtures.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import sys
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from tests.core.hub.small import MODEL
print(locate(MODEL, StoreSettings(cache_dir=sys.argv[1])).path)
"""


def start(cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_processes_that_start_at_once_download_once(hub: HubServer, cache: Path) -> None:
    hub.fail("GET */onnx/model.onnx", Fault(delay=0.5))
    processes = [start(cache) for _ in range(4)]

    outcomes = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, outcomes
    assert {error for _, error in outcomes} == {""}
    assert len({out for out, _ in outcomes}) == 1
    assert hub.fetched(REPOSITORY) == WANTED
    assert hub.listed(REPOSITORY) == 1


def test_threads_that_start_at_once_download_once(hub: HubServer, settings: StoreSettings) -> None:
    gate = threading.Barrier(8)

    def run(_: int) -> str:
        gate.wait()
        return str(locate(MODEL, settings).path)

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(run, range(8)))

    assert len(paths) == 1
    assert hub.fetched(REPOSITORY) == WANTED


def test_a_killed_process_leaves_its_part_and_no_lock(hub: HubServer, settings: StoreSettings, cache: Path) -> None:
    hub.fail("GET */onnx/model.onnx", Fault(hang_at=30, times=1))
    process = start(cache)
    deadline = time.monotonic() + 30
    while "onnx/model.onnx" not in hub.fetched(REPOSITORY) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert not (cache / "models--org--Small-Model" / "refs").exists()

    folder = locate(MODEL, settings)

    assert content(folder.path) == {name: files()[name] for name in WANTED}
    assert not (cache / "onnxembed" / "partial" / "models--org--Small-Model").exists()


def test_a_lock_that_is_held_for_too_long_is_named(hub: HubServer, settings: StoreSettings, cache: Path) -> None:
    limits = replace(QUICK, lock_seconds=0.1)
    path = cache / "onnxembed" / "locks" / "models--org--Small-Model.lock"

    with (
        locked(path, limits),
        pytest.raises(ModelNotFoundError, match=rf"another process has held {path} for 0\.1 seconds"),
    ):
        locate(MODEL, replace(settings, limits=limits))
    assert hub.requests == []

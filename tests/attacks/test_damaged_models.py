"""Damaged models, pictures, archives and addresses: only errors of this package, no hang, no flood of memory."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from tests.attacks.damage import use, write_models

SECONDS = 5.0
"""Of one process's work, for opening and using a damaged model."""
MEGABYTES = 500
_PATIENCE = 60.0
"""Seconds of the clock: a machine may be busy with other things, so this alone tells no hang of 5 s."""


def _lines(stream: IO[str], into: queue.Queue[str]) -> None:
    for line in stream:
        into.put(line)
    into.put("")


def faults(program: str, root: Path, seed: int, count: int) -> list[dict[str, Any]]:
    """Damage and open so many things, and tell of those that went wrong."""
    found: list[dict[str, Any]] = []
    number = 0
    while number < count:
        worker = subprocess.Popen(
            [sys.executable, "-m", program, str(root), str(seed), str(number), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # panics of the tokenizers library write there
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert worker.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_lines, args=(worker.stdout, lines), daemon=True)
        reader.start()
        trial: dict[str, Any] = {"number": number}
        try:
            while True:
                line = lines.get(timeout=_PATIENCE)
                if not line:
                    break
                told = json.loads(line)
                if "number" in told:
                    trial = told
                    continue
                if told["error"] or told["seconds"] > SECONDS or told["grown_mb"] > MEGABYTES:
                    found.append({**trial, **told})
                number = trial["number"] + 1
        except queue.Empty:
            found.append({**trial, "error": f"hangs for {_PATIENCE} s"})
        finally:
            worker.kill()
            code = worker.wait()
            reader.join()
            worker.stdout.close()
        if number < count:
            if not (found and found[-1]["number"] == trial["number"]):
                found.append({**trial, "error": f"the process ended with {code}"})
            number = trial["number"] + 1
    return found


def _check(tmp_path: Path, seed: int, count: int) -> None:
    write_models(tmp_path / "models")
    found = faults("tests.attacks.damage", tmp_path / "models", seed, count)
    assert not found, "\n".join(map(str, found))


def test_undamaged_models_work(tmp_path: Path) -> None:
    """What is damaged would work otherwise, so that a refusal is one of the damage."""
    for kind in write_models(tmp_path / "models"):
        use(kind, tmp_path / "models" / kind, tmp_path / "cache")


def test_damaged_models(tmp_path: Path) -> None:
    _check(tmp_path, 1, 150)


@pytest.mark.full
@pytest.mark.timeout(3600)  # minutes of work, more on a busy machine
def test_five_thousand_damaged_models(tmp_path: Path) -> None:
    _check(tmp_path, 2, 5000)


def _check_inputs(tmp_path: Path, seed: int, count: int) -> None:
    found = faults("tests.attacks.damaged_inputs", tmp_path / "inputs", seed, count)
    assert not found, "\n".join(map(str, found))


def test_damaged_pictures_archives_and_addresses(tmp_path: Path) -> None:
    _check_inputs(tmp_path, 1, 150)


@pytest.mark.full
@pytest.mark.timeout(3600)  # minutes of work, more on a busy machine
def test_five_hundred_of_each_damaged_input(tmp_path: Path) -> None:
    _check_inputs(tmp_path, 2, 1500)

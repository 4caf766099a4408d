"""What is known of CUDA without starting it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnxembed.errors import ProviderError
from onnxembed.runtime import cuda
from onnxembed.runtime.cuda import Driver, check_fork, cuda_line, find_driver, missing_library, needs, used_here
from onnxembed.runtime.providers import Placement
from onnxembed.runtime.quiet import quiet_stdout
from onnxembed.runtime.session import Session
from onnxembed.runtime.sessions import open_each

CUDA = "CUDAExecutionProvider"


def machine(root: Path, *files: str, version: str | None = None) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    if version is not None:
        (root / "sys/module/nvidia").mkdir(parents=True)
        (root / "sys/module/nvidia/version").write_text(version + "\n")
    return root


def test_a_driver_and_a_device(tmp_path: Path) -> None:
    found = find_driver(machine(tmp_path, "dev/nvidiactl", version="550.54.15"), {})
    assert found == Driver(found=True, text="NVIDIA driver 550.54.15 was found")


def test_a_container_without_devices(tmp_path: Path) -> None:
    found = find_driver(machine(tmp_path, version="580.1"), {})
    assert found == Driver(found=False, text="NVIDIA driver 580.1 but no device of it was found here")


def test_no_driver(tmp_path: Path) -> None:
    assert find_driver(tmp_path, {}) == Driver(found=False, text="no NVIDIA driver nor a device was found here")


@pytest.mark.parametrize(("visible", "found"), [("", False), ("-1", False), ("0", True), ("1,0", True)])
def test_hidden_devices(tmp_path: Path, visible: str, found: bool) -> None:
    result = find_driver(machine(tmp_path, "dev/nvidiactl"), {"CUDA_VISIBLE_DEVICES": visible})
    assert result.found is found
    assert ("hides every device" in result.text) is not found


@pytest.mark.parametrize(
    ("version", "stated", "line"),
    [("1.26.3", "", 12), ("1.27.0", "", 13), ("1.31.1", "13.0", 13), ("1.22", "12.6", 12)],
)
def test_the_cuda_of_a_build(version: str, stated: str, line: int) -> None:
    runtime = SimpleNamespace(__version__=version, cuda_version=stated)
    assert cuda_line(runtime) == line
    said = needs(runtime, Driver(found=True, text="NVIDIA driver 550.54 was found"))
    assert f"is made for CUDA {line}, which needs driver {525 if line == 12 else 580} or newer" in said
    assert said.endswith("NVIDIA driver 550.54 was found")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of Linux")
def test_a_missing_library_is_named(tmp_path: Path) -> None:
    runtime = SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    assert missing_library(runtime, CUDA) == "this ONNX Runtime has no libonnxruntime_providers_cuda.so"
    assert missing_library(runtime, "DmlExecutionProvider") == ""


def test_only_this_thread_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    import threading

    with quiet_stdout() as kept:
        sys.stdout.write("aside\n")
        other = threading.Thread(target=print, args=("of another thread",))
        other.start()
        other.join()
    sys.stdout.write("after\n")
    assert kept.getvalue() == "aside\n"
    assert capsys.readouterr().out == "of another thread\nafter\n"


def _never(placement: Placement) -> Session:
    raise AssertionError(placement)


def _open_in_child(answers: multiprocessing.SimpleQueue[str]) -> None:
    placement = Placement(((CUDA, ()), ("CPUExecutionProvider", ())), fallback_allowed=True)
    try:
        check_fork([CUDA, "CPUExecutionProvider"])
    except ProviderError as error:
        answers.put(str(error))
    try:
        open_each([placement, placement], _never)
    except ProviderError as error:
        answers.put(str(error))
    check_fork(["CPUExecutionProvider"])
    answers.put("the processor may be used")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_child_of_a_process_with_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_cuda_in", None)
    check_fork([CUDA])
    used_here()
    check_fork([CUDA])
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    child = context.Process(target=_open_in_child, args=(answers,))
    child.start()
    first, several, processor = answers.get(), answers.get(), answers.get()
    child.join()
    assert f"its parent, process {os.getpid()}, had used CUDA before the fork" in first
    assert "Start the process with spawn or forkserver, or open the model after the fork" in first
    assert several == first
    assert processor == "the processor may be used"

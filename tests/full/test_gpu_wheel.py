"""The real onnxruntime-gpu on a machine without a GPU, each case in a process of its own.

Whatever is asked for, standard output is the caller's alone, and each message has the true reason. On a machine with a
GPU these cases would open; they are skipped there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onnxembed.runtime.cuda import driver

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.skipif(driver().found, reason="this machine has a GPU: see benchmarks/gpu_check.py"),
]

ROOT = Path(__file__).parents[2]
CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
NO_LIBRARY, NO_DRIVER = "the missing library", "no NVIDIA driver"
BEGIN = """
import json, os, sys, warnings
from onnxembed import TextEmbedding
NAME = "sentence-transformers/all-MiniLM-L6-v2"
said = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, *rest: said.append(str(message))
answer = {}
def attempt(**options):
    try:
        model = TextEmbedding(NAME, **options)
        answer["vectors"] = model.embed_to_array(["hello world", "a"])[:, :4].tolist()
    except Exception as error:
        answer["error"], answer["text"] = type(error).__name__, str(error)
"""
END = """
answer["warnings"] = said
print(json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a process answered.

    Attributes:
        answer: Its one line on standard output.
        noise: Everything else that it wrote there.
        stderr: What it wrote to standard error.
    """

    answer: dict[str, Any]
    noise: str
    stderr: str


@pytest.fixture(scope="module")
def python() -> Path:
    path = Path(os.environ.get("ONNXEMBED_GPU_WHEEL") or ROOT / ".venv" / "gpu" / "bin" / "python")
    if not path.is_file():
        pytest.skip(
            f"{path} is not there: `make test-full` installs onnxruntime-gpu (255 MB) for it where it can be had"
        )
    return path


def has_libraries(python: Path) -> bool:
    """Whether the environment has the CUDA libraries of onnxruntime-gpu[cuda,cudnn]."""
    site = next((python.parent.parent / "lib").glob("python3*")) / "site-packages"
    return bool(list(site.glob("nvidia*cublas*")))


def missing_library(python: Path) -> str:
    """What CUDA lacks there: its own libraries, or with them the driver's."""
    return "libcuda.so.1" if has_libraries(python) else "libcublasLt.so.13"


def run(python: Path, cache: Path, code: str, **environment: str) -> Done:
    done = subprocess.run(
        [python, "-c", BEGIN + code + END],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=cache,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))},
            "PYTHONPATH": str(ROOT / "core"),
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(cache),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    *noise, last = done.stdout.splitlines()
    return Done(json.loads(last), "\n".join(noise), done.stderr)


@pytest.mark.parametrize(
    ("options", "error", "parts"),
    [
        ("cuda=True", "ProviderError", [f"{NO_LIBRARY}: cannot open shared object file", "CUDA 13", NO_DRIVER]),
        (f"providers=[{CUDA!r}]", "ProviderError", [NO_LIBRARY, "580 or newer"]),
        ("cuda='cuda:99'", "ProviderError", [NO_LIBRARY, NO_DRIVER]),
        ("cuda=True, device_ids=[0, 1]", "ProviderError", [f"{CUDA} was asked for"]),
        (f"providers=[({CUDA!r}, {{'devce_id': 0}}), {CPU!r}]", "InputError", ["'devce_id'", "mean 'device_id'"]),
        (f"providers=[{TENSORRT!r}]", "ProviderError", [f"{TENSORRT} was asked for", "TensorRT"]),
        ("providers=['DmlExecutionProvider']", "ProviderError", ["onnxruntime-directml"]),
        ("providers=['cuda']", "ProviderError", [f"Did you mean {CUDA!r}"]),
        ("providers=['WebGpuExecutionProvider']", "ProviderError", ["onnxruntime-webgpu"]),
    ],
)
def test_what_cannot_be_opened_says_why(
    python: Path, tmp_path: Path, options: str, error: str, parts: list[str]
) -> None:
    done = run(python, tmp_path, f"attempt({options})")
    assert done.noise == ""
    assert done.answer.get("error") == error, done.answer
    for part in parts:
        assert part.replace(NO_LIBRARY, missing_library(python)) in done.answer["text"]


def test_hidden_devices_are_told(python: Path, tmp_path: Path) -> None:
    done = run(python, tmp_path, "attempt(cuda=True)", CUDA_VISIBLE_DEVICES="-1")
    assert done.noise == ""
    assert "CUDA_VISIBLE_DEVICES='-1' hides every device" in done.answer["text"]


def test_auto_is_silent_on_a_machine_without_a_device(python: Path, tmp_path: Path) -> None:
    done = run(python, tmp_path, "attempt()")
    assert (done.noise, done.answer["warnings"], done.stderr) == ("", [], "")
    assert len(done.answer["vectors"]) == 2


def test_listed_fallbacks_are_taken_with_each_reason(python: Path, tmp_path: Path) -> None:
    done = run(python, tmp_path, f"attempt(providers=[{TENSORRT!r}, ({CUDA!r}, {{'gpu_mem_limit': '9'}}), {CPU!r}])")
    assert done.noise == ""
    (warning,) = done.answer["warnings"]
    assert f"{CPU} is used instead" in warning
    assert f"{TENSORRT} was asked for" in warning
    assert f"{CUDA} was asked for" in warning
    assert missing_library(python) in warning
    assert len(done.answer["vectors"]) == 2


def test_libraries_are_loaded_before_cuda_and_only_then(python: Path, tmp_path: Path) -> None:
    code = """
import onnxruntime
calls = []
loads = onnxruntime.preload_dlls
def recorded(**options):
    calls.append(options)
    print("Failed to load libcudart.so.13")
    return loads(**options)
onnxruntime.preload_dlls = recorded
attempt(cuda=False)
answer["before"] = len(calls)
attempt(cuda=True)
attempt(cuda=True)
answer["calls"] = calls
"""
    done = run(python, tmp_path, code)
    assert (done.noise, done.answer["before"], done.answer["calls"]) == ("", 0, [{"directory": ""}])


def test_device_numbers_without_cuda_give_one_session(python: Path, tmp_path: Path) -> None:
    code = "attempt(device_ids=[0, 7])"
    done = run(python, tmp_path, code)
    assert done.noise == ""
    assert any("device_ids=[0, 7] names CUDA devices" in warning for warning in done.answer["warnings"])
    assert len(done.answer["vectors"]) == 2


def test_the_search_for_a_driver_survives_a_fork(python: Path, tmp_path: Path) -> None:
    code = """
attempt()
mine = answer.pop("vectors")
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    attempt()
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)
os.close(writing)
answer["child"] = json.loads(os.read(reading, 65536))
os.waitpid(child, 0)
answer["same"] = answer["child"].get("vectors") == mine
"""
    done = run(python, tmp_path, code)
    assert (done.noise, done.answer["same"]) == ("", True)


def test_no_cuda_after_a_fork(python: Path, tmp_path: Path) -> None:
    code = """
from onnxembed.runtime import cuda
cuda.used_here()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    attempt(cuda=True)
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)
os.close(writing)
answer["child"] = json.loads(os.read(reading, 65536))
os.waitpid(child, 0)
"""
    done = run(python, tmp_path, code)
    assert done.noise == ""
    assert done.answer["child"]["error"] == "ProviderError"
    assert "spawn or forkserver" in done.answer["child"]["text"]


def test_a_build_for_processors_over_one_for_gpus(tmp_path: Path) -> None:
    """Both are installed, and the files are those of the build for processors, as `pip install onnxembed` leaves it."""
    beside = tmp_path / "site" / "onnxruntime_gpu-1.31.1.dist-info"
    beside.mkdir(parents=True)
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    paths = os.pathsep.join([str(beside.parent), str(ROOT / "core")])
    automatic = run(Path(sys.executable), tmp_path, "attempt()", PYTHONPATH=paths)
    (warning,) = automatic.answer["warnings"]
    assert "has overwritten its files: uninstall both, then install onnxruntime-gpu alone" in warning
    asked = run(Path(sys.executable), tmp_path, "attempt(cuda=True)", PYTHONPATH=paths)
    assert "uninstall both, then install onnxruntime-gpu alone" in asked.answer["text"]
    assert (automatic.noise, asked.noise) == ("", "")


GGML = """
import numpy as np
try:
    import onnxruntime_ggml
except ImportError:
    answer["absent"] = True
"""


def test_a_plugin_takes_every_node_of_a_plain_graph(python: Path, tmp_path: Path) -> None:
    code = (
        GGML
        + """
else:
    attempt(providers=["ggml"])
    plain = np.array(answer["vectors"])
    attempt(providers=[("ggml", {"library_path": onnxruntime_ggml.library_path()})])
    attempt(cuda=False)
    answer["difference"] = float(np.abs(plain - np.array(answer["vectors"])).max())
"""
    )
    done = run(python, tmp_path, code, ORT_GGML_LOG="error")
    if done.answer.get("absent"):
        pytest.skip("the plugin onnxruntime-ggml is not installed there")
    assert (done.noise, done.answer["warnings"]) == ("", [])
    assert done.answer["difference"] < 1e-3  # it computes in float16


def test_a_provider_that_takes_no_node_is_named(python: Path, tmp_path: Path) -> None:
    code = (
        GGML
        + """
else:
    from pathlib import Path
    from onnxembed.runtime.onnx import import_onnxruntime
    from onnxembed.runtime.plugins import available_providers
    from onnxembed.runtime.providers import Placement, parse_request
    from onnxembed.runtime.session import Session, SessionSettings
    attempt(cuda=False, cache_dir="cache")
    (graph,) = Path("cache").rglob("compiled/*/model.onnx")  # of fused operators
    available_providers(import_onnxruntime(), parse_request(["ggml"], "auto", None))
    Session(graph, SessionSettings(Placement((("ggml", ()),), fallback_allowed=False), 1), 1)
"""
    )
    done = run(python, tmp_path, code, ORT_GGML_LOG="error")
    if done.answer.get("absent"):
        pytest.skip("the plugin onnxruntime-ggml is not installed there")
    (warning,) = done.answer["warnings"]
    assert warning.startswith("ggml was asked for and started, but took none of the graph's ")
    assert "MultiHeadAttention x6" in warning
    assert done.noise == ""


STUB = """
int cuInit(unsigned flags) { return 100; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "no CUDA-capable device is detected"; return 0; }
int cuGetErrorName(int error, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuTensorMapEncodeTiled(void) { return 100; }
"""


@pytest.fixture(scope="module")
def driver_without_device(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a driver's library that finds no device; the rest of CUDA is the real one."""
    if not has_libraries(python):
        pytest.skip("no CUDA libraries there (1.5 GB): pip install 'onnxruntime-gpu[cuda,cudnn]' into it")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver's library that finds no device")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "stub.c").write_text(STUB)
    made = [compiler, "-shared", "-fPIC", "-o", "libcuda.so.1", "stub.c", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(made, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ("cuda=True", "ProviderError", "CUDA failure 100: no CUDA-capable device is detected"),
        (f"providers=[{CUDA!r}]", "ProviderError", "CUDA failure 100"),
        ("cuda=True, device_ids=[0, 1]", "ProviderError", "CUDA failure 100"),
        ("cuda='cuda:99'", "ProviderError", "CUDA failure 100"),
        (f"providers=[({CUDA!r}, {{'devce_id': 0}}), {CPU!r}]", "InputError", "Did you mean 'device_id'"),
        (f"providers=[({CUDA!r}, {{'arena_extend_strategy': 'x'}})]", "ProviderError", "arena_extend_strategy"),
    ],
)
def test_a_driver_that_finds_no_device(
    python: Path, driver_without_device: Path, tmp_path: Path, options: str, error: str, part: str
) -> None:
    done = run(python, tmp_path, f"attempt({options})", LD_LIBRARY_PATH=str(driver_without_device))
    assert done.noise == ""
    assert done.answer.get("error") == error, done.answer
    assert part in done.answer["text"]


def test_all_fallbacks_of_a_driver_that_finds_no_device(
    python: Path, driver_without_device: Path, tmp_path: Path
) -> None:
    code = f"attempt(providers=[{TENSORRT!r}, {CUDA!r}, {CPU!r}])"
    done = run(python, tmp_path, code, LD_LIBRARY_PATH=str(driver_without_device))
    assert done.noise == ""
    (warning,) = done.answer["warnings"]
    assert "CUDA failure 100" in warning
    assert f"{CPU} is used instead" in warning
    assert len(done.answer["vectors"]) == 2

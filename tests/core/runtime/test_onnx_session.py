"""Opening a session: provider after provider, with a stand-in for ONNX Runtime."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from onnxembed.errors import InputError, ModelError, ProviderError
from onnxembed.runtime.onnx_session import Opened, open_session
from onnxembed.runtime.providers import Placement

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
MODEL = Path("model.onnx")
OURS = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
NO_DEVICE = "CUDA failure 100: no CUDA-capable device is detected"


class InvalidGraph(Exception):  # noqa: N818
    """Has the name of ONNX Runtime's class."""


class Running:
    """A session that runs on some providers."""

    def __init__(self, providers: Sequence[str]) -> None:
        self.providers = list(providers)

    def get_providers(self) -> list[str]:
        return self.providers


class Runtime:
    """ONNX Runtime, whose sessions a test starts; prints as the real one does."""

    SessionOptions = onnxruntime.SessionOptions
    __version__ = "1.31.1"
    cuda_version = "13.0"

    def __init__(self, start: Callable[[list[str]], Sequence[str]]) -> None:
        self.start = start
        self.opened: list[dict[str, dict[str, str]]] = []
        self.preloads = 0

    def preload_dlls(self, directory: str | None = None) -> None:
        assert directory == ""
        self.preloads += 1
        sys.stdout.write("Failed to load libcudart.so.13")

    def InferenceSession(self, path: str, sess_options: Any, providers: Any, enable_fallback: int) -> Running:
        assert (path, enable_fallback) == ("model.onnx", 0)
        self.opened.append(dict(providers))
        return Running(self.start([name for name, _ in providers]))


def failing(messages: dict[str, str | Exception], left_out: Sequence[str] = ()) -> Runtime:
    """ONNX Runtime in which some providers fail, and some are left out without a word."""

    def start(names: list[str]) -> Sequence[str]:
        for name in names:
            if name in messages:
                said = messages[name]
                raise said if isinstance(said, Exception) else RuntimeError(said)
        running = [name for name in names if name not in left_out]
        return running if CPU in running else [*running, CPU]

    return Runtime(start)


def opened(runtime: Runtime, placement: Placement, **options: str) -> Opened:
    return open_session(runtime, MODEL, placement, lambda provider: options)


def placed(*providers: str | tuple[str, dict[str, str]], fallback: bool = True) -> Placement:
    pairs = [(one, {}) if isinstance(one, str) else one for one in providers]
    return Placement(tuple((name, tuple(options.items())) for name, options in pairs), fallback_allowed=fallback)


def test_a_provider_that_starts_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = failing({})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened(runtime, placed((CUDA, {"device_id": "2"}), CPU)).placement.providers[0][0] == CUDA
    assert runtime.opened == [{CUDA: {**OURS, "device_id": "2"}, CPU: {}}]
    assert (runtime.preloads, capsys.readouterr().out) == (1, "")


def test_libraries_are_loaded_for_cuda_only_and_once() -> None:
    runtime = failing({})
    opened(runtime, placed(CPU, fallback=False))
    assert runtime.preloads == 0
    for _ in range(2):
        opened(runtime, placed(CUDA, fallback=False))
    assert runtime.preloads == 1


def test_the_first_device_is_not_named() -> None:
    runtime = failing({})
    opened(runtime, placed((CUDA, {"device_id": "0", "use_tf32": "0"}), CPU))
    assert runtime.opened == [{CUDA: {**OURS, "use_tf32": "0"}, CPU: {}}]


def test_the_error_has_the_sentence_of_onnx_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProviderError) as raised:
        opened(failing({CUDA: NO_DEVICE}), placed(CUDA, CPU, fallback=False))
    said = str(raised.value)
    assert f"CUDAExecutionProvider was asked for, but ONNX Runtime could not start it: {NO_DEVICE}" in said
    assert "1.31.1 for GPUs is made for CUDA 13, which needs driver 580 or newer" in said
    assert "12 up to 1.26 and for CUDA 13 from 1.27 on" in said
    assert "NVIDIA driver" in said
    assert said.endswith("List the fallback in providers=, or choose the device 'auto', if the processor is acceptable")
    assert capsys.readouterr().out == ""


def test_numbers_are_explained_where_devices_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    with pytest.raises(ProviderError, match="count within CUDA_VISIBLE_DEVICES='3,1': 7 is its entry at that position"):
        opened(failing({CUDA: "invalid device ordinal"}), placed((CUDA, {"device_id": "7"}), fallback=False))


def test_each_listed_fallback_is_tried_with_its_own_options() -> None:
    runtime = failing({TENSORRT: "Please install TensorRT libraries"})
    placement = placed((TENSORRT, {"device_id": "1"}), (CUDA, {"device_id": "1", "gpu_mem_limit": "9"}), CPU)
    with pytest.warns(RuntimeWarning, match=r"start it: Please install TensorRT.*CUDAExecutionProvider.* is used"):
        result = opened(runtime, placement)
    assert runtime.opened[-1] == {CUDA: {**OURS, "device_id": "1", "gpu_mem_limit": "9"}, CPU: {}}
    assert [name for name, _ in result.placement.providers] == [CUDA, CPU]


def test_the_last_fallback_is_reached() -> None:
    runtime = failing({TENSORRT: "no TensorRT", CUDA: NO_DEVICE})
    with pytest.warns(RuntimeWarning, match=f"no TensorRT; CUDAExecutionProvider.*{NO_DEVICE}"):
        assert opened(runtime, placed(TENSORRT, CUDA, CPU)).session.get_providers() == [CPU]


def test_a_provider_that_was_not_listed_is_no_fallback() -> None:
    with pytest.raises(ProviderError, match=r"and uses CPUExecutionProvider instead"):
        opened(failing({}, left_out=[TENSORRT, CUDA]), placed(TENSORRT, CUDA))


def test_what_is_left_out_in_silence_is_told() -> None:
    with pytest.warns(RuntimeWarning, match="TensorrtExecutionProvider was asked for, but") as told:
        result = opened(failing({}, left_out=[TENSORRT]), placed(TENSORRT, CUDA, CPU))
    assert len(told) == 1
    assert [name for name, _ in result.placement.providers] == [CUDA, CPU]


@pytest.mark.parametrize("fallback", [True, False])
def test_a_misspelt_option_is_refused_with_the_nearest(fallback: bool) -> None:
    placement = placed((CUDA, {"devce_id": "0"}), CPU, fallback=fallback)
    said = 'Unknown provider option: "devce_id"'
    with pytest.raises(InputError, match=rf"has no option 'devce_id'\. Did you mean 'device_id'.*{said}"):
        opened(failing({CUDA: said}), placement)
    with pytest.raises(InputError, match="Did you mean 'device_id'"):
        opened(failing({}, left_out=[CUDA]), placement)


def test_the_options_of_the_caller_come_before_ours() -> None:
    runtime = failing({})
    chosen = {"arena_extend_strategy": "kNextPowerOfTwo", "cudnn_conv_algo_search": "EXHAUSTIVE"}
    opened(runtime, placed((CUDA, chosen), CPU))
    assert runtime.opened == [{CUDA: chosen, CPU: {}}]


def test_a_damaged_file_is_not_blamed_on_the_provider() -> None:
    with pytest.raises(ModelError, match=r"cannot load model\.onnx: bad graph"):
        opened(failing({CUDA: InvalidGraph("bad graph")}), placed(CUDA, CPU))
    with pytest.raises(ModelError, match=r"cannot load model\.onnx: bad bytes"):
        opened(failing({CPU: "bad bytes"}), placed(CPU, fallback=False))


def test_a_session_that_must_not_use_the_processor_is_not_given_it() -> None:
    runtime = failing({})
    opened(runtime, placed(CUDA, CPU), **{"session.disable_cpu_ep_fallback": "1"})
    assert runtime.opened == [{CUDA: OURS}]


def test_a_failure_after_a_fork_is_explained() -> None:
    with pytest.raises(ProviderError, match=r"start with spawn or forkserver"):
        opened(failing({CUDA: "CUDA failure 3: initialization error"}), placed(CUDA, fallback=False))

"""A provider that fails in the middle of a call: the model goes on with the listed fallback, all of it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import InferenceError
from onnxembed.runtime.cuda import Driver
from tests.fixtures.model_rows import ROWS, TEXTS, read_row, write_row

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class EPFail(Exception):  # noqa: N818
    """Has the name of ONNX Runtime's class."""


class Device:
    """Computes as the processor does, and notes the sizes of batches; as CUDA it breaks at its first run."""

    def __init__(self, real: Any, path: str | bytes, provider: str) -> None:
        self.real = real
        self.path = path
        self.provider = provider
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU] if self.provider == CUDA else [CPU]

    def run(self, outputs: list[str], feed: dict[str, Any]) -> Any:
        self.sizes.append(feed["input_ids"].size)
        if self.provider == CUDA:
            raise EPFail("CUDA failure 700: an illegal memory access was encountered")
        return self.real.run(outputs, feed)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """The sessions that are opened; CUDA is a device that breaks."""
    real, opened = onnxruntime.InferenceSession, []

    def start(path: str | bytes, *options: Any, providers: Any, **named: Any) -> Any:
        session = real(path, *options, providers=[CPU], **named)
        if options:
            return session  # of the rounding to 8 bits, which looks at activations
        opened.append(Device(session, path, providers[0][0]))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None, raising=False)
    monkeypatch.setattr("onnxembed.runtime.cuda._cuda_in", None)
    return opened


@pytest.mark.parametrize(
    ("precision", "bound"),
    # Rounding to 8 bits makes steps of differences in the last place.
    [("fp32", 1e-6), pytest.param("int8", 1e-2, marks=pytest.mark.full)],
)
def test_a_model_moves_whole(precision: str, bound: float, devices: list[Device], tmp_path: Path) -> None:
    small = write_row(read_row(ROWS / "bert-mean.json"), tmp_path / "model")
    name = small if precision == "fp32" else "sentence-transformers/all-MiniLM-L6-v2"
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "precision": precision, "threads": 1}
    alone = TextEmbedding(name, cuda=False, **options)
    texts = [text for text in TEXTS if text] * 2
    expected = alone.embed_to_array(texts)
    devices.clear()
    told = pytest.warns(RuntimeWarning, match="no kernels for its matrix products")
    with told if precision == "int8" else nullcontext():
        model = TextEmbedding(name, providers=[CUDA, CPU], lazy_load=False, **options)
    with pytest.warns(RuntimeWarning, match=f"{CUDA} failed at a run; {CPU} is used from now on.*illegal memory"):
        np.testing.assert_allclose(model.embed_to_array(texts), expected, atol=bound)
    # The same graph again, in the same precision.
    cuda, processor = devices
    assert (cuda.provider, processor.provider) == (CUDA, CPU)
    assert cuda.path == processor.path
    assert model.fingerprint == alone.fingerprint
    # What goes by the device goes by the new one.
    assert cuda.sizes[0] > 256
    processor.sizes.clear()
    np.testing.assert_allclose(model.embed_to_array(texts), expected, atol=bound)
    assert len(processor.sizes) > 1
    assert max(processor.sizes) <= 256


def test_without_a_fallback_it_is_an_error(devices: list[Device], tmp_path: Path) -> None:
    small = write_row(read_row(ROWS / "bert-mean.json"), tmp_path / "model")
    model = TextEmbedding(small, providers=[CUDA], cache_dir=tmp_path / "cache")
    with pytest.raises(InferenceError, match="illegal memory access"):
        model.embed_to_array(TEXTS)
    assert len(devices) == 1


@pytest.mark.full
def test_eight_bits_run_on_the_processor_unless_a_device_was_asked_for(
    devices: list[Device], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxembed.runtime.cuda.driver", lambda: Driver(found=True, text="a driver"))
    TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", cache_dir=tmp_path, precision="int8", lazy_load=False)
    assert [device.provider for device in devices] == [CPU]

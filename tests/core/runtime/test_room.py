"""A device without memory for a batch."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxembed.errors import InferenceError
from onnxembed.runtime.providers import Placement
from onnxembed.runtime.room import lacks_memory
from onnxembed.runtime.session import Session, SessionSettings

CUDA = "CUDAExecutionProvider"
SAID = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running MatMul node. Name:'up' "
    "Status Message: bfc_arena.cc:376 onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, Stream*) "
    "Failed to allocate memory for requested buffer of size 805306368"
)


class Device:
    """ONNX Runtime's session on a device that has memory for some numbers; doubles them."""

    def __init__(self, cells: int, said: str = SAID) -> None:
        self.cells = cells
        self.said = said
        self.rows: list[int] = []
        self.shrunk: list[bool] = []

    def get_providers(self) -> list[str]:
        return [CUDA, "CPUExecutionProvider"]

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask", "task_id")]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pooled", shape=["batch", 2])]

    def run(self, _: list[str], feed: dict[str, Any], options: Any = None) -> list[Any]:
        ids = feed["input_ids"]
        self.rows.append(len(ids))
        self.shrunk.append(options is not None)
        assert len(feed["attention_mask"]) == len(ids)
        if ids.size > self.cells:
            raise RuntimeError(self.said)
        return [2 * ids + feed["task_id"], ids[:, :2].astype(np.float16)]


def session(device: Device, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: device)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None, raising=False)
    placement = Placement(((CUDA, (("device_id", "3"),)),), fallback_allowed=False)
    return Session(Path("model.onnx"), SessionSettings(placement, threads=1), 1)


def batch(rows: int, width: int = 8) -> dict[str, Any]:
    ids = np.arange(rows * width, dtype=np.int64).reshape(rows, width)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "task_id": np.array(1, np.int64)}


def test_a_batch_is_halved_until_there_is_room_and_results_are_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device(cells=40)
    opened = session(device, monkeypatch)
    feed = batch(17)
    with caplog.at_level(logging.WARNING, logger="onnxembed.runtime"):
        doubled, half = opened.run(["doubled", "half"], feed)
    np.testing.assert_array_equal(doubled, 2 * feed["input_ids"] + 1)
    np.testing.assert_array_equal(half, feed["input_ids"][:, :2])
    assert half.dtype == np.float16
    assert device.rows == [17, 8, 4, 4, 4, 2, 3]
    assert "no memory for a batch with input_ids [17, 8]" in caplog.text
    assert device.shrunk == [False, True, True, False, False, False, False]  # the arena gives back what it holds


def test_what_had_no_room_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(cells=40)
    opened = session(device, monkeypatch)
    opened.run(["doubled", "half"], batch(17))
    device.rows.clear()
    doubled, _ = opened.run(["doubled", "half"], batch(16))
    np.testing.assert_array_equal(doubled, 2 * batch(16)["input_ids"] + 1)
    assert device.rows == [4, 4, 4, 4]
    device.rows.clear()
    opened.run(["doubled", "half"], batch(4))
    assert device.rows == [4]


def test_a_single_item_without_room_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(cells=40)
    opened = session(device, monkeypatch)
    with pytest.raises(InferenceError, match=r"requested buffer.*too little memory for one item.*lower max_length"):
        opened.run(["doubled", "half"], batch(2, width=50))
    assert device.rows == [2, 1]
    doubled, _ = opened.run(["doubled", "half"], batch(5))  # it goes on to serve others
    assert doubled.shape == (5, 8)


def test_inputs_of_different_counts_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = session(Device(cells=4), monkeypatch)
    feed = batch(4) | {"pixels": np.zeros((9, 2), np.float32)}
    with pytest.raises(InferenceError, match="too little memory"):
        opened.run(["doubled"], feed)


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=gpu ; expr=cudaMalloc((void**)&p, size);",
        "CUDNN_STATUS_ALLOC_FAILED",
        "Available memory of 12582912 is smaller than requested bytes of 100663296",
        "std::bad_alloc",
        "onnxruntime::BFCArena::AllocateRawInternal bad allocation",
    ],
)
def test_what_says_that_memory_ran_out(text: str) -> None:
    assert lacks_memory(RuntimeError(text))


def test_other_failures_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(cells=0, said="CUDA failure 700: an illegal memory access was encountered")
    opened = session(device, monkeypatch)
    with pytest.raises(InferenceError, match="illegal memory access"):
        opened.run(["doubled"], batch(4))
    assert device.rows == [4]

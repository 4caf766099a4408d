"""Providers that compile a graph for each shape meet few of them, and results stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxembed.runtime.providers import Placement
from onnxembed.runtime.session import Session, SessionSettings
from onnxembed.runtime.shapes import filled, usual_length

TENSORRT = "TensorrtExecutionProvider"


@pytest.mark.parametrize(
    ("length", "most", "padded"),
    [
        (1, 512, 16),
        (16, 512, 16),
        (17, 512, 32),
        (300, 512, 512),
        (257, 300, 300),
        (512, 512, 512),
        (3, 8, 8),
        (9, 8, 9),
    ],
)
def test_usual_lengths(length: int, most: int, padded: int) -> None:
    assert usual_length(length, most) == padded


def test_a_batch_is_filled_with_copies() -> None:
    ids = np.arange(10).reshape(5, 2)
    whole = filled({"input_ids": ids, "task_id": np.array(3)})
    np.testing.assert_array_equal(whole["input_ids"], [*ids, ids[-1], ids[-1], ids[-1]])
    assert whole["task_id"] == 3
    assert filled({"input_ids": ids[:4]})["input_ids"].shape == (4, 2)
    differing = {"input_ids": ids, "pixels": np.zeros((9, 2))}
    assert filled(differing)["pixels"].shape == (9, 2)


class Device:
    """ONNX Runtime's session; gives its input, a number, and an array with as many rows as the graph likes."""

    def get_providers(self) -> list[str]:
        return [TENSORRT]

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def run(self, _: list[str], feed: dict[str, Any]) -> list[Any]:
        assert len(feed["x"]) == 8
        return [feed["x"], np.zeros(()), np.zeros((3, 1))]


def test_other_outputs_are_left_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: device)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None, raising=False)
    placement = Placement(((TENSORRT, ()),), fallback_allowed=False)
    session = Session(Path("model.onnx"), SessionSettings(placement, threads=1), 1)
    shapes = [array.shape for array in session.run(["x", "y", "z"], {"x": np.zeros((5, 2))})]
    assert shapes == [(5, 2), (), (3, 1)]

"""Patches of pictures in 8 bits: the numbers of a convolution, each picture by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile.rewrite.copying import copied
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.compile.rewrite.int8.unfusing import unfuse
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_model import read_model
from tests.fixtures.graph_runs import run_graph

PATCH, OUTPUTS = (4, 8), 24
WEIGHT = np.random.default_rng(0).normal(size=(OUTPUTS, 3, *PATCH)).astype(np.float32)
BIAS = np.random.default_rng(1).normal(size=OUTPUTS).astype(np.float32)
PIXELS = np.random.default_rng(2).normal(size=(3, 3, 16, 32)).astype(np.float32)
PIXELS[1] *= 100


def write(path: Path, *, sides: tuple[Any, Any] = (16, 32), bias: bool = True, **choices: Any) -> None:
    attributes = {"strides": list(PATCH)} | choices
    inputs = ["pixel_values", "w", *(["b"] if bias else [])]
    graph = helper.make_graph(
        [helper.make_node("Conv", inputs, ["y"], **attributes)],
        "patches",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, *sides])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for value, name in ((WEIGHT, "w"), (BIAS, "b"))][: 1 + bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


@pytest.mark.parametrize("bias", [True, False])
def test_patches_are_rows(bias: bool, tmp_path: Path) -> None:
    source, apart, rounded = (tmp_path / f"{name}.onnx" for name in ("source", "apart", "rounded"))
    write(source, bias=bias)
    exact = run_graph(source, {"pixel_values": PIXELS})["y"]
    by_hand = np.einsum("bcyixj,ocij->boyx", PIXELS.reshape(3, 3, 4, 4, 4, 8), WEIGHT)
    np.testing.assert_allclose(exact, by_hand + (BIAS[:, None, None] if bias else 0), rtol=1e-4, atol=1e-3)
    with read_model(source) as model:
        unfuse(model, smallest=1000)
        copied(model).write(apart, largest_inline_bytes=1 << 30)
    np.testing.assert_allclose(run_graph(apart, {"pixel_values": PIXELS})["y"], exact, rtol=1e-4, atol=1e-3)
    assert quantize_graph(source, rounded, smallest=1000, single_file=True).products == 1
    near = run_graph(rounded, {"pixel_values": PIXELS})["y"]
    errors = np.linalg.norm((near - exact).reshape(3, -1), axis=1) / np.linalg.norm(exact.reshape(3, -1), axis=1)
    assert 1e-4 < errors.max() < 0.02
    for item in range(3):
        alone = run_graph(rounded, {"pixel_values": PIXELS[item : item + 1]})["y"][0]
        assert np.abs(alone - near[item]).max() <= 1e-6 * np.abs(near[item]).max()


OTHERS: list[dict[str, Any]] = [
    {"strides": [4, 4]},
    {"pads": [2, 4, 2, 4]},
    {"auto_pad": "SAME_UPPER"},
    {"sides": (18, 32)},
    {"sides": ("height", "width")},
]


@pytest.mark.parametrize("choices", OTHERS, ids=lambda choices: ", ".join(choices))
def test_other_convolutions_stay(choices: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "source.onnx", **choices)
    with pytest.raises(UnsupportedModelError, match="its large weights are those of convolutions"):
        quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000)

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from onnxembed.compile.graph_builder import FLOAT, GraphBuilder


def scaled_sum(table: np.ndarray) -> GraphBuilder:
    graph = GraphBuilder("sums")
    graph.input("x", FLOAT, ["rows", table.shape[0]])
    product = graph.node("MatMul", ["x", graph.initializer("table", table)], "product")
    graph.node("LeakyRelu", [product], "leaky", {"alpha": 0.5})
    graph.node("ReduceSum", ["leaky", graph.initializer("axis", np.array([1]))], "y", {"keepdims": 0})
    graph.output("y", FLOAT, ["rows"])
    return graph


@pytest.mark.parametrize("largest_inline_bytes", [10**9, 0], ids=["inline", "beside"])
def test_values_survive(tmp_path: Path, largest_inline_bytes: int) -> None:
    table = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32).T  # a view in the other order
    path = tmp_path / "sums.onnx"
    files = scaled_sum(table).write(path, largest_inline_bytes=largest_inline_bytes)
    assert sorted(tmp_path.iterdir()) == sorted(files)

    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    np.testing.assert_array_equal(stored["table"], table)
    np.testing.assert_array_equal(stored["axis"], [1])

    x = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    product = x @ table
    expected = np.where(product < 0, product / 2, product).sum(axis=1)
    np.testing.assert_allclose(session.run(["y"], {"x": x})[0], expected, atol=1e-4)


def test_large_tensors_lie_at_page_boundaries_and_small_ones_inside(tmp_path: Path) -> None:
    graph = scaled_sum(np.ones((100, 7), np.float32))
    graph.initializer("another", np.ones((1000,), np.float32))
    graph.write(tmp_path / "sums.onnx", largest_inline_bytes=0)
    tensors = onnx.load(tmp_path / "sums.onnx", load_external_data=False).graph.initializer
    places = {tensor.name: {entry.key: entry.value for entry in tensor.external_data} for tensor in tensors}
    assert places == {
        "table": {"location": "sums.onnx.data", "offset": "0", "length": "2800"},
        "axis": {},
        "another": {"location": "sums.onnx.data", "offset": "4096", "length": "4000"},
    }


def test_two_tensors_of_one_name() -> None:
    graph = GraphBuilder("twice")
    graph.initializer("a", np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="already has a tensor 'a'"):
        graph.initializer("a", np.zeros(1, np.float32))

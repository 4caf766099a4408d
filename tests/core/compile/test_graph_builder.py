from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxembed.compile import tensors
from onnxembed.compile.graph_builder import FLOAT, OPSET_WITH_ATTENTION, GraphBuilder
from onnxembed.errors import UnsupportedModelError
from tests.fixtures.graph_runs import OPSETS


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


def test_tensors_are_made_while_the_file_is_written(tmp_path: Path) -> None:
    made = []

    def make() -> NDArray[np.float32]:
        made.append(1)
        return np.full((2, 3), 7, np.float32)

    graph = scaled_sum(np.ones((100, 7), np.float32))
    graph.later("late", (2, 3), make)
    assert graph.has_tensor("late")
    assert not made
    graph.write(tmp_path / "sums.onnx", largest_inline_bytes=10**9)
    tensors = onnx.load(tmp_path / "sums.onnx").graph.initializer
    (late,) = (numpy_helper.to_array(tensor) for tensor in tensors if tensor.name == "late")
    np.testing.assert_array_equal(late, np.full((2, 3), 7))
    assert made == [1]


def test_a_tensor_of_another_shape_than_was_said(tmp_path: Path) -> None:
    graph = scaled_sum(np.ones((100, 7), np.float32))
    graph.later("late", (3, 2), lambda: np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"a tensor of float32 \(3, 2\) is float32 \(2, 3\)"):
        graph.write(tmp_path / "sums.onnx", largest_inline_bytes=10**9)
    assert not list(tmp_path.iterdir())


def test_values_that_would_have_one_name_get_numbers(tmp_path: Path) -> None:
    graph = GraphBuilder("chain")
    value = graph.input("x", FLOAT, [2])
    names = []
    for _ in range(3):
        value = graph.node("Add", [value, value], "doubled")
        names.append(value)
    assert names == ["doubled", "doubled.2", "doubled.3"]
    graph.output(value, FLOAT, [2])
    graph.write(tmp_path / "m.onnx", largest_inline_bytes=10**9)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": np.array([1, 2], np.float32)})[0], [8, 16])


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("operator", "reduce"), [("ReduceMax", np.max), ("ReduceMean", np.mean)])
def test_reductions_in_every_version(tmp_path: Path, opset: int, operator: str, reduce: Any) -> None:
    graph = GraphBuilder("reduced", opset)
    graph.input("x", FLOAT, ["a", "b", 4])
    graph.output(graph.reduce(operator, "x", [1], "y", keepdims=True), FLOAT, ["a", 1, 4])
    graph.write(tmp_path / "m.onnx", largest_inline_bytes=10**9)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], reduce(x, axis=1, keepdims=True), atol=1e-6)


def test_an_older_runtime_is_refused_by_the_version_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", "1.22.1")
    GraphBuilder("plain").check_runtime("config.json")
    told = r"config\.json: this architecture needs ONNX Runtime 1\.23 or later, installed is 1\.22\.1"
    with pytest.raises(UnsupportedModelError, match=told):
        GraphBuilder("later", OPSET_WITH_ATTENTION).check_runtime("config.json")


@pytest.mark.parametrize("largest_inline_bytes", [10**9, 0], ids=["inline", "beside"])
@pytest.mark.parametrize("shape", [(100, 8), (101, 8), (3, 5), (2000,), (0, 4), ()], ids=str)
def test_large_tensors_are_made_some_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], largest_inline_bytes: int
) -> None:
    monkeypatch.setattr(tensors, "BYTES_AT_A_TIME", 1000)
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    asked: list[slice] = []

    def make(rows: slice) -> NDArray[Any]:
        asked.append(rows)
        return whole[rows] if shape else whole

    graph = scaled_sum(np.ones((100, 7), np.float32))
    graph.later_by_rows("rows", shape, make)
    graph.write(tmp_path / "sums.onnx", largest_inline_bytes=largest_inline_bytes)
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(tmp_path / "sums.onnx").graph.initializer}
    np.testing.assert_array_equal(stored["rows"], whole)
    assert stored["rows"].shape == shape
    assert len(asked) == {(100, 8): 4, (101, 8): 4, (2000,): 8}.get(shape, 1)

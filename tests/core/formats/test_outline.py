"""The outline of an ONNX file: the same graph, whose large tensors are read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxembed.formats.outline import LEAST_BYTES, outline

ROWS = LEAST_BYTES // 4 // 256 // 2  # the table and the product together are as large as is asked for


def weights() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "table": draw.standard_normal((ROWS, 256)).astype(np.float32),
        "product": draw.standard_normal((256, ROWS)).astype(np.float32),
        "back": draw.integers(-9, 9, (ROWS, 256)).astype(np.int8),
        "added": draw.standard_normal((300, 256)).astype(np.float32),
        "small": np.full(256, 0.5, np.float32),
        "scale": np.array(0.01, np.float32),
    }


def save(path: Path, nodes: list[Any] | None = None, *, raw: bool = True, **changed: Any) -> None:
    standard = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "product"], ["wide"]),
        helper.make_node("DequantizeLinear", ["back", "scale"], ["back_float"]),
        helper.make_node("MatMul", ["wide", "back_float"], ["narrow"]),
        helper.make_node("Add", ["narrow", "added"], ["sum"]),
        helper.make_node("Add", ["sum", "small"], ["y"]),
    ]
    tensors = []
    for name, value in {**weights(), **changed}.items():
        if raw:
            tensors.append(numpy_helper.from_array(value, name))
        else:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            tensors.append(helper.make_tensor(name, kind, value.shape, value.ravel().tolist()))
    graph = helper.make_graph(
        [*(nodes or []), *standard],
        "test",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [300, 256])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, str(path))


def test_large_tensors_are_read_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(path)
    given = outline(path)
    assert given is not None
    assert len(given) < 400_000
    kept = onnx.load_from_string(given)
    places = {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in kept.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    assert set(places) == {"table", "product", "back"}, "additions may need numbers at multiples of their size"
    data = path.read_bytes()
    for name, place in places.items():
        first, length = int(place["offset"]), int(place["length"])
        assert place["location"] == "model.onnx"
        assert data[first : first + length] == weights()[name].tobytes()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
    feed = {"ids": np.arange(300) * 3}
    results = [
        onnxruntime.InferenceSession(graph, sess_options, providers=["CPUExecutionProvider"]).run(None, feed)[0]
        for graph, sess_options in ((given, options), (str(path), None))
    ]
    assert np.array_equal(*results)


def test_what_is_small_has_none(tmp_path: Path) -> None:
    save(tmp_path / "model.onnx", table=np.zeros((900, 256), np.float32))
    assert outline(tmp_path / "model.onnx") is None


def test_numbers_that_are_spelled_out_stay(tmp_path: Path) -> None:
    save(tmp_path / "model.onnx", raw=False, product=np.zeros((256, 4), np.float32), back=np.zeros((4, 256), np.int8))
    assert outline(tmp_path / "model.onnx") is None


def test_a_graph_inside_may_read_anything(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["table"], ["t"])], "inner", [], [helper.make_tensor_value_info("t", 1, None)]
    )
    condition = helper.make_node(
        "Constant", [], ["c"], value=helper.make_tensor("c_value", TensorProto.BOOL, [], [True])
    )
    save(
        tmp_path / "model.onnx", [condition, helper.make_node("If", ["c"], ["t"], then_branch=inner, else_branch=inner)]
    )
    assert outline(tmp_path / "model.onnx") is None


@pytest.mark.parametrize("cut", [10, 1_000_000])
def test_a_damaged_file_is_left_to_whoever_loads_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model.onnx"
    save(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert outline(path) is None

"""Graphs of odd forms: what is rewritten still gives what it gave, and what cannot be is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile.rewrite.half.convert import halve_graph
from onnxembed.compile.rewrite.half.formats import FLOAT16
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.errors import UnsupportedModelError
from tests.fixtures.graph_runs import run_graph

VOCABULARY, INPUTS, OUTPUTS = 50, 32, 48
RANDOM = np.random.default_rng(12)
IDS = {"input_ids": RANDOM.integers(0, VOCABULARY, (5, 7)).astype(np.int64)}
TABLE = RANDOM.standard_normal((VOCABULARY, INPUTS)).astype(np.float32)
LARGE_TABLE = RANDOM.standard_normal((1 << 15, INPUTS)).astype(np.float32)
WEIGHT = (RANDOM.standard_normal((INPUTS, OUTPUTS)) * 0.1).astype(np.float32)
GAMMA, BETA = (RANDOM.uniform(0.1, 2, INPUTS).astype(np.float32) for _ in range(2))
ROWS = helper.make_node("Gather", ["table", "input_ids"], ["rows"])


def written(
    path: Path,
    nodes: list[Any],
    outputs: list[str],
    further: dict[str, NDArray[Any]] | None = None,
    listed: tuple[str, ...] = (),
    sizes: tuple[str | int, str | int] = ("batch", "sequence"),
) -> Path:
    """A graph over a table and a weight; ``listed`` are constants that stand among its inputs, too."""
    constants = {"table": TABLE, "w": WEIGHT, **(further or {})}
    shapes = {"table": [VOCABULARY, INPUTS], "w": [INPUTS, OUTPUTS]}
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, sizes)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in listed]
    graph = helper.make_graph(
        nodes,
        "odd",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=3 if listed else 8)
    onnx.save(model, str(path))
    return path


def worst(source: Path, target: Path) -> dict[str, float]:
    """For each output the largest error of a number, as a share of the largest number."""
    exact, near = run_graph(source, IDS), run_graph(target, IDS)
    return {name: float(np.abs(near[name] - exact[name]).max() / np.abs(exact[name]).max()) for name in exact}


def test_constants_among_the_inputs_need_not_be_fed(tmp_path: Path) -> None:
    nodes = [ROWS, helper.make_node("MatMul", ["rows", "w"], ["y"])]
    source = written(tmp_path / "model.onnx", nodes, ["y"], listed=("table", "w"))
    quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    halve_graph(source, tmp_path / "half.onnx", FLOAT16, smallest=1)
    assert 0 < worst(source, tmp_path / "int8.onnx")["y"] < 0.02
    assert 0 < worst(source, tmp_path / "half.onnx")["y"] < 0.002


def test_outputs_inside_a_smoothed_affine_stay_what_they_were(tmp_path: Path) -> None:
    nodes = [
        ROWS,
        helper.make_node("Mul", ["rows", "gamma"], ["scaled"]),
        helper.make_node("Add", ["scaled", "beta"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    outputs = ["scaled", "x", "y", "w"]
    source = written(tmp_path / "model.onnx", nodes, outputs, {"gamma": GAMMA, "beta": BETA})
    quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    errors = worst(source, tmp_path / "int8.onnx")
    assert max(errors["scaled"], errors["x"], errors["w"]) < 1e-6
    assert errors["y"] < 0.02


def test_a_product_of_one_row_without_an_axis_for_rows_stays(tmp_path: Path) -> None:
    nodes = [
        ROWS,
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[0, 1], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
        helper.make_node("MatMul", ["rows", "w"], ["z"]),
    ]
    source = written(tmp_path / "model.onnx", nodes, ["y", "z"])
    done = quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    assert (done.products, done.left) == (1, ("MatMul y",))
    errors = worst(source, tmp_path / "int8.onnx")
    assert errors["y"] < 1e-6
    assert 0 < errors["z"] < 0.02


def test_a_weight_whose_products_overflow_stays_without_a_word_of_numpy(tmp_path: Path) -> None:
    weight = WEIGHT.copy()
    weight[4, 4] = 1e38
    source = written(
        tmp_path / "model.onnx", [ROWS, helper.make_node("MatMul", ["rows", "w"], ["y"])], ["y"], {"w": weight}
    )
    done = quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    assert done.products == 0
    assert [name for name, _ in done.kept] == ["y"]


REWRITES: dict[str, Callable[[Path, Path], object]] = {
    "int8/": partial(quantize_graph, smallest=1),
    "half/": partial(halve_graph, form=FLOAT16, smallest=1),
}


@pytest.mark.parametrize("own", REWRITES)
def test_names_that_the_rewrite_gives_are_refused(own: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], [f"{own}x"]),
        helper.make_node("MatMul", [f"{own}x", "w"], ["y"]),
    ]
    source = written(tmp_path / "model.onnx", nodes, ["y"])
    with pytest.raises(UnsupportedModelError, match=f"'{own}x' has the name of one that this precision adds"):
        REWRITES[own](source, tmp_path / "made.onnx")


def test_constants_of_other_types_are_refused(tmp_path: Path) -> None:
    nodes = [ROWS, helper.make_node("MatMul", ["rows", "w"], ["y"]), helper.make_node("Identity", ["odd"], ["z"])]
    source = written(tmp_path / "model.onnx", nodes, ["y"], {"odd": np.array([1, 2], np.uint16)})
    with pytest.raises(UnsupportedModelError, match="the ONNX element type 4, which is not rewritten"):
        quantize_graph(source, tmp_path / "int8.onnx", smallest=1)


def test_columns_of_a_table_that_is_looked_up_by_rows_stay(tmp_path: Path) -> None:
    """The same table read in both directions: only whole rows are looked up in 8 bits."""
    nodes = [
        ROWS,
        helper.make_node("MatMul", ["rows", "w"], ["y"]),
        helper.make_node("Gather", ["table", "places"], ["columns"], axis=1),
    ]
    constants: dict[str, NDArray[Any]] = {"table": LARGE_TABLE, "places": np.array([0, 5], np.int64)}
    source = written(tmp_path / "model.onnx", nodes, ["rows", "y", "columns"], constants)
    done = quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    assert (done.tables, done.kept) == (1, ())
    errors = worst(source, tmp_path / "int8.onnx")
    assert errors["columns"] == 0
    assert 0 < errors["rows"] < 0.005


def test_a_table_whose_small_columns_8_bits_would_drop_stays(tmp_path: Path) -> None:
    """A column a thousand times as large as the others, which counts for nothing in what follows."""
    table, weight = LARGE_TABLE.copy(), WEIGHT.copy()
    table[:, 3] *= 1000
    nodes = [
        ROWS,
        helper.make_node("Mul", ["rows", "others"], ["read"]),
        helper.make_node("MatMul", ["read", "w"], ["y"]),
    ]
    others = np.ones(INPUTS, np.float32)
    others[3] = 0
    source = written(tmp_path / "model.onnx", nodes, ["y"], {"table": table, "w": weight, "others": others})
    done = quantize_graph(source, tmp_path / "int8.onnx", smallest=1)
    assert done.tables == 0
    assert [name for name, error in done.kept if error > 0.5] == ["table"]
    assert worst(source, tmp_path / "int8.onnx")["y"] < 0.02


@pytest.mark.parametrize("sizes", [(5, 7), ("batch", 7), (5, "sequence"), ("batch", 17), (16, "sequence")])
def test_graphs_of_fixed_sizes(sizes: tuple[str | int, str | int], tmp_path: Path) -> None:
    source = written(
        tmp_path / "model.onnx", [ROWS, helper.make_node("MatMul", ["rows", "w"], ["y"])], ["y"], sizes=sizes
    )
    assert quantize_graph(source, tmp_path / "int8.onnx", smallest=1).products == 1
    if sizes[0] in (5, "batch") and sizes[1] in (7, "sequence"):
        assert 0 < worst(source, tmp_path / "int8.onnx")["y"] < 0.02


def test_weights_that_float16_would_lose_stay(tmp_path: Path) -> None:
    nodes = [
        ROWS,
        helper.make_node("MatMul", ["rows", "w"], ["z"]),
        helper.make_node("MatMul", ["rows", "tiny"], ["y"]),
    ]
    tiny = WEIGHT * np.float32(1e-8)
    source = written(tmp_path / "model.onnx", nodes, ["y", "z"], {"tiny": tiny})
    done = halve_graph(source, tmp_path / "half.onnx", FLOAT16, smallest=1)
    assert [name for name, _ in done.kept] == ["y"]
    assert max(worst(source, tmp_path / "half.onnx").values()) < 0.002

"""Graphs in 16 bits: what runs in them, what stays in single precision, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile import compile_model
from onnxembed.compile.rewrite.half.convert import halve_graph
from onnxembed.compile.rewrite.half.formats import BFLOAT16, FLOAT16
from onnxembed.errors import UnsupportedModelError
from onnxembed.spec import PoolingType
from tests.fixtures.dense_tokenizers import MAPPED_ID
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.half_graphs import widened
from tests.fixtures.small_models import write_bert_folder

IDS = {"input_ids": np.arange(8, dtype=np.int64).reshape(2, 4)}


def save(path: Path, nodes: list[Any], constants: dict[str, NDArray[Any]], opset: int = 17, **inputs: int) -> Path:
    """Save a graph of one output, ``y``, and of ``input_ids`` and the given inputs with their types."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(name, kind, ["batch", "sequence"])
            for name, kind in {"input_ids": TensorProto.INT64, **inputs}.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains)
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def random(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(3).standard_normal(shape)).astype(np.float32)


def types_read(path: Path) -> dict[str, list[int]]:
    """By operator: the element types that it reads of what tables, weights and casts give."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    known = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    known |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {node.op_type: [known.get(name, 0) for name in node.input] for node in model.graph.node}


def lookup_and(*nodes: Any) -> list[Any]:
    return [helper.make_node("Gather", ["table", "input_ids"], ["x"]), *nodes]


def test_a_whole_model(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, hidden=256, layers=2, vocab=5000)
    full = tmp_path / "model.onnx"
    compile_model(tmp_path, full, pooling=PoolingType.MEAN)
    feed = token_batch((12, 3, 7, 1), vocab=MAPPED_ID)
    exact = run_graph(full, feed)["sentence_embedding"]
    for form, bound in ((FLOAT16, 1e-6), (BFLOAT16, 5e-4)):
        half = tmp_path / f"{form.name}.onnx"
        done = halve_graph(full, half, form, single_file=True)
        assert (done.products, done.tables, done.kept) == (14 if form is FLOAT16 else 12, 1, ())
        assert half.stat().st_size < 0.53 * full.stat().st_size
        onnx.checker.check_model(str(half), full_check=True)
        graph = half if form is FLOAT16 else widened(half, tmp_path / "wide.onnx")
        near = run_graph(graph, feed)["sentence_embedding"]
        assert near.dtype == np.float32
        assert 1 - (exact * near).sum(axis=1).min() < bound
        read = types_read(half)
        assert read["LayerNormalization"] == [TensorProto.FLOAT] * 3
        assert read["ReduceL2"][0] in (0, TensorProto.FLOAT)


def test_positions_times_frequencies_stay(tmp_path: Path) -> None:
    """In 16 bits positions above 2048 would be others, which every rotary embedding shows."""
    frequencies = (10000.0 ** -np.linspace(0, 1, 256)).astype(np.float32)[None]
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Cast", ["positions"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["places", "last"], ["columns"]),
        helper.make_node("MatMul", ["columns", "frequencies"], ["angles"]),
        helper.make_node("Cos", ["angles"], ["cosines"]),
        helper.make_node("Mul", ["p", "cosines"], ["y"]),
    )
    constants: dict[str, NDArray[Any]] = {
        "table": random(8, 256),
        "w": random(256, 256, scale=0.06),
        "last": np.array([2], np.int64),
        "frequencies": frequencies,
    }
    full = save(tmp_path / "model.onnx", nodes, constants, positions=TensorProto.INT64)
    assert halve_graph(full, tmp_path / "half.onnx", FLOAT16, smallest=0).products == 1
    feed = {**IDS, "positions": np.array([[2049, 4097, 8001, 30001]] * 2, np.int64)}
    exact, near = (run_graph(path, feed)["y"] for path in (full, tmp_path / "half.onnx"))
    assert np.abs(exact - near).max() < 2e-3 * np.abs(exact).max()


def attention(mask: str) -> list[Any]:
    return lookup_and(
        helper.make_node(
            "MultiHeadAttention", ["x", "x", "x", "", "", mask], ["y"], domain="com.microsoft", num_heads=4
        )
    )


@pytest.mark.parametrize("far", [-1e9, float(np.finfo(np.float32).min)])
def test_masks_stay_finite(tmp_path: Path, far: float) -> None:
    """A row whose every score is masked would be a sum of nothing: in float16 such masks are infinite."""
    mask = np.zeros((1, 1, 4, 4), np.float32)
    mask[..., 2:] = far
    mask[..., 3, :] = far
    nodes = [helper.make_node("Identity", ["stored"], ["mask"]), *attention("mask")]
    full = save(tmp_path / "model.onnx", nodes, {"table": random(8, 256), "stored": mask})
    halve_graph(full, tmp_path / "half.onnx", FLOAT16)
    exact, near = (run_graph(path, IDS)["y"] for path in (full, tmp_path / "half.onnx"))
    assert np.isfinite(near).all()
    assert np.abs(exact - near)[:, :3].max() < 5e-3


def test_sums_of_two_values_stay(tmp_path: Path) -> None:
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["q"]),
        helper.make_node("Reshape", ["q", "same"], ["r"]),
        helper.make_node("Sum", ["r", "x"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    )
    same = np.array([0, 0, -1], np.int64)
    constants: dict[str, NDArray[Any]] = {
        "table": random(8, 256),
        "w": random(256, 256),
        "b": random(256),
        "same": same,
    }
    full = save(tmp_path / "model.onnx", nodes, constants)
    halve_graph(full, tmp_path / "half.onnx", FLOAT16)
    read = types_read(tmp_path / "half.onnx")
    half = [TensorProto.FLOAT16] * 2
    assert (read["MatMul"], read["Add"], read["Reshape"][0]) == (half, half, half[0])
    assert read["Sum"] == [TensorProto.FLOAT] * 2
    assert read["Relu"] == [TensorProto.FLOAT]


def test_a_spelled_out_normalization_is_fed_in_single_precision(tmp_path: Path) -> None:
    """ONNX Runtime would make one operator of it and of the cast before, with inputs of two types."""
    nodes = lookup_and(
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["mean"], axes=[-1], keepdims=1),
        helper.make_node("Sub", ["wide", "mean"], ["centred"]),
        helper.make_node("Pow", ["centred", "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[-1], keepdims=1),
        helper.make_node("Add", ["variance", "least"], ["bounded"]),
        helper.make_node("Sqrt", ["bounded"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["normal"]),
        helper.make_node("Mul", ["normal", "b"], ["scaled"]),
        helper.make_node("Add", ["scaled", "b"], ["shifted"]),
        helper.make_node("MatMul", ["shifted", "w"], ["y"]),
    )
    constants: dict[str, NDArray[Any]] = {
        "table": random(8, 256),
        "w": random(256, 256, scale=0.06),
        "b": random(256),
        "two": np.array(2, np.float32),
        "least": np.array(1e-7, np.float32),
    }
    full = save(tmp_path / "model.onnx", nodes, constants)
    assert halve_graph(full, tmp_path / "half.onnx", FLOAT16).tables == 0
    exact, near = (run_graph(path, IDS)["y"] for path in (full, tmp_path / "half.onnx"))
    assert np.abs(exact - near).max() < 5e-3 * np.abs(exact).max()


def test_weights_above_what_float16_holds_stay_by_name(tmp_path: Path) -> None:
    weight = random(256, 256)
    weight[3, 5] = 70000
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["large"]), helper.make_node("MatMul", ["large", "small"], ["y"])
    )
    constants = {"table": random(8, 256, scale=1e-3), "w": weight, "small": random(256, 256, scale=1e-2)}
    full = save(tmp_path / "model.onnx", nodes, constants)
    done = halve_graph(full, tmp_path / "half.onnx", FLOAT16, smallest=256)
    assert done.kept == (("large", 70000.0),)
    assert halve_graph(full, tmp_path / "bf.onnx", BFLOAT16, smallest=256).kept == ()
    exact, near = (run_graph(path, IDS)["y"] for path in (full, tmp_path / "half.onnx"))
    assert np.abs(exact - near).max() < 2e-3 * np.abs(exact).max()


def test_values_near_the_largest_stay_by_name(tmp_path: Path) -> None:
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["large"]),
        helper.make_node("LayerNormalization", ["large", "one"], ["normal"], axis=-1),
        helper.make_node("MatMul", ["normal", "w"], ["y"]),
    )
    constants = {"table": random(8, 256, scale=2000), "w": random(256, 256), "one": np.ones(256, np.float32)}
    full = save(tmp_path / "model.onnx", nodes, constants)
    done = halve_graph(full, tmp_path / "half.onnx", FLOAT16)
    ((name, number),) = done.kept
    assert name == "large"
    assert number > 65504 / 8
    exact, near = (run_graph(path, IDS)["y"] for path in (full, tmp_path / "half.onnx"))
    assert np.isfinite(near).all()
    assert np.abs(exact - near).max() < 5e-3 * np.abs(exact).max()


def test_an_older_version_is_brought_to_a_later_one(tmp_path: Path) -> None:
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("ReduceMean", ["p"], ["y"], axes=[1], keepdims=0),
    )
    full = save(tmp_path / "model.onnx", nodes, {"table": random(8, 256), "w": random(256, 256, scale=0.06)}, opset=11)
    for form, bound in ((FLOAT16, 1e-3), (BFLOAT16, 2e-2)):
        halve_graph(full, tmp_path / "half.onnx", form, single_file=True)
        graph = widened(tmp_path / "half.onnx", tmp_path / "wide.onnx") if form is BFLOAT16 else tmp_path / "half.onnx"
        assert np.abs(run_graph(full, IDS)["y"] - run_graph(graph, IDS)["y"]).max() < bound


def test_graphs_inside_refuse(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["p"], ["z"])], "branch", [], [value])
    nodes = lookup_and(
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    )
    constants: dict[str, NDArray[Any]] = {"table": random(8, 256), "w": random(256, 256), "yes": np.array(True)}
    full = save(tmp_path / "model.onnx", nodes, constants)
    with pytest.raises(UnsupportedModelError, match="the operators If hold graphs"):
        halve_graph(full, tmp_path / "half.onnx", FLOAT16)


def test_nothing_worth_it_refuses(tmp_path: Path) -> None:
    full = save(tmp_path / "model.onnx", lookup_and(helper.make_node("Relu", ["x"], ["y"])), {"table": random(8, 256)})
    with pytest.raises(UnsupportedModelError, match="no product of single precision that is worth 16 bits"):
        halve_graph(full, tmp_path / "half.onnx", FLOAT16)


def test_bfloat16_rounds_to_the_nearest() -> None:
    numbers = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 3.3895e38, np.inf, np.nan], np.float32)
    stored = BFLOAT16.narrow(numbers).astype(np.uint32) << 16
    back = stored.view(np.float32)
    # Halves go to the even neighbour.
    np.testing.assert_array_equal(back[:4], [1.0, -2.5, 1.0, 1 + 4 * 2**-8])
    assert np.isfinite(back[4])
    assert back[5] == np.inf
    assert np.isnan(back[6])

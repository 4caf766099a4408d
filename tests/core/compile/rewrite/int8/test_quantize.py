"""Graphs with products in 8 bits, a scale per row: near the graph they are made of, and each text by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile import compile_model
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import PoolingType
from tests.fixtures.dense_tokenizers import MAPPED_ID
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.small_models import write_bert_folder

HIDDEN = 256
LENGTHS = (12, 3, 7, 1)
BERT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled BERT whose products are large enough for 8 bits."""
    folder = tmp_path_factory.mktemp("bert")
    write_bert_folder(folder, hidden=HIDDEN, layers=2, vocab=5000)
    compile_model(folder, folder / "model.onnx", pooling=PoolingType.MEAN)
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def rounded(bert: Path) -> Path:
    """The same in 8 bits."""
    target = bert.with_name("int8.onnx")
    done = quantize_graph(bert, target, single_file=True)
    assert (done.products, done.kept, done.tables) == (12, (), 1)
    return target


def unoptimized(path: Path, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([node.name for node in session.get_outputs()], session.run(None, feed), strict=True))


def test_near_the_graph_it_is_made_of(bert: Path, rounded: Path) -> None:
    feed = token_batch(LENGTHS, vocab=MAPPED_ID)
    exact, near = (run_graph(path, feed)["sentence_embedding"] for path in (bert, rounded))
    cosines = (exact * near).sum(axis=1)
    assert cosines.min() > 0.995
    assert not np.array_equal(exact, near)


def test_is_a_valid_model_with_the_same_inputs_and_outputs(bert: Path, rounded: Path) -> None:
    onnx.checker.check_model(str(rounded), full_check=True)
    was, now = inspect_graph(bert), inspect_graph(rounded)
    assert (now.inputs, now.outputs) == (was.inputs, was.outputs)
    assert rounded.stat().st_size < 0.35 * bert.stat().st_size


def test_a_text_does_not_move_with_its_neighbours(rounded: Path) -> None:
    feed = token_batch(LENGTHS, vocab=MAPPED_ID)
    together = run_graph(rounded, feed)["sentence_embedding"]
    for row, length in enumerate(LENGTHS):
        alone = {name: values[row : row + 1, :length] for name, values in feed.items()}
        assert np.abs(run_graph(rounded, alone)["sentence_embedding"] - together[row]).max() < 1e-6
    assert (
        np.abs(
            run_graph(rounded, {k: v[::-1].copy() for k, v in feed.items()})["sentence_embedding"][::-1] - together
        ).max()
        < 1e-6
    )


def test_optimised_and_unoptimised_agree(rounded: Path) -> None:
    feed = token_batch(LENGTHS, vocab=MAPPED_ID)
    for name, values in run_graph(rounded, feed).items():
        np.testing.assert_allclose(values, unoptimized(rounded, feed)[name], atol=1e-5)


def test_seven_bits_for_processors_without_dot_products(bert: Path, tmp_path: Path) -> None:
    quantize_graph(bert, tmp_path / "seven.onnx", weight_bits=7, single_file=True)
    stored = onnx.load(str(tmp_path / "seven.onnx"))
    weights = [numpy_helper.to_array(t) for t in stored.graph.initializer if t.name.endswith(".weight")]
    rounded_ones = [weight for weight in weights if weight.dtype == np.int8]
    # Two layers of four: query, key and value are one.
    assert (
        sorted(weight.shape for weight in rounded_ones)
        == [(256, 256)] * 2 + [(256, 512)] * 2 + [(256, 768)] * 2 + [(512, 256)] * 2
    )
    assert max(int(np.abs(weight.astype(int)).max()) for weight in rounded_ones) == 63
    feed = token_batch(LENGTHS, vocab=MAPPED_ID)
    exact, near = (run_graph(path, feed)["sentence_embedding"] for path in (bert, tmp_path / "seven.onnx"))
    assert (exact * near).sum(axis=1).min() > 0.99


# One product by itself, in every form and version, against numpy.
CASES = [
    ("MatMul", 17, False, False),
    ("MatMul", 11, True, False),
    ("Gemm", 13, True, False),
    ("Gemm", 17, True, True),
    ("MatMul", 21, True, False),
    ("MatMul", 23, True, False),
]


def product_model(operator: str, opset: int, *, bias: bool, transposed: bool) -> tuple[Any, NDArray[np.float32]]:
    """``x @ w (+ b)`` behind a table of vectors, and what it gives for the ids 0 to 7."""
    random = np.random.default_rng(3)
    table = random.standard_normal((8, 256)).astype(np.float32) * np.geomspace(0.01, 100, 8)[:, None].astype(np.float32)
    weight = random.standard_normal((256, 512)).astype(np.float32)
    added = random.standard_normal(512).astype(np.float32)
    constants = {"table": table, "w": weight.T.copy() if transposed else weight, "b": added}
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if operator == "Gemm":
        constants["shape"] = np.array([-1, 256], np.int64)
        nodes.append(helper.make_node("Reshape", ["rows", "shape"], ["x"]))
        nodes.append(helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=int(transposed)))
    else:
        nodes.append(helper.make_node("MatMul", ["rows", "w"], ["p" if bias else "y"]))
        if bias:
            nodes.append(helper.make_node("Add", ["p", "b"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name != "b" or bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 7
    return model, table @ weight + (added if bias else 0)


@pytest.mark.parametrize(("operator", "opset", "bias", "transposed"), CASES)
def test_every_form_of_a_product(tmp_path: Path, operator: str, opset: int, bias: bool, transposed: bool) -> None:
    model, expected = product_model(operator, opset, bias=bias, transposed=transposed)
    onnx.save(model, tmp_path / "model.onnx")
    quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")
    feed = {"input_ids": np.arange(8, dtype=np.int64).reshape(2, 4)}
    for values in (run_graph(tmp_path / "int8.onnx", feed)["y"], unoptimized(tmp_path / "int8.onnx", feed)["y"]):
        errors = np.linalg.norm(values.reshape(8, 512) - expected, axis=1) / np.linalg.norm(expected, axis=1)
        # Rows ten thousand times apart each keep their own precision.
        assert errors.max() < 0.015


def test_axes_that_became_inputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[-1], keepdims=1),
        helper.make_node("Sub", ["rows", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "w"], ["p"]),
        helper.make_node("Split", ["p"], ["left", "right"], axis=2, split=[200, 312]),
        helper.make_node("Unsqueeze", ["left"], ["deep"], axes=[3]),
        helper.make_node("Squeeze", ["deep"], ["y"], axes=[3]),
    ]
    random = np.random.default_rng(4)
    table, weight = (random.standard_normal(shape).astype(np.float32) for shape in ((8, 256), (256, 512)))
    graph = helper.make_graph(
        nodes,
        "axes",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    onnx.save(model, tmp_path / "model.onnx")
    quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")
    feed = {"input_ids": np.arange(8, dtype=np.int64).reshape(2, 4)}
    expected = run_graph(tmp_path / "model.onnx", feed)["y"]
    actual = run_graph(tmp_path / "int8.onnx", feed)["y"]
    assert np.abs(actual - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_not_rounded_away(tmp_path: Path, wrong: float) -> None:
    model, expected = product_model("MatMul", 17, bias=False, transposed=False)
    onnx.save(model, tmp_path / "model.onnx")
    quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx", single_file=True)
    made = onnx.load(str(tmp_path / "int8.onnx"))
    (place,) = [i for i, tensor in enumerate(made.graph.initializer) if tensor.name == "table"]
    table = numpy_helper.to_array(made.graph.initializer[place]).copy()
    table[3, 7] = wrong
    made.graph.initializer[place].CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save(made, tmp_path / "int8.onnx")
    feed = {"input_ids": np.arange(8, dtype=np.int64).reshape(2, 4)}
    for values in (run_graph(tmp_path / "int8.onnx", feed)["y"], unoptimized(tmp_path / "int8.onnx", feed)["y"]):
        rows = values.reshape(8, 512)
        assert not np.isfinite(rows[3]).any()
        assert np.abs(rows[4] - expected[4]).max() < 0.02 * np.abs(expected[4]).max()


def test_weights_that_give_no_numbers_refuse(tmp_path: Path) -> None:
    model, _ = product_model("MatMul", 17, bias=False, transposed=False)
    table = numpy_helper.to_array(model.graph.initializer[0]).copy()
    table[3, 7] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match="not finite"):
        quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")


def test_an_operator_of_an_older_version_that_is_not_known_refuses(tmp_path: Path) -> None:
    model, _ = product_model("MatMul", 13, bias=False, transposed=False)
    model.graph.node.append(helper.make_node("Hardmax", ["y"], ["z"]))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match="the operators Hardmax of version 13"):
        quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")


def test_nothing_worth_rounding_refuses(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "small")
    compile_model(tmp_path / "small", tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match="no product of single precision that is worth 8 bits"):
        quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")


def test_an_input_that_cannot_be_made_up_refuses(tmp_path: Path) -> None:
    model, _ = product_model("MatMul", 17, bias=False, transposed=False)
    model.graph.input[0].name = "words"
    model.graph.node[0].input[1] = "words"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match="the input 'words'"):
        quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")


def test_a_product_that_8_bits_would_spoil_stays(tmp_path: Path) -> None:
    model, _ = product_model("MatMul", 17, bias=False, transposed=False)
    table = numpy_helper.to_array(model.graph.initializer[0]).copy()
    # One channel a thousand times larger than the others, which its weights ignore.
    table[:, 0] = 1000 * np.abs(table).max(axis=1)
    weight = numpy_helper.to_array(model.graph.initializer[1]).copy()
    weight[0] = 0
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weight, "w"))
    onnx.save(model, tmp_path / "model.onnx")
    done = quantize_graph(tmp_path / "model.onnx", tmp_path / "int8.onnx")
    assert done.products == 0
    ((name, error),) = done.kept
    assert name == "y"
    assert error > 0.06
    feed = {"input_ids": np.arange(8, dtype=np.int64).reshape(2, 4)}
    np.testing.assert_array_equal(
        run_graph(tmp_path / "int8.onnx", feed)["y"], run_graph(tmp_path / "model.onnx", feed)["y"]
    )

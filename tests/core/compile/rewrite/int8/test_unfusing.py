"""Products inside operators: taken out they give the same numbers, in 8 bits near ones, or it is said why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile.rewrite.copying import copied
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.compile.rewrite.int8.unfusing import unfuse
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_model import read_model
from tests.fixtures.graph_runs import run_graph

HIDDEN, WIDE, IDS = 64, 96, 40
LENGTHS = (7, 3, 5)
Arrays = dict[str, NDArray[Any]]
MICROSOFT = "com.microsoft"


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from math import erf

    return np.asarray(x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2))))


def numbers(seed: int, *shape: int, scale: float = 0.3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


TABLE = numbers(0, IDS, HIDDEN, scale=1.0) * np.geomspace(0.1, 10, IDS)[:, None].astype(np.float32)
WEIGHT, BIAS = numbers(1, HIDDEN, WIDE), numbers(2, WIDE)
# Small enough for attention to look at more than one token.
QKV, QKV_BIAS = numbers(3, HIDDEN, 3 * HIDDEN, scale=0.02), numbers(4, 3 * HIDDEN)


@dataclass(frozen=True)
class Case:
    """A few operators that make ``y`` of the looked up vectors ``x``, (batch, sequence, 64).

    Attributes:
        nodes: Makes them.
        constants: Their constants.
        expected: What numpy makes of x in their place, where that is a line.
        flat: Whether x is (batch * sequence, 64).
        oldest: The first version of ONNX that has the operators in this form.
    """

    nodes: Callable[[], list[Any]]
    constants: Arrays
    expected: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    flat: bool = False
    oldest: int = 12


def node(operator: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, domain=domain, **attributes)


def fused(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return node(operator, inputs, outputs, MICROSOFT, **attributes)


CASES = {
    "transposed": Case(
        lambda: [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])],
        {"w": WEIGHT.T.copy()},
        lambda x: x @ WEIGHT,
    ),
    "transposed by default, renamed": Case(
        lambda: [
            node("Transpose", ["w"], ["t"]),
            node("Identity", ["t"], ["same"]),
            node("MatMul", ["x", "same"], ["y"]),
        ],
        {"w": WEIGHT.T.copy()},
        lambda x: x @ WEIGHT,
    ),
    "a Constant operator": Case(
        lambda: [
            node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHT, "value")),
            node("MatMul", ["x", "w"], ["y"]),
        ],
        {},
        lambda x: x @ WEIGHT,
    ),
    "stored in half precision": Case(
        lambda: [node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT), node("MatMul", ["x", "wide"], ["y"])],
        {"w": WEIGHT.astype(np.float16)},
        lambda x: x @ WEIGHT.astype(np.float16).astype(np.float64),
    ),
    "FusedMatMul": Case(
        lambda: [fused("FusedMatMul", ["x", "w"], ["y"], transB=1, alpha=0.125)],
        {"w": WEIGHT.T.copy()},
        lambda x: 0.125 * (x @ WEIGHT),
    ),
    "Gemm with factors": Case(
        lambda: [node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=3.0)],
        {"w": WEIGHT, "b": BIAS},
        lambda x: 0.5 * (x @ WEIGHT) + 3.0 * BIAS,
        flat=True,
    ),
    "Gemm of turned activations": Case(
        lambda: [node("Transpose", ["x"], ["turned"]), node("Gemm", ["turned", "w", "b"], ["y"], transA=1, transB=1)],
        {"w": WEIGHT.T.copy(), "b": BIAS},
        lambda x: x @ WEIGHT + BIAS,
        flat=True,
    ),
    "FusedGemm": Case(
        lambda: [fused("FusedGemm", ["x", "w", "b"], ["y"], activation="Relu", transB=1, alpha=2.0)],
        {"w": WEIGHT.T.copy(), "b": BIAS},
        lambda x: np.maximum(2 * (x @ WEIGHT) + BIAS, 0),
        flat=True,
    ),
    "BiasGelu": Case(
        lambda: [
            node("MatMul", ["x", "w"], ["p"]),
            fused("BiasGelu", ["p", "b"], ["g"]),
            node("MatMul", ["g", "v"], ["y"]),
        ],
        {"w": WEIGHT, "b": BIAS, "v": WEIGHT.T.copy()},
        lambda x: gelu(x @ WEIGHT + BIAS) @ WEIGHT.T,
    ),
    "FastGelu with its bias": Case(
        lambda: [
            node("MatMul", ["x", "w"], ["p"]),
            fused("FastGelu", ["p", "b"], ["g"]),
            node("MatMul", ["g", "v"], ["y"]),
        ],
        {"w": WEIGHT, "b": BIAS, "v": WEIGHT.T.copy()},
    ),
    "QuickGelu": Case(
        lambda: [
            node("MatMul", ["x", "w"], ["p"]),
            fused("QuickGelu", ["p"], ["g"], alpha=1.702),
            node("MatMul", ["g", "v"], ["y"]),
        ],
        {"w": WEIGHT, "v": WEIGHT.T.copy()},
        lambda x: ((x @ WEIGHT) / (1 + np.exp(-1.702 * (x @ WEIGHT)))) @ WEIGHT.T,
    ),
    "SkipLayerNormalization": Case(
        lambda: [
            node("MatMul", ["x", "u"], ["p"]),
            fused("SkipLayerNormalization", ["p", "x", "g", "c", "b"], ["n"], epsilon=1e-12),
            node("MatMul", ["n", "w"], ["y"]),
        ],
        {"u": numbers(5, HIDDEN, HIDDEN), "g": 1 + numbers(6, HIDDEN), "c": numbers(7, HIDDEN), "b": numbers(8, HIDDEN)}
        | {"w": WEIGHT},
    ),
    "Attention": Case(
        lambda: [
            node("Cast", ["attention_mask"], ["mask"], to=TensorProto.INT32),
            fused("Attention", ["x", "w", "b", "mask"], ["y"], num_heads=4),
        ],
        {"w": QKV, "b": QKV_BIAS},
    ),
    "Attention of lengths, their axis in a typed field": Case(
        lambda: [
            node("Cast", ["attention_mask"], ["mask"], to=TensorProto.INT32),
            node("Constant", [], ["one"], value=helper.make_tensor("axes", TensorProto.INT64, [1], [1])),
            node("ReduceSum", ["mask", "one"], ["lengths"], keepdims=0),
            fused("Attention", ["x", "w", "b", "lengths"], ["y"], num_heads=4),
        ],
        {"w": QKV, "b": QKV_BIAS},
        oldest=17,
    ),
    "Attention without bias and mask, of sizes of its own": Case(
        lambda: [fused("Attention", ["x", "w"], ["y"], num_heads=4, qkv_hidden_sizes=[48, 48, 96], scale=0.3)],
        {"w": QKV},
    ),
    "Attention with scores added": Case(
        lambda: [
            node("Reshape", ["x", "apart"], ["deep"]),
            node("Transpose", ["deep"], ["rows"], perm=[0, 2, 1, 3]),
            fused("FusedMatMul", ["rows", "rows"], ["s"], transB=1, alpha=0.001),
            fused("Attention", ["x", "w", "b", "", "", "s"], ["y"], num_heads=4, unidirectional=1),
        ],
        {"w": QKV, "b": QKV_BIAS, "apart": np.array([0, 0, 1, HIDDEN], np.int64)},
    ),
}  # fmt: skip


def embedding(outputs: list[str], *, places: bool) -> list[Any]:
    inputs = ["ids", "types", "words", "positions", "kinds", "g", "c", "mask", "places" if places else ""]
    return [
        *(
            node("Cast", [name], [short], to=TensorProto.INT32)
            for name, short in (("input_ids", "ids"), ("token_type_ids", "types"), ("attention_mask", "mask"))
        ),
        *([node("CumSum", ["mask", "one"], ["places"])] if places else []),
        fused("EmbedLayerNormalization", inputs, outputs, epsilon=1e-12),
    ]


EMBEDDING: Arrays = {
    "words": TABLE,
    "positions": numbers(10, 32, HIDDEN),
    "kinds": numbers(11, 2, HIDDEN),
    "g": 1 + numbers(12, HIDDEN),
    "c": numbers(13, HIDDEN),
}
CASES |= {
    "EmbedLayerNormalization, lengths of texts": Case(
        lambda: [
            *embedding(["e", "lengths"], places=False),
            fused("Attention", ["e", "w", "b", "lengths"], ["y"], num_heads=4),
        ],
        EMBEDDING | {"w": QKV, "b": QKV_BIAS},
    ),
    "EmbedLayerNormalization, positions and the sum": Case(
        lambda: [
            *embedding(["e", "", "sum"], places=True),
            node("MatMul", ["sum", "w"], ["p"]),
            node("MatMul", ["e", "w"], ["q"]),
            node("Add", ["p", "q"], ["y"]),
        ],
        EMBEDDING | {"w": WEIGHT, "one": np.array(1)},
    ),
}


def write_case(case: Case, path: Path, opset: int = 17) -> None:
    nodes = [node("Gather", ["table", "input_ids"], ["rows" if case.flat else "x"])]
    constants = {"table": TABLE, **case.constants}
    if case.flat:
        constants["flat"] = np.array([-1, HIDDEN], np.int64)
        nodes.append(node("Reshape", ["rows", "flat"], ["x"]))
    graph = helper.make_graph(
        [*nodes, *case.nodes()],
        "case",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    onnx.save(model, path)


def feed() -> Arrays:
    random = np.random.default_rng(0)
    shape = (len(LENGTHS), max(LENGTHS))
    return {
        "input_ids": random.integers(0, IDS, shape),
        "attention_mask": (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


def unoptimized(path: Path, values: Arrays) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(["y"], values)
    return np.asarray(result)


def relative(values: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest error of a row, by the row's own length."""
    rows, right = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (values, expected))
    return float((np.linalg.norm(rows - right, axis=1) / np.linalg.norm(right, axis=1)).max())


def real_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Without padding, whose rows of attention are nobody's."""
    mask = feed()["attention_mask"].astype(bool)
    return np.asarray(values[mask] if values.ndim == 3 else values[mask.reshape(-1)])


@pytest.mark.parametrize("opset", [12, 17])
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_taken_apart_and_in_8_bits(case: Case, opset: int, tmp_path: Path) -> None:
    source, apart, rounded = (tmp_path / f"{name}.onnx" for name in ("source", "apart", "rounded"))
    write_case(case, source, max(opset, case.oldest))
    exact = run_graph(source, feed())["y"]
    if case.expected is not None:
        x = TABLE[feed()["input_ids"]].astype(np.float64)
        assert relative(exact, case.expected(x.reshape(-1, HIDDEN) if case.flat else x)) < 1e-5
    with read_model(source) as model:
        unfuse(model, smallest=1000)
        fused_operators = {node.operator for node in model.nodes}
        copied(model).write(apart, largest_inline_bytes=1 << 30)
    assert not fused_operators & {"FusedGemm", "Attention", "EmbedLayerNormalization", "Identity"}
    assert relative(real_rows(run_graph(apart, feed())["y"]), real_rows(exact)) < 1e-5
    done = quantize_graph(source, rounded, smallest=1000, single_file=True)
    assert done.products >= 1
    assert (done.kept, done.left) == ((), ())
    near = run_graph(rounded, feed())["y"]
    assert 1e-5 < relative(real_rows(near), real_rows(exact)) < 0.03
    assert relative(real_rows(unoptimized(rounded, feed())), real_rows(near)) < 1e-5


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.flat and "scores" not in name])
def test_neighbours_do_not_matter(name: str, tmp_path: Path) -> None:
    write_case(CASES[name], tmp_path / "source.onnx")
    quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000, single_file=True)
    values = feed()
    together = run_graph(tmp_path / "rounded.onnx", values)["y"]
    # Without a mask padding counts, so it stays.
    lengths = (max(LENGTHS),) * len(LENGTHS) if "without bias and mask" in name else LENGTHS
    for item, length in enumerate(lengths):
        alone = {key: array[item : item + 1, :length] for key, array in values.items()}
        got = run_graph(tmp_path / "rounded.onnx", alone)["y"][0]
        assert np.abs(got - together[item, :length]).max() <= 1e-6 * np.abs(together).max()


@dataclass(frozen=True)
class Left:
    """Operators whose form is not rewritten, beside a product that is.

    Attributes:
        nodes: Makes them; ``z`` is what they give.
        named: What the result names.
        constants: Their constants.
    """

    nodes: Callable[[], list[Any]]
    named: tuple[str, ...]
    constants: Arrays = field(default_factory=dict)


LEFT = {
    "weights of a batch": Left(lambda: [node("MatMul", ["x", "three"], ["z"])], ("MatMul z",), {"three": WEIGHT[None]}),
    "a weight on the left": Left(
        lambda: [node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]), node("MatMul", ["left", "turned"], ["z"])],
        ("MatMul z",),
        {"left": WEIGHT.T.copy()},
    ),
    "attention with a mask of unknown form": Left(
        lambda: [
            node("Cast", ["attention_mask"], ["numbers"], to=TensorProto.INT32),
            node("Add", ["numbers", "none"], ["mask"]),
            fused("Attention", ["x", "qkv", "qkv_bias", "mask"], ["z"], num_heads=4),
        ],
        ("Attention z",),
        {"qkv": QKV, "qkv_bias": QKV_BIAS, "none": np.array(0, np.int32)},
    ),
    "a recurrent layer": Left(
        lambda: [node("GRU", ["x", "wi", "wh"], ["z"], hidden_size=32)],
        ("GRU z",),
        {"wi": numbers(14, 1, 96, HIDDEN), "wh": numbers(15, 1, 96, 32)},
    ),
    "an activation with choices": Left(
        lambda: [
            node("Reshape", ["x", "flat"], ["rows"]),
            fused("FusedGemm", ["rows", "w"], ["z"], activation="LeakyRelu", activation_alpha=0.1),
        ],
        ("FusedGemm z",),
        {"flat": np.array([-1, HIDDEN], np.int64)},
    ),
}


@pytest.mark.parametrize("left", [pytest.param(left, id=name) for name, left in LEFT.items()])
def test_what_is_not_understood_stays_and_is_named(left: Left, tmp_path: Path) -> None:
    case = Case(lambda: [*left.nodes(), node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT, **left.constants})
    write_case(case, tmp_path / "source.onnx", 21)
    done = quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000)
    assert (done.products, done.left) == (1, left.named)
    exact, near = (run_graph(tmp_path / name, feed())["y"] for name in ("source.onnx", "rounded.onnx"))
    assert relative(near, exact) < 0.03


REFUSED: dict[str, tuple[Callable[[], list[Any]], Arrays, str]] = {
    "quantised already": (
        lambda: [
            node("DequantizeLinear", ["w8", "step"], ["w"]),
            node("MatMul", ["x", "w"], ["y"]),
        ],
        {"w8": np.ones((HIDDEN, WIDE), np.int8), "step": np.array(0.1, np.float32)},
        r"is quantised already \(it has the operators DequantizeLinear\)",
    ),
    "half precision": (
        lambda: [
            node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
            node("MatMul", ["half", "w"], ["p"]),
            node("Cast", ["p"], ["y"], to=TensorProto.FLOAT),
        ],
        {"w": WEIGHT.astype(np.float16)},
        "is of half precision",
    ),
    "only a form that is not known": (
        lambda: [node("MatMul", ["x", "w"], ["y"])],
        {"w": WEIGHT[None]},
        r"only in operators that stay in single precision \(MatMul y\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_rewritten_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    nodes, constants, message = REFUSED[name]
    write_case(Case(nodes, constants), tmp_path / "source.onnx")
    with pytest.raises(UnsupportedModelError, match=message):
        quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000)


@pytest.mark.parametrize("opset", [17, 21])
def test_a_graph_in_a_graph(opset: int, tmp_path: Path) -> None:
    branches = {
        name: helper.make_graph(
            [node("MatMul", ["x", "w"], ["inner"])], name, [], [helper.make_tensor_value_info("inner", 1, None)]
        )
        for name in ("then_branch", "else_branch")
    }
    nodes = [
        node("MatMul", ["x", "v"], ["outer"]),
        node("If", ["yes"], ["inner"], **branches),
        node("Add", ["outer", "inner"], ["y"]),
    ]
    case = Case(lambda: nodes, {"w": WEIGHT, "v": numbers(16, HIDDEN, WIDE), "yes": np.array(True)})
    write_case(case, tmp_path / "source.onnx", opset)
    if opset < 21:
        with pytest.raises(UnsupportedModelError, match="the operators If hold graphs of their own"):
            quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000)
        return
    done = quantize_graph(tmp_path / "source.onnx", tmp_path / "rounded.onnx", smallest=1000)
    assert (done.products, done.left) == (1, ("If inner",))
    exact, near = (run_graph(tmp_path / name, feed())["y"] for name in ("source.onnx", "rounded.onnx"))
    assert relative(near, exact) < 0.02

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import GraphFacts, TensorInfo, inspect_graph


def value(name: str, shape: list[int | str | None] | None = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(name: str, count: int = 2) -> Any:
    return numpy_helper.from_array(np.arange(count, dtype=np.float32), name)


def external(name: str, location: str, **place: int) -> Any:
    described = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, entry in {"location": location, **place}.items():
        described.external_data.add(key=key, value=str(entry))
    return described


def model(nodes: list[Any], *, inputs: Any = None, outputs: Any = None, initializers: Any = (), **more: Any) -> Any:
    graph = helper.make_graph(
        nodes,
        "test",
        [value("x", ["batch", 2])] if inputs is None else inputs,
        [value("y", ["batch", 2])] if outputs is None else outputs,
        initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.unused", 1)]
    return helper.make_model(graph, opset_imports=opsets, **more)


def rich_model() -> Any:
    """A model with all that is looked into: subgraphs, functions, tensors in attributes, sparse and external ones."""
    inner = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["b"])], "inner", [], [value("b")], [tensor("deep")])
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["a"], then_branch=inner, else_branch=inner)], "outer", [], [value("a")]
    )
    sparse = helper.make_sparse_tensor(
        tensor("thin", 1), helper.make_tensor("thin_places", TensorProto.INT64, [1], [3]), [8]
    )
    function = helper.make_function(
        "my.ops",
        "Twice",
        ["x"],
        ["y"],
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("Constant", [], ["k"], value=tensor("k")),
        helper.make_node("Constant", [], ["s"], sparse_value=sparse),
        helper.make_node("If", ["c"], ["i"], then_branch=outer, else_branch=outer),
        helper.make_node("Twice", ["x"], ["t"], domain="my.ops"),
        helper.make_node("Gelu", ["t"], ["g"], domain="com.microsoft"),
        helper.make_node("Mul", ["g", "w"], ["y"], domain="ai.onnx"),
    ]
    made = model(
        nodes,
        inputs=[value("x", ["batch", 2]), value("c", [], TensorProto.BOOL), value("w", [2]), value("thin", [8])],
        initializers=[tensor("w"), external("far", "weights/far.bin", offset=4, length=8)],
        functions=[function],
    )
    made.graph.sparse_initializer.append(sparse)
    return made


def save(folder: Path, made: Any, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def put_data(folder: Path, size: int = 12) -> None:
    (folder / "weights").mkdir(exist_ok=True)
    (folder / "weights" / "far.bin").write_bytes(bytes(size))


def test_facts(tmp_path: Path) -> None:
    put_data(tmp_path)
    assert inspect_graph(save(tmp_path, rich_model())) == GraphFacts(
        inputs=(TensorInfo("x", TensorProto.FLOAT, ("batch", 2)), TensorInfo("c", TensorProto.BOOL, ())),
        outputs=(TensorInfo("y", TensorProto.FLOAT, ("batch", 2)),),
        operators=frozenset(
            {
                ("", "Constant"),
                ("", "If"),
                ("", "Sigmoid"),
                ("", "Add"),
                ("", "Mul"),
                ("my.ops", "Twice"),
                ("com.microsoft", "Gelu"),
            }
        ),
        external_data=("weights/far.bin",),
        opset=17,
    )


def test_shapes_and_types(tmp_path: Path) -> None:
    outputs = [
        value("unknown rank"),
        value("no sizes", [None, "n", 3], TensorProto.FLOAT16),
        helper.make_tensor_sequence_value_info("a list", TensorProto.FLOAT, [1]),
        value("negative", [-1], TensorProto.INT64),
    ]
    assert inspect_graph(save(tmp_path, model([], outputs=outputs))).outputs == (
        TensorInfo("unknown rank", 1, None),
        TensorInfo("no sizes", 10, (None, "n", 3)),
        TensorInfo("a list", 0, None),
        TensorInfo("negative", 7, (-1,)),
    )


@pytest.mark.parametrize(
    ("operator", "domain", "expected"),
    [
        ("DynamicQuantizeLinear", "", True),
        ("MatMulInteger", "", True),
        ("ConvInteger", "", True),
        ("DynamicQuantizeMatMul", "com.microsoft", True),
        ("DynamicQuantizeLSTM", "com.microsoft", True),
        ("MatMulIntegerToFloat", "com.microsoft", True),
        ("MatMulNBits", "com.microsoft", False),
        ("QuantizeLinear", "", False),
    ],
)
def test_dynamically_quantized(tmp_path: Path, operator: str, domain: str, expected: bool) -> None:
    made = model([helper.make_node(operator, ["x"], ["y"], domain=domain)])
    assert inspect_graph(save(tmp_path, made)).dynamically_quantized is expected


def test_a_file_without_opset(tmp_path: Path) -> None:
    made = model([])
    made.ClearField("opset_import")
    assert inspect_graph(save(tmp_path, made)).opset == 0


def test_data_that_is_still_to_be_fetched(tmp_path: Path) -> None:
    path = save(tmp_path, rich_model())
    with pytest.raises(ModelError, match=r"weights/far\.bin.*not in its folder"):
        inspect_graph(path)
    assert inspect_graph(path, require_external_data=False).external_data == ("weights/far.bin",)


def test_locations_in_their_shortest_form_each_once(tmp_path: Path) -> None:
    put_data(tmp_path)
    tensors = [external("a", "./weights//far.bin"), external("b", "weights/far.bin", offset=0, length=12)]
    path = save(tmp_path, model([], initializers=tensors))
    assert inspect_graph(path).external_data == ("weights/far.bin",)


def test_large_weights_are_stepped_over(tmp_path: Path) -> None:
    large = TensorProto(name="large", data_type=TensorProto.FLOAT, dims=[8_000_000], raw_data=bytes(32_000_000))
    path = save(tmp_path, model([helper.make_node("Relu", ["x"], ["y"])], initializers=[large]))
    started = time.perf_counter()
    assert inspect_graph(path).operators == {("", "Relu")}
    # Touching each byte once in Python would take seconds, and copying them tens of milliseconds.
    assert time.perf_counter() - started < 0.5


def test_what_the_runtime_reads_as_well(tmp_path: Path) -> None:
    """The reader agrees with protobuf on fields that come twice, unknown fields and numbers in long spelling."""
    node = helper.make_node("Relu", ["x"], ["y"])
    parsed = onnx.NodeProto()
    # The domain twice (the last one counts), once with a length spelled in two bytes, once as a number (ignored).
    twice = node.SerializeToString() + b"\x3a\x04evil" + b"\x3a\x8d\x00com.microsoft" + b"\x38\x05" + b"\xfa\x3e\x01?"
    parsed.ParseFromString(twice)
    assert parsed.domain == "com.microsoft"
    made = model([]).SerializeToString()
    graph = b"\x0a" + bytes([len(twice)]) + twice
    # The graph in two parts, which protobuf merges.
    path = tmp_path / "model.onnx"
    path.write_bytes(made + b"\x3a" + bytes([len(graph)]) + graph)
    assert [n.domain for n in onnx.load(path).graph.node] == ["com.microsoft"]
    facts = inspect_graph(path)
    assert facts.operators == {("com.microsoft", "Relu")}
    assert [output.name for output in facts.outputs] == ["y"]


RICH = rich_model().SerializeToString()


@settings(max_examples=300, deadline=2000)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), max_size=6),
    end=st.one_of(st.just(len(RICH)), st.integers(0, len(RICH))),
    insertion=st.binary(max_size=12),
    place=st.integers(0, len(RICH)),
)
def test_damaged_files(edits: list[tuple[int, int]], end: int, insertion: bytes, place: int) -> None:
    damaged = bytearray(RICH[:end])
    for position, byte in edits:
        if position < len(damaged):
            damaged[position] = byte
    damaged[place:place] = insertion
    _inspect_or_refuse(bytes(damaged))


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=200))
def test_random_bytes(content: bytes) -> None:
    _inspect_or_refuse(content)


def _inspect_or_refuse(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        put_data(Path(folder))
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        try:
            facts = inspect_graph(path)
        except ModelError as error:
            assert str(path) in str(error)  # noqa: PT017 - either end is right
        else:
            assert facts.outputs

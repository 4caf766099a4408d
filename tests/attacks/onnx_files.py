"""ONNX files that must be refused, each with what its refusal has to say."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.protobuf import MessageWriter


@dataclass(frozen=True)
class Attack:
    """A file, or a folder's files, that must be refused.

    Attributes:
        name: What is wrong.
        content: The bytes of the file.
        told: A pattern that the refusal matches.
        error: The kind of refusal.
        file_name: The file's name.
        beside: Other files in the folder, by name.
    """

    name: str
    content: Callable[[], bytes]
    told: str
    error: type[ModelError] = UnsafeModelError
    file_name: str = "model.onnx"
    beside: tuple[tuple[str, bytes], ...] = ()


def _model(*nodes: NodeProto, tensors: tuple[TensorProto, ...] = (), **more: Any) -> ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    nodes = nodes or (helper.make_node("Relu", ["x"], ["y"]),)
    return helper.make_model(helper.make_graph(nodes, "attack", [x], [y], tensors), **more)


def _subgraph(*nodes: NodeProto, tensors: tuple[TensorProto, ...] = ()) -> GraphProto:
    return helper.make_graph(nodes, "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])], tensors)


def _if(branch: GraphProto) -> NodeProto:
    return helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)


def _external(*entries: tuple[str, str], flagged: bool = True) -> TensorProto:
    tensor = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[2])
    if flagged:
        tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries:
        tensor.external_data.add(key=key, value=value)
    return tensor


def _node(operator: str, domain: str) -> NodeProto:
    return helper.make_node(operator, ["x"], ["y"], domain=domain)


def _in_function() -> bytes:
    function = helper.make_function(
        "safe.looking", "Wrap", ["x"], ["y"], [_node("Run", "evil")], [helper.make_opsetid("evil", 1)]
    )
    return bytes(_model(_node("Wrap", "safe.looking"), functions=[function]).SerializeToString())


def _named_as_function() -> bytes:
    function = helper.make_function("vendor", "EPContext", ["x"], ["y"], [_node("Relu", "")], [])
    return bytes(_model(_node("EPContext", "vendor"), functions=[function]).SerializeToString())


def _nested(depth: int) -> bytes:
    """Graphs in attributes of nodes in graphs; protobuf itself would not write this many."""
    graph = MessageWriter().message(1, MessageWriter().text(4, "Relu"))
    for _ in range(depth):
        attribute = MessageWriter().message(6, graph)
        graph = MessageWriter().message(1, MessageWriter().text(4, "If").message(5, attribute))
    written = io.BytesIO()
    MessageWriter().message(7, graph).write_to(written)
    return _SOUND() + written.getvalue()


def _without_outputs() -> bytes:
    model = _model()
    del model.graph.output[:]
    return bytes(model.SerializeToString())


def _at(*locations: str) -> Callable[[], bytes]:
    """A tensor in another file, or in several at once."""
    return lambda: bytes(_model(tensors=(_external(*(("location", one) for one in locations)),)).SerializeToString())


def _placed(**place: str) -> Callable[[], bytes]:
    entries = (("location", "data.bin"), *place.items())
    return lambda: bytes(_model(tensors=(_external(*entries),)).SerializeToString())


def _of(model: Callable[[], ModelProto]) -> Callable[[], bytes]:
    return lambda: bytes(model().SerializeToString())


_DATA = (("data.bin", bytes(8)),)
_OUTSIDE = "not the name of a file in the model's folder"

OPERATORS = (
    Attack("custom operator", _of(lambda: _model(_node("Run", "evil.ops"))), r"'Run' of the domain 'evil\.ops'"),
    Attack("python operator", _of(lambda: _model(_node("PyOp", "ai.onnx.contrib"))), r"ai\.onnx\.contrib"),
    Attack("almost an allowed domain", _of(lambda: _model(_node("Relu", "com.microsoft "))), "'com.microsoft '"),
    Attack("custom operator in a subgraph", _of(lambda: _model(_if(_subgraph(_node("Run", "evil"))))), "'evil'"),
    Attack(
        "custom operator two subgraphs down",
        _of(lambda: _model(_if(_subgraph(_if(_subgraph(_node("Run", "evil"))))))),
        "'evil'",
    ),
    Attack(
        "custom operator in a list of graphs",
        _of(lambda: _model(helper.make_node("Scan", ["x"], ["y"], bodies=[_subgraph(_node("Run", "evil"))]))),
        "'evil'",
    ),
    Attack("custom operator in a function", _in_function, "'Run' of the domain 'evil'"),
    Attack("compiled context", _of(lambda: _model(_node("EPContext", "com.microsoft"))), "EPContext"),
    Attack("compiled context in a subgraph", _of(lambda: _model(_if(_subgraph(_node("EPContext", ""))))), "EPContext"),
    Attack("compiled context as a function", _named_as_function, "EPContext"),
)

LOCATIONS = tuple(
    Attack(f"data at {locations!r}", _at(*locations), told)
    for locations, told in (
        (("/etc/passwd",), _OUTSIDE),
        (("../secret",), _OUTSIDE),
        (("a/../../secret",), _OUTSIDE),
        (("a/../b",), _OUTSIDE),
        (("..\\secret",), _OUTSIDE),
        (("\\\\host\\share",), _OUTSIDE),
        (("C:\\secret",), _OUTSIDE),
        (("c:secret",), _OUTSIDE),
        (("",), _OUTSIDE),
        ((".",), _OUTSIDE),
        (("a\0b",), _OUTSIDE),
        (("*/_ORT_MEM_ADDR_/*",), _OUTSIDE),
        (("data.bin", "../secret"), _OUTSIDE),
        (("../secret", "data.bin"), _OUTSIDE),
        (("data.bin", "other.bin"), "several data files"),
        ((), _OUTSIDE),
    )
)

PLACES = (
    Attack(
        "data outside, not flagged as such",
        _of(lambda: _model(tensors=(_external(("location", "../secret"), flagged=False),))),
        _OUTSIDE,
    ),
    Attack(
        "data outside, of a constant",
        _of(lambda: _model(helper.make_node("Constant", [], ["y"], value=_external(("location", "/secret"))))),
        _OUTSIDE,
    ),
    Attack(
        "data outside, of a subgraph",
        _of(lambda: _model(_if(_subgraph(_node("Relu", ""), tensors=(_external(("location", "../s")),))))),
        _OUTSIDE,
    ),
    Attack("negative offset", _placed(offset="-1"), "offset .*below 0", beside=_DATA),
    Attack("negative length", _placed(length="-8"), "length .*below 0", beside=_DATA),
    Attack(
        "second offset negative",
        _of(lambda: _model(tensors=(_external(("location", "data.bin"), ("offset", "0"), ("offset", "-4")),))),
        "below 0",
        beside=_DATA,
    ),
    Attack("offset past the end", _placed(offset="9"), "which has 8", beside=_DATA),
    Attack("length past the end", _placed(offset="4", length="5"), "5 bytes from byte 4", beside=_DATA),
    Attack("offset that overflows", _placed(offset="9223372036854775807"), "which has 8", beside=_DATA),
    Attack("offset that is text", _placed(offset="1e3"), "expected a number", ModelError, beside=_DATA),
    Attack("offset of endless digits", _placed(offset="9" * 5000), "expected a number", ModelError, beside=_DATA),
    Attack("data missing", _placed(length="8"), "'data.bin', which is not in its folder", ModelError),
)

_SOUND = _of(_model)
_DAMAGED = "not a valid ONNX file"

DAMAGED = (
    Attack("empty", lambda: b"", "it is empty", ModelError),
    Attack("cut short", lambda: _SOUND()[:-3], _DAMAGED, ModelError),
    Attack("text", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", _DAMAGED, ModelError),
    Attack("web page", lambda: b"<!DOCTYPE html><html>not found</html>", _DAMAGED, ModelError),
    Attack("no graph", lambda: b"\x08\x08", "it holds no graph", ModelError),
    Attack("no output", _without_outputs, "no output", ModelError),
    Attack("nested very deeply", lambda: _nested(5000), "nested deeper than 32", ModelError),
    Attack("nested too deeply", lambda: _nested(33), "nested deeper than 32", ModelError),
    Attack("field numbered 0", lambda: _SOUND() + b"\x02\x00", "numbered 0", ModelError),
    Attack("group", lambda: _SOUND() + b"\x0b\x0c", "wire type 3", ModelError),
    Attack("endless number", lambda: _SOUND() + b"\x08" + b"\xff" * 11, "more than 10 bytes", ModelError),
    Attack("field past the end", lambda: _SOUND() + b"\x3a\xff\xff\xff\xff\xff\x7f", "are left", ModelError),
    Attack("own format by name", _SOUND, r"\.ort", ModelError, file_name="model.ort"),
    Attack("own format by mark", lambda: b"\x22\x08\x00\x00ORTM\x00\x00" + _SOUND(), r"\.ort", ModelError),
)

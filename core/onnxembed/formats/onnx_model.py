"""A whole ONNX model as data, to be rewritten: nodes, constants, inputs and outputs.

Only the wire format and the few fields that a rewrite looks at are understood; everything else is carried along as the
bytes it came in. Constants are read when they are asked for, one at a time.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.onnx_graph import GraphFacts, inspect_graph
from onnxembed.formats.protobuf import BYTES, FIXED32, VARINT, WireReader, signed64

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Element types that a constant is read as, by ONNX's number.
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
# Where values stand that are not raw bytes: the field and how each is packed.
_FLOAT_DATA, _INT32_DATA, _INT64_DATA = 4, 5, 7


@dataclass(frozen=True, slots=True)
class Node:
    """An operator.

    Attributes:
        operator: Its name.
        domain: Its domain; ONNX's own is empty.
        inputs: Names of the values it takes; an empty one is left out.
        outputs: Names of the values it makes.
        attributes: Each attribute's name, and its message as it is stored.
        message: The whole node as it is stored; empty for a node that was made here.
    """

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, bytes] = field(default_factory=dict)
    message: bytes = b""

    @property
    def has_graphs(self) -> bool:
        """Whether an attribute holds a graph, which may use any value of this one."""
        return any(_holds_graph(message) for message in self.attributes.values())

    def whole(self, name: str, default: int) -> int:
        """Read a whole number among the attributes."""
        for number, wire_type, first, _ in self._fields(name):
            if number == schema.ATTRIBUTE_I and wire_type == VARINT:
                return signed64(first)
        return default

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """Read a list of whole numbers among the attributes; ``None`` where there is none of that name."""
        if name not in self.attributes:
            return None
        return tuple(_integers(self.attributes[name], schema.ATTRIBUTE_INTS))

    def real(self, name: str, default: float) -> float:
        """Read a number among the attributes."""
        for number, wire_type, first, last in self._fields(name):
            if number == schema.ATTRIBUTE_F and wire_type == FIXED32:
                (value,) = struct.unpack("<f", self.attributes[name][first:last])
                return float(value)
        return default

    def text(self, name: str) -> str:
        """Read a text among the attributes; empty where there is none of that name."""
        for number, wire_type, first, last in self._fields(name):
            if number == schema.ATTRIBUTE_S and wire_type == BYTES:
                return self.attributes[name][first:last].decode("utf-8", "replace")
        return ""

    def _fields(self, name: str) -> Iterator[tuple[int, int, int, int]]:
        message = self.attributes.get(name, b"")
        return WireReader(message, name).fields(0, len(message))


@dataclass(frozen=True, slots=True)
class Constant:
    """A stored value.

    Attributes:
        shape: Its dimensions.
        element_type: ONNX's number of its type.
        data: Where its numbers are.
    """

    shape: tuple[int, ...]
    element_type: int
    data: _Data | Made

    @property
    def is_float32(self) -> bool:
        """Whether its numbers are of single precision."""
        return self.element_type == 1

    @property
    def is_half(self) -> bool:
        """Whether its numbers are of half precision, of either kind."""
        return self.element_type in (10, 16)

    @property
    def type_name(self) -> str:
        """Its type as numpy calls it."""
        return self._kind.name

    @property
    def _kind(self) -> np.dtype[Any]:
        import numpy as np

        kind = _TYPES.get(self.element_type)
        if kind is None:
            raise UnsupportedModelError(
                f"{self.data.where}: a constant has the ONNX element type {self.element_type}, which is not rewritten; "
                "use precision='fp32'"
            )
        return np.dtype(kind)

    def array(self) -> NDArray[Any]:
        """Read it; a view of the mapped file where that is possible."""
        values = self.data.values(self._kind)
        if values.size != prod(self.shape):
            raise ModelError(
                f"{self.data.where}: a constant of shape {list(self.shape)} has {values.size} numbers; fetch it again"
            )
        return values.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class _Data:
    """Where the numbers of a constant are: a part of a buffer, raw or as one of the typed fields."""

    where: str
    buffer: bytes | mmap.mmap
    first: int
    last: int
    field: int = schema.TENSOR_RAW_DATA

    def values(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        import numpy as np

        if self.field == schema.TENSOR_RAW_DATA:
            if (self.last - self.first) % dtype.itemsize:
                raise ModelError(f"{self.where}: a constant ends inside of a number; fetch the file again")
            return np.frombuffer(self.buffer, dtype, (self.last - self.first) // dtype.itemsize, self.first)
        message = self.buffer[self.first : self.last]
        if self.field == _FLOAT_DATA:
            return np.array(_floats(message), dtype)
        return np.array(list(_integers(message, self.field)), dtype)


@dataclass(frozen=True, slots=True)
class Made:
    """The numbers of a constant that a rewrite makes, each time they are asked for.

    Attributes:
        where: What messages name.
        make: Makes them.
    """

    where: str
    make: Callable[[], NDArray[Any]]

    def values(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Give the numbers in the shape they are made in."""
        import numpy as np

        return np.asarray(self.make(), dtype)


@dataclass(slots=True)
class Model:
    """A model to be rewritten.

    Attributes:
        path: Its file.
        facts: What `inspect_graph` says of it.
        nodes: Its operators in order.
        constants: Its stored values by name.
        inputs: The messages of its inputs, constants aside.
        outputs: Those of its outputs.
    """

    path: Path
    facts: GraphFacts
    nodes: list[Node]
    constants: dict[str, Constant]
    inputs: list[bytes]
    outputs: list[bytes]


@contextmanager
def read_model(path: Path) -> Iterator[Model]:
    """Read a model; its constants may be read while the context lasts.

    One that asks for code or for files outside its folder is an `UnsafeModelError`, a damaged one a `ModelError`, one
    with functions of its own or sparse constants an `UnsupportedModelError`.
    """
    facts = inspect_graph(path)
    with _Buffers(path) as buffers:
        yield _read(path, facts, buffers)


class _Buffers:
    """The mapped files of a model."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._name = path.name
        self._open: dict[str, mmap.mmap] = {}

    def __enter__(self) -> _Buffers:
        return self

    def __exit__(self, *_: object) -> None:
        # Arrays that are still in use keep their file mapped.
        self._open.clear()

    def main(self) -> mmap.mmap:
        return self.of(self._name)

    def of(self, name: str) -> mmap.mmap:
        if name not in self._open:
            with (self._folder / name).open("rb") as file:
                self._open[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._open[name]


def _read(path: Path, facts: GraphFacts, buffers: _Buffers) -> Model:
    buffer = buffers.main()
    reader = WireReader(buffer, str(path))
    model = Model(path, facts, [], {}, [], [])
    for number, wire_type, first, last in reader.fields(0, len(buffer)):
        if number == schema.MODEL_FUNCTIONS and wire_type == BYTES:
            raise UnsupportedModelError(f"{path} defines operators of its own, which are not rewritten")
        if number == schema.MODEL_GRAPH and wire_type == BYTES:
            for part, part_type, start, end in reader.fields(first, last):
                if part_type == BYTES:
                    _take(model, reader, buffers, part, (start, end))
    # Before version 4 of the format constants are listed among the inputs; as constants nobody has to feed them.
    model.inputs[:] = [message for message in model.inputs if _value_name(message) not in model.constants]
    _take_constant_nodes(path, model, buffers)
    return model


def _take(model: Model, reader: WireReader, buffers: _Buffers, part: int, place: tuple[int, int]) -> None:
    """Take one part of a graph."""
    buffer, (start, end) = buffers.main(), place
    if part == schema.GRAPH_NODE:
        model.nodes.append(_node(reader, buffer, start, end))
    elif part == schema.GRAPH_INITIALIZER:
        name, constant = _constant(model.path, buffers, buffer, start, end)
        model.constants[name] = constant
    elif part == schema.GRAPH_INPUT:
        model.inputs.append(buffer[start:end])
    elif part == schema.GRAPH_OUTPUT:
        model.outputs.append(buffer[start:end])
    elif part == schema.GRAPH_SPARSE_INITIALIZER:
        raise UnsupportedModelError(f"{model.path} holds sparse constants, which are not rewritten")


def _node(reader: WireReader, buffer: mmap.mmap, start: int, end: int) -> Node:
    texts: dict[int, list[str]] = {
        number: [] for number in (schema.NODE_INPUT, schema.NODE_OUTPUT, schema.NODE_OP_TYPE, schema.NODE_DOMAIN)
    }
    attributes: dict[str, bytes] = {}
    for number, wire_type, first, last in reader.fields(start, end):
        if wire_type != BYTES:
            continue
        if number in texts:
            texts[number].append(reader.text(first, last))
        elif number == schema.NODE_ATTRIBUTE:
            message = buffer[first:last]
            attributes[_attribute_name(message)] = message
    domain = "".join(texts[schema.NODE_DOMAIN][-1:])
    return Node(
        operator="".join(texts[schema.NODE_OP_TYPE][-1:]),
        domain="" if domain == "ai.onnx" else domain,
        inputs=tuple(texts[schema.NODE_INPUT]),
        outputs=tuple(texts[schema.NODE_OUTPUT]),
        attributes=attributes,
        message=buffer[start:end],
    )


def _constant(path: Path, buffers: _Buffers, buffer: bytes | mmap.mmap, start: int, end: int) -> tuple[str, Constant]:
    """Read where the values of a tensor are."""
    reader = WireReader(buffer, str(path))
    name, element_type, shape = "", 0, []
    entries: dict[str, str] = {}
    data = _Data(str(path), buffer, start, start)
    for number, wire_type, first, last in reader.fields(start, end):
        if number == schema.TENSOR_DIMS:
            shape += [signed64(first)] if wire_type == VARINT else list(_packed(buffer[first:last]))
        elif number == schema.TENSOR_DATA_TYPE and wire_type == VARINT:
            element_type = first
        elif number == schema.TENSOR_NAME and wire_type == BYTES:
            name = reader.text(first, last)
        elif number == schema.TENSOR_RAW_DATA and wire_type == BYTES:
            data = _Data(str(path), buffer, first, last)
        elif number in (_FLOAT_DATA, _INT32_DATA, _INT64_DATA):
            data = _Data(str(path), buffer, start, end, number)
        elif number == schema.TENSOR_EXTERNAL_DATA and wire_type == BYTES:
            key, value = _entry(reader, first, last)
            entries[key] = value
    if entries:
        # `inspect_graph` has checked that the file is inside the folder, and the numbers.
        outside = buffers.of(entries["location"])
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", len(outside) - offset))
        data = _Data(str(path), outside, offset, offset + length)
    return name, Constant(tuple(shape), element_type, data)


def _take_constant_nodes(path: Path, model: Model, buffers: _Buffers) -> None:
    """Treat ``Constant`` operators that hold a tensor as the constants they are."""
    kept = []
    for node in model.nodes:
        message = node.attributes.get("value") if node.operator == "Constant" and node.domain == "" else None
        tensors = (
            []
            if message is None
            else [
                (first, last)
                for number, wire_type, first, last in WireReader(message, str(path)).fields(0, len(message))
                if number == schema.ATTRIBUTE_TENSOR and wire_type == BYTES
            ]
        )
        if message is None or len(tensors) != 1:
            kept.append(node)
            continue
        _, constant = _constant(path, buffers, message, *tensors[0])
        model.constants[node.outputs[0]] = constant
    model.nodes[:] = kept


def _attribute_name(message: bytes) -> str:
    return _name_in(message, schema.ATTRIBUTE_NAME, "an attribute")


def _value_name(message: bytes) -> str:
    return _name_in(message, schema.VALUE_NAME, "a value")


def _name_in(message: bytes, wanted: int, what: str) -> str:
    reader = WireReader(message, what)
    names = [
        reader.text(first, last)
        for number, wire_type, first, last in reader.fields(0, len(message))
        if number == wanted and wire_type == BYTES
    ]
    return "".join(names[-1:])


def _holds_graph(message: bytes) -> bool:
    return any(
        number in schema.ATTRIBUTE_GRAPHS and wire_type == BYTES
        for number, wire_type, _, _ in WireReader(message, "an attribute").fields(0, len(message))
    )


def _entry(reader: WireReader, start: int, end: int) -> tuple[str, str]:
    texts = {
        number: reader.text(first, last)
        for number, wire_type, first, last in reader.fields(start, end)
        if wire_type == BYTES
    }
    return texts.get(schema.ENTRY_KEY, ""), texts.get(schema.ENTRY_VALUE, "")


def _integers(message: bytes, wanted: int) -> Iterator[int]:
    """The whole numbers of a repeated field, packed or not."""
    for number, wire_type, first, last in WireReader(message, "a list").fields(0, len(message)):
        if number == wanted:
            yield from [signed64(first)] if wire_type == VARINT else _packed(message[first:last])


def _packed(content: bytes) -> Iterator[int]:
    value, shift = 0, 0
    for byte in content:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield signed64(value)
            value, shift = 0, 0


def _floats(message: bytes) -> list[float]:
    found: list[float] = []
    for number, wire_type, first, last in WireReader(message, "a list").fields(0, len(message)):
        if number == _FLOAT_DATA and wire_type in (BYTES, FIXED32):
            found += struct.unpack(f"<{(last - first) // 4}f", message[first:last])
    return found

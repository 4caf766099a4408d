"""Steps through an ONNX file and notes what its safety and its use depend on; the weights are stepped over."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.protobuf import BYTES, VARINT, WireReader, signed64

_MAX_GRAPH_DEPTH = 32
"""Protobuf itself gives up at 100 nested messages, which is 33 nested graphs."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        element_type: ONNX's number of the element type (1 is float32, 7 int64, 10 float16); 0 when it is no tensor.
        shape: Each dimension's size, its name where it varies, or ``None``; ``None`` when not even the rank is stated.
    """

    name: str
    element_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class ExternalTensor:
    """A tensor that lies in another file; a key of its entries, which say where, can come more than once."""

    name: str
    entries: tuple[tuple[str, str], ...]

    def values(self, key: str) -> list[str]:
        """Every value given for a key."""
        return [value for name, value in self.entries if name == key]


class GraphReader:
    """Steps through a model's messages and notes what matters."""

    def __init__(self, reader: WireReader) -> None:
        self._reader = reader
        self.has_graph = False
        self.opset = 0  # of ONNX's own operators; 0 when the file does not say
        self.inputs: list[TensorInfo] = []  # those with a stored value included
        self.outputs: list[TensorInfo] = []
        self.initializers: set[str] = set()
        # (domain, operator) in the graph, its subgraphs and functions, and those that the model itself spells out.
        self.operators: set[tuple[str, str]] = set()
        self.functions: set[tuple[str, str]] = set()
        self.external_tensors: list[ExternalTensor] = []

    def read(self, size: int) -> None:
        """Read a model of so many bytes; a `ModelError` says that they are none, end too early, or nest too deeply."""
        for number, wire_type, first, last in self._reader.fields(0, size):
            if wire_type != BYTES:
                continue
            if number == schema.MODEL_GRAPH:
                self.has_graph = True  # one that comes twice is merged by protobuf, hence walked twice here
                self._graph(first, last, 0)
            elif number == schema.MODEL_OPSET_IMPORT:
                self._opset_import(first, last)
            elif number == schema.MODEL_FUNCTIONS:
                self._function(first, last)

    def _opset_import(self, start: int, end: int) -> None:
        domain, version = "", 0
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == schema.OPSET_DOMAIN and wire_type == BYTES:
                domain = self._reader.text(first, last)
            elif number == schema.OPSET_VERSION and wire_type == VARINT:
                version = signed64(first)
        if _canonical(domain) == "":
            self.opset = version

    def _function(self, start: int, end: int) -> None:
        name, domain = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == schema.FUNCTION_NODE:
                self._node(first, last, 0)
            elif number == schema.FUNCTION_ATTRIBUTE:
                self._attribute(first, last, 0)
            elif number == schema.FUNCTION_NAME:
                name = self._reader.text(first, last)
            elif number == schema.FUNCTION_DOMAIN:
                domain = self._reader.text(first, last)
        self.functions.add((_canonical(domain), name))

    def _graph(self, start: int, end: int, depth: int) -> None:
        if depth > _MAX_GRAPH_DEPTH:
            raise self._reader.malformed(start, f"graphs nested deeper than {_MAX_GRAPH_DEPTH}")
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == schema.GRAPH_NODE:
                self._node(first, last, depth)
            elif number == schema.GRAPH_INITIALIZER:
                name = self._tensor(first, last)
                if depth == 0:
                    self.initializers.add(name)
            elif number == schema.GRAPH_SPARSE_INITIALIZER:
                self._sparse_tensor(first, last)
            elif depth == 0 and number == schema.GRAPH_INPUT:
                self.inputs.append(self._value_info(first, last))
            elif depth == 0 and number == schema.GRAPH_OUTPUT:
                self.outputs.append(self._value_info(first, last))

    def _node(self, start: int, end: int, depth: int) -> None:
        domain, operator = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == schema.NODE_OP_TYPE:
                operator = self._reader.text(first, last)
            elif number == schema.NODE_DOMAIN:
                domain = self._reader.text(first, last)
            elif number == schema.NODE_ATTRIBUTE:
                self._attribute(first, last, depth)
        self.operators.add((_canonical(domain), operator))

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number in schema.ATTRIBUTE_TENSORS:
                self._tensor(first, last)
            elif number in schema.ATTRIBUTE_GRAPHS:
                self._graph(first, last, depth + 1)
            elif number in schema.ATTRIBUTE_SPARSE_TENSORS:
                self._sparse_tensor(first, last)

    def _sparse_tensor(self, start: int, end: int) -> None:
        """Read a sparse tensor; its name is that of its values."""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number in schema.SPARSE_TENSOR_PARTS:
                self.initializers.add(self._tensor(first, last))

    def _tensor(self, start: int, end: int) -> str:
        """Read what a tensor says of itself, stepping over its values; return its name."""
        name, external = "", False
        entries: list[tuple[str, str]] = []
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES:
                if number == schema.TENSOR_NAME:
                    name = self._reader.text(first, last)
                elif number == schema.TENSOR_EXTERNAL_DATA:
                    entries.append(self._entry(first, last))
            elif number == schema.TENSOR_DATA_LOCATION and wire_type == VARINT:
                external = external or first & 0xFFFFFFFF == schema.DATA_LOCATION_EXTERNAL  # enums have 32 bits
        # Either sign counts: protobuf merges a tensor that comes in two parts, and the signs may be spread over both.
        if external or entries:
            self.external_tensors.append(ExternalTensor(name, tuple(entries)))
        return name

    def _entry(self, start: int, end: int) -> tuple[str, str]:
        key, value = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number == schema.ENTRY_KEY:
                key = self._reader.text(first, last)
            elif wire_type == BYTES and number == schema.ENTRY_VALUE:
                value = self._reader.text(first, last)
        return key, value

    def _value_info(self, start: int, end: int) -> TensorInfo:
        name, element_type = "", 0
        shape: tuple[int | str | None, ...] | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number == schema.VALUE_NAME:
                name = self._reader.text(first, last)
            elif wire_type == BYTES and number == schema.VALUE_TYPE:
                for type_number, type_wire, type_first, type_last in self._reader.fields(first, last):
                    if type_number == schema.TYPE_TENSOR and type_wire == BYTES:
                        element_type, shape = self._tensor_type(type_first, type_last)
        return TensorInfo(name, element_type, shape)

    def _tensor_type(self, start: int, end: int) -> tuple[int, tuple[int | str | None, ...] | None]:
        element_type = 0
        shape: tuple[int | str | None, ...] | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == schema.TENSOR_TYPE_ELEMENT and wire_type == VARINT:
                element_type = first
            elif number == schema.TENSOR_TYPE_SHAPE and wire_type == BYTES:
                shape = tuple(
                    self._dimension(size_first, size_last)
                    for size_number, size_wire, size_first, size_last in self._reader.fields(first, last)
                    if size_number == schema.SHAPE_DIMENSION and size_wire == BYTES
                )
        return element_type, shape

    def _dimension(self, start: int, end: int) -> int | str | None:
        size: int | str | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == schema.DIMENSION_VALUE and wire_type == VARINT:
                size = signed64(first)
            elif number == schema.DIMENSION_NAME and wire_type == BYTES:
                size = self._reader.text(first, last)
        return size


def _canonical(domain: str) -> str:
    """ONNX's own domain has two spellings."""
    return "" if domain == "ai.onnx" else domain

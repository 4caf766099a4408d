"""An ONNX file without its large tensors, which are said to lie where they do lie: inside that very file.

ONNX Runtime parses a file with weights in it into memory and copies them out of there, which takes 90 MB of weights a
tenth of a second and three times their size. Given the outline, it maps them, as it does with weights beside a graph.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from onnxembed.errors import ModelError
from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.onnx_graph import mapped_graph
from onnxembed.formats.protobuf import BYTES, VARINT, MessageWriter, WireReader

# Smaller ones stay in the outline.
_LARGE_BYTES = 64 * 1024
# A file whose large tensors are smaller than this altogether loads fast enough as it is.
LEAST_BYTES = 8 * 1024 * 1024
_FLOAT, _UINT8, _INT8 = 1, 2, 3
# Tensors in a message begin at any byte. These operators copy their weights or load them so; others might not.
_READ_ANYWHERE = frozenset({"MatMul", "Gemm", "Gather"})
_Field = tuple[int, int, int, int]


def outline(path: Path) -> bytes | None:
    """Give the outline of a file, whose data file is the file itself by its last name; ``None`` where nothing is won.

    That is so of small files, and of graphs with graphs inside, which may read any tensor.
    """
    with mapped_graph(path) as buffer:
        reader = WireReader(buffer, str(path))
        try:
            return _Outline(reader, buffer, path.name).of(len(buffer))
        except ModelError:
            return None  # ONNX Runtime's loading says what is wrong with the file


class _Outline:
    def __init__(self, reader: WireReader, buffer: bytes | mmap.mmap, location: str) -> None:
        self._reader = reader
        self._buffer = buffer
        self._location = location
        self._moved = 0

    def of(self, size: int) -> bytes | None:
        written = MessageWriter()
        for field in self._reader.fields(0, size):
            number, wire_type, first, last = field
            if number == schema.MODEL_GRAPH and wire_type == BYTES:
                graph = self._graph(first, last)
                if graph is None:
                    return None
                written.message(number, graph)
            elif number == schema.MODEL_FUNCTIONS or not self._copied(written, field):
                return None
        return written.tobytes() if self._moved >= LEAST_BYTES else None

    def _graph(self, start: int, end: int) -> MessageWriter | None:
        fields = list(self._reader.fields(start, end))
        readers: dict[str, set[str]] = {}
        for number, wire_type, first, last in fields:
            if number == schema.GRAPH_NODE and wire_type == BYTES and not self._node(first, last, readers):
                return None
        written = MessageWriter()
        for field in fields:
            number, wire_type, first, last = field
            if number == schema.GRAPH_INITIALIZER and wire_type == BYTES and last - first > _LARGE_BYTES:
                moved = self._tensor(first, last, readers)
                if moved is not None:
                    written.message(number, moved)
                    continue
            if not self._copied(written, field):
                return None
        return written

    def _node(self, start: int, end: int, readers: dict[str, set[str]]) -> bool:
        """Note which operator reads which value; whether there is no graph inside."""
        operator, inputs = "", []
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == schema.NODE_INPUT:
                inputs.append(self._reader.text(first, last))
            elif number == schema.NODE_OP_TYPE:
                operator = self._reader.text(first, last)
            elif number == schema.NODE_ATTRIBUTE and any(
                inner in schema.ATTRIBUTE_GRAPHS for inner, *_ in self._reader.fields(first, last)
            ):
                return False
        for name in inputs:
            readers.setdefault(name, set()).add(operator)
        return True

    def _tensor(self, start: int, end: int, readers: dict[str, set[str]]) -> MessageWriter | None:
        """The tensor with its place instead of its values; ``None`` of one that must stay."""
        written, name, kind = MessageWriter(), "", 0
        values: list[tuple[int, int]] = []
        for field in self._reader.fields(start, end):
            number, wire_type, first, last = field
            if number == schema.TENSOR_RAW_DATA and wire_type == BYTES:
                values.append((first, last))
                continue
            if number == schema.TENSOR_NAME and wire_type == BYTES:
                name = self._reader.text(first, last)
            elif number == schema.TENSOR_DATA_TYPE and wire_type == VARINT:
                kind = first
            elif number in (schema.TENSOR_EXTERNAL_DATA, schema.TENSOR_DATA_LOCATION):
                return None
            if not self._copied(written, field):
                return None
        bytewise = kind in (_UINT8, _INT8)
        if len(values) != 1 or not (bytewise or (kind == _FLOAT and readers.get(name, set()) <= _READ_ANYWHERE)):
            return None
        first, last = values[0]
        self._moved += last - first
        for key, value in (("location", self._location), ("offset", first), ("length", last - first)):
            entry = MessageWriter().text(schema.ENTRY_KEY, key).text(schema.ENTRY_VALUE, str(value))
            written.message(schema.TENSOR_EXTERNAL_DATA, entry)
        return written.integer(schema.TENSOR_DATA_LOCATION, schema.DATA_LOCATION_EXTERNAL)

    def _copied(self, into: MessageWriter, field: _Field) -> bool:
        """Copy a field; whether it is of a kind that ONNX has outside of tensors."""
        number, wire_type, first, last = field
        if wire_type == BYTES:
            into.data(number, bytes(self._buffer[first:last]))
        elif wire_type == VARINT:
            into.integer(number, first)
        else:
            return False
        return True

"""Nodes and outputs added to a model's file, which is copied field by field, so that only the wire format is read."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.errors import ModelError
from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.protobuf import BYTES, VARINT, MessageWriter, WireReader
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from onnxembed.compile.graph_builder import GraphBuilder
    from onnxembed.formats.onnx_graph import TensorInfo

OWN = "onnxembed/"
"""Before the names of added values, which must not meet those of the file."""


def named(source: Path, kind: str, values: Sequence[TensorInfo], name: str) -> TensorInfo:
    """Find an input or output by its name."""
    for value in values:
        if value.name == name:
            return value
    names = [value.name for value in values]
    raise ModelError(
        f"{source} has no {kind} {name!r}; it has {', '.join(map(repr, names))}.{nearest(name, names)} Name one of them"
    )


@dataclass(frozen=True, slots=True)
class _Slice:
    """Bytes of the source, copied only while they are written."""

    buffer: mmap.mmap
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def tobytes(self) -> bytes:
        return self.buffer[self.first : self.last]


def with_addition(
    addition: GraphBuilder,
    reader: WireReader,
    buffer: mmap.mmap,
    *,
    instead_of: str | None = None,
    left_out: Collection[int] = (),
) -> MessageWriter:
    """The source's message with the addition, and without some nodes, named by where they begin.

    The addition's outputs come last, or in the place of one of the source.
    """
    fields = list(addition.fields())
    outputs = [message for number, message in fields if number == schema.GRAPH_OUTPUT]
    model, graph = MessageWriter(), MessageWriter()
    for number, wire_type, first, last in reader.fields(0, len(buffer)):
        if number != schema.MODEL_GRAPH or wire_type != BYTES:
            _copy_field(model, number, wire_type, buffer, first, last)
            continue
        for part in reader.fields(first, last):
            if instead_of is not None and _is_output(reader, part, instead_of):
                for output in outputs:
                    graph.message(schema.GRAPH_OUTPUT, output)
            elif part[0] != schema.GRAPH_NODE or part[2] not in left_out:
                _copy_field(graph, part[0], part[1], buffer, part[2], part[3])
    for number, message in fields:
        if number != schema.GRAPH_OUTPUT or instead_of is None:
            graph.message(number, message)
    return model.message(schema.MODEL_GRAPH, graph)


def _copy_field(message: MessageWriter, number: int, wire_type: int, buffer: mmap.mmap, first: int, last: int) -> None:
    """Copy a field as it is; the schema has only numbers and bytes at these two levels."""
    if wire_type == VARINT:
        message.integer(number, first)
    elif wire_type == BYTES:
        message.data(number, _Slice(buffer, first, last))


def _is_output(reader: WireReader, field: tuple[int, int, int, int], name: str) -> bool:
    """Whether a field of the graph is the output of that name."""
    number, wire_type, first, last = field
    if number != schema.GRAPH_OUTPUT or wire_type != BYTES:
        return False
    names = [
        reader.text(text_first, text_last)
        for text_number, text_type, text_first, text_last in reader.fields(first, last)
        if text_number == schema.VALUE_NAME and text_type == BYTES
    ]
    return names[-1:] == [name]

"""A compiled graph that computes attention without scores where long texts of one length make up the batch.

The standard's attention holds the scores of all heads, 3.2 GB for twelve heads and a text of 8192 tokens. That of
ONNX Runtime has a kernel that holds none, for batches without padding: 174 MB in all, and a fifth less time. Below
``LEAST_LENGTH`` nothing is won. The graph itself decides which of the two it runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.protobuf import BYTES, VARINT, MessageWriter, WireReader

LEAST_LENGTH = 1024
"""Tokens from which attention without scores is the better; such texts share a batch with their equals alone."""
_OPERATOR, _LENGTHS = "Attention", 6
_OWN_OPERATOR, _OWN_DOMAIN = "MultiHeadAttention", "com.microsoft"
_FLOAT, _INT64 = 1, 7
_ATTRIBUTE_GRAPH, _ATTRIBUTE_TYPE_GRAPH = 6, 5
_CHOICE = "unpadded"
_Field = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Attention:
    """An attention over all tokens by lengths, with nothing added to its scores.

    Attributes:
        inputs: Queries, keys and values, then what is left out, then the lengths.
        output: What it gives.
        heads: Number of heads.
        scale: The attribute as it is stored, empty where there is none.
    """

    inputs: tuple[str, ...]
    output: str
    heads: int
    scale: bytes


def unpadded(graph: bytes) -> bytes | None:
    """Give the graph with both ways through each attention; ``None`` where no attention goes by lengths."""
    reader = WireReader(graph, "the compiled graph")
    written, chosen, own_domain = MessageWriter(), False, False
    for field in reader.fields(0, len(graph)):
        number, wire_type, first, last = field
        if number == schema.MODEL_GRAPH and wire_type == BYTES:
            body, chosen = _body(reader, graph, first, last)
            written.message(number, body)
            continue
        if number == schema.MODEL_OPSET_IMPORT and wire_type == BYTES:
            own_domain = own_domain or _OWN_DOMAIN in _texts(reader, first, last, schema.OPSET_DOMAIN)
        _copied(written, graph, field)
    if not own_domain:
        domain = MessageWriter().text(schema.OPSET_DOMAIN, _OWN_DOMAIN).integer(schema.OPSET_VERSION, 1)
        written.message(schema.MODEL_OPSET_IMPORT, domain)
    return written.tobytes() if chosen else None


def _texts(reader: WireReader, start: int, end: int, wanted: int) -> list[str]:
    return [reader.text(first, last) for number, _, first, last in reader.fields(start, end) if number == wanted]


def _body(reader: WireReader, graph: bytes, start: int, end: int) -> tuple[MessageWriter, bool]:
    written, lengths = MessageWriter(), ""
    for field in reader.fields(start, end):
        number, wire_type, first, last = field
        is_node = number == schema.GRAPH_NODE and wire_type == BYTES
        attention = _by_lengths(reader, graph, first, last) if is_node else None
        if attention is None or lengths not in ("", attention.inputs[_LENGTHS]):
            _copied(written, graph, field)
            continue
        if not lengths:
            lengths = attention.inputs[_LENGTHS]
            _decide(written, lengths, attention.inputs[0])
        written.message(number, _either(reader, graph, attention, first, last))
    return written, bool(lengths)


def _by_lengths(reader: WireReader, graph: bytes, start: int, end: int) -> _Attention | None:
    """Read a node that is such an attention."""
    if _texts(reader, start, end, schema.NODE_OP_TYPE) != [_OPERATOR]:
        return None
    if _texts(reader, start, end, schema.NODE_DOMAIN) not in ([], [""]):
        return None
    attributes, numbers = {}, {}
    for number, _, first, last in reader.fields(start, end):
        if number == schema.NODE_ATTRIBUTE:
            (name,) = _texts(reader, first, last, schema.ATTRIBUTE_NAME)
            attributes[name] = graph[first:last]
            numbers[name] = [value for inner, _, value, _ in reader.fields(first, last) if inner == schema.ATTRIBUTE_I]
    inputs = tuple(_texts(reader, start, end, schema.NODE_INPUT))
    plain = len(inputs) == _LENGTHS + 1 and not any(inputs[3:_LENGTHS]) and "is_causal" not in attributes
    if not plain:
        return None
    (output,), (heads,) = _texts(reader, start, end, schema.NODE_OUTPUT), numbers["q_num_heads"]
    return _Attention(inputs, output, heads, attributes.get("scale", b""))


def _decide(into: MessageWriter, lengths: str, query: str) -> None:
    """Add the nodes that compare the shortest text, of int64 (batch,), with the length of a row of queries."""
    least = MessageWriter().integer(schema.TENSOR_DIMS, 1).integer(schema.TENSOR_DATA_TYPE, _INT64)
    least.text(schema.TENSOR_NAME, f"{_CHOICE}.from").data(schema.TENSOR_RAW_DATA, LEAST_LENGTH.to_bytes(8, "little"))
    into.message(schema.GRAPH_INITIALIZER, least)
    for operator, inputs, output, attributes in (
        ("ReduceMin", (lengths,), "shortest", {"keepdims": 1}),
        ("Shape", (query,), "length", {"start": 1, "end": 2}),
        ("Equal", (f"{_CHOICE}.shortest", f"{_CHOICE}.length"), "whole", {}),
        ("GreaterOrEqual", (f"{_CHOICE}.length", f"{_CHOICE}.from"), "long", {}),
        ("And", (f"{_CHOICE}.whole", f"{_CHOICE}.long"), "without_scores", {}),
    ):
        node = _node(operator, inputs, f"{_CHOICE}.{output}")
        for name, value in attributes.items():
            attribute = MessageWriter().text(schema.ATTRIBUTE_NAME, name).integer(schema.ATTRIBUTE_I, value)
            attribute.integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_INT)
            node.message(schema.NODE_ATTRIBUTE, attribute)
        into.message(schema.GRAPH_NODE, node)


def _either(reader: WireReader, graph: bytes, attention: _Attention, start: int, end: int) -> MessageWriter:
    """One node for an attention: ONNX Runtime's own without lengths, or as it is."""
    choice = _node("If", (f"{_CHOICE}.without_scores",), attention.output)
    for branch in ("then_branch", "else_branch"):
        value = f"{attention.output}.{branch}"
        node = _own(attention, value) if branch == "then_branch" else _renamed(reader, graph, start, end, value)
        tensor = MessageWriter().integer(schema.TENSOR_TYPE_ELEMENT, _FLOAT)
        kind = MessageWriter().message(schema.TYPE_TENSOR, tensor)
        given = MessageWriter().text(schema.VALUE_NAME, value).message(schema.VALUE_TYPE, kind)
        inner = MessageWriter().message(schema.GRAPH_NODE, node).text(schema.GRAPH_NAME, value)
        inner.message(schema.GRAPH_OUTPUT, given)
        attribute = MessageWriter().text(schema.ATTRIBUTE_NAME, branch).message(_ATTRIBUTE_GRAPH, inner)
        attribute.integer(schema.ATTRIBUTE_TYPE, _ATTRIBUTE_TYPE_GRAPH)
        choice.message(schema.NODE_ATTRIBUTE, attribute)
    return choice


def _own(attention: _Attention, output: str) -> MessageWriter:
    """ONNX Runtime's own operator, without a mask."""
    node = _node(_OWN_OPERATOR, attention.inputs[:3], output).text(schema.NODE_DOMAIN, _OWN_DOMAIN)
    heads = MessageWriter().text(schema.ATTRIBUTE_NAME, "num_heads").integer(schema.ATTRIBUTE_I, attention.heads)
    node.message(schema.NODE_ATTRIBUTE, heads.integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_INT))
    return node.data(schema.NODE_ATTRIBUTE, attention.scale) if attention.scale else node


def _renamed(reader: WireReader, graph: bytes, start: int, end: int, output: str) -> MessageWriter:
    node = MessageWriter()
    for field in reader.fields(start, end):
        if field[0] in (schema.NODE_OUTPUT, schema.NODE_NAME):
            node.text(field[0], output)
        else:
            _copied(node, graph, field)
    return node


def _node(operator: str, inputs: tuple[str, ...], output: str) -> MessageWriter:
    node = MessageWriter()
    for name in inputs:
        node.text(schema.NODE_INPUT, name)
    return node.text(schema.NODE_OUTPUT, output).text(schema.NODE_NAME, output).text(schema.NODE_OP_TYPE, operator)


def _copied(into: MessageWriter, graph: bytes, field: _Field) -> None:
    number, wire_type, first, last = field
    if wire_type == BYTES:
        into.data(number, graph[first:last])
    elif wire_type == VARINT:
        into.integer(number, first)
    else:
        raise ValueError(f"field {number} has wire type {wire_type}, which the compiler does not write")

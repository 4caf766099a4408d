"""The last step of a masked-language model's graph: the product of token states and vocabulary, and its bias.

Found, the maximum over tokens can be taken between the two: the bias of an entry is the same for all tokens, and
rounding keeps the order, so adding it to the maximum gives the same number as the maximum of the sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.protobuf import BYTES, VARINT, WireReader

Field = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Projection:
    """``logits = MatMul(states, weight) + bias``, each intermediate value used once.

    Attributes:
        states: Name of the value (batch, sequence, hidden).
        weight: Name of the value (hidden, vocabulary).
        bias: Name of the initializer (vocabulary,).
        nodes: Where the two nodes begin in the file.
    """

    states: str
    weight: str
    bias: str
    nodes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Node:
    place: int
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def find_projection(reader: WireReader, parts: Sequence[Field], logits: str) -> Projection | None:
    """Look for the last step in the fields of a graph; ``None`` where the logits are made in another way."""
    nodes = [_node(reader, part) for part in parts if part[0] == schema.GRAPH_NODE and part[1] == BYTES]
    maker = {output: node for node in nodes for output in node.outputs}
    uses = [name for node in nodes for name in node.inputs]
    addition = maker.get(logits)
    if addition is None or addition.operator != "Add" or logits in uses:
        return None
    for product, bias in (addition.inputs, addition.inputs[::-1]):
        node = maker.get(product)
        if (
            node is not None
            and node.operator == "MatMul"
            and uses.count(product) == 1
            and bias in _vectors(reader, parts)
        ):
            states, weight = node.inputs
            return Projection(states, weight, bias, (addition.place, node.place))
    return None


def _node(reader: WireReader, part: Field) -> _Node:
    texts: dict[int, list[str]] = {
        schema.NODE_INPUT: [],
        schema.NODE_OUTPUT: [],
        schema.NODE_OP_TYPE: [],
        schema.NODE_DOMAIN: [],
    }
    for number, wire_type, first, last in reader.fields(part[2], part[3]):
        if number in texts and wire_type == BYTES:
            texts[number].append(reader.text(first, last))
    # An operator of another domain is not the one that its name says.
    foreign = any(domain not in ("", "ai.onnx") for domain in texts[schema.NODE_DOMAIN])
    operator = "" if foreign else "".join(texts[schema.NODE_OP_TYPE][-1:])
    return _Node(part[2], operator, tuple(texts[schema.NODE_INPUT]), tuple(texts[schema.NODE_OUTPUT]))


def _vectors(reader: WireReader, parts: Sequence[Field]) -> Iterator[str]:
    """Names of the initializers with one dimension."""
    for part in parts:
        if part[0] != schema.GRAPH_INITIALIZER or part[1] != BYTES:
            continue
        dimensions, name = 0, ""
        for number, wire_type, first, last in reader.fields(part[2], part[3]):
            if number == schema.TENSOR_DIMS:
                # Written one by one, or packed, where every number ends with a byte below 128.
                dimensions += 1 if wire_type == VARINT else reader.ends_of_varints(first, last)
            elif number == schema.TENSOR_NAME and wire_type == BYTES:
                name = reader.text(first, last)
        if dimensions == 1:
            yield name

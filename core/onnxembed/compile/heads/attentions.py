"""The end of a graph: attention probabilities of the last layer instead of vectors, as BM42 weighs words by.

The fused attention operator does not give its probabilities, so this one layer is spelled out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.layers import MASKED_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxembed.compile.layers import Layers


@dataclass(frozen=True, slots=True)
class LastAttention:
    """The attention of the last layer.

    Attributes:
        layers: The graph and the weights.
        name: The beginning of the names of its weights.
        hidden: Name of the layer's input (batch, sequence, hidden).
        attention_mask: Name of the mask (batch, sequence), 1 for tokens and 0 for padding.
        heads: Its heads.
        head_size: Length of a head's vectors.
    """

    layers: Layers
    name: str
    hidden: str
    attention_mask: str
    heads: int
    head_size: int


def add_cls_attention(last: LastAttention) -> None:
    """Add the output ``cls_attention`` (batch, sequence), at the cost of one query a text.

    Args:
        last: The attention.
    """
    first = _first(last, last.hidden, axis=1)
    _give_cls_attention(last, _probabilities(last, first, "cls_probabilities"))


def add_attentions(last: LastAttention, output: str) -> None:
    """Add an output with all probabilities (batch, heads, sequence, sequence), and ``cls_attention``.

    Args:
        last: The attention.
        output: Name of the first output.
    """
    _probabilities(last, last.hidden, output)
    last.layers.graph.output(output, FLOAT, ["batch", last.heads, "sequence", "sequence"])
    _give_cls_attention(last, _first(last, output, axis=2))


def _first(last: LastAttention, value: str, *, axis: int) -> str:
    """Cut out the first position."""
    bounds = [_integers(last, f"first_{name}", [at]) for name, at in (("begin", 0), ("end", 1), ("axis", axis))]
    return last.layers.graph.node("Slice", [value, *bounds], "first_position")


def _give_cls_attention(last: LastAttention, row: str) -> None:
    """Average one query's probabilities (batch, heads, 1, sequence) over the heads."""
    last.layers.graph.node("ReduceMean", [row], "cls_attention", {"axes": [1, 2], "keepdims": 0})
    last.layers.graph.output("cls_attention", FLOAT, ["batch", "sequence"])


def _probabilities(last: LastAttention, queries: str, output: str) -> str:
    """Softmax of the scaled products of queries and keys (batch, heads, queries, keys), padding exactly 0."""
    graph = last.layers.graph
    shape = _integers(last, "heads_shape", [0, 0, last.heads, last.head_size])
    query = _split(last, "query", queries, shape, [0, 2, 1, 3])
    key = _split(last, "key", last.hidden, shape, [0, 2, 3, 1])
    products = graph.node("MatMul", [query, key], "products")
    scores = graph.node("Mul", [products, _number(last, "score_scale", 1 / math.sqrt(last.head_size))], "scores")

    row = graph.node("Cast", [last.attention_mask], "attention_mask_float", {"to": FLOAT})
    kept = graph.node("Unsqueeze", [row, _integers(last, "head_and_query_axes", [1, 2])], "kept_keys")
    padding = graph.node("Sub", [_number(last, "one", 1), kept], "padding_keys")
    bias = graph.node("Mul", [padding, _number(last, "masked_score", MASKED_SCORE)], "score_bias")
    masked = graph.node("Add", [scores, bias], "masked_scores")
    softmax = graph.node("Softmax", [masked], "softmax", {"axis": -1})
    # Only an item of padding alone has anything left to clear.
    return graph.node("Mul", [softmax, kept], output)


def _split(last: LastAttention, role: str, value: str, shape: str, order: Sequence[int]) -> str:
    """Project token vectors and lay them out head by head."""
    name = f"{last.name}.{role}"
    split = last.layers.graph.node("Reshape", [last.layers.linear(name, value), shape], f"{name}.split")
    return last.layers.graph.node("Transpose", [split], f"{name}.heads", {"perm": order})


def _integers(last: LastAttention, name: str, values: Sequence[int]) -> str:
    import numpy as np

    return last.layers.graph.initializer(name, np.array(values, np.int64))


def _number(last: LastAttention, name: str, value: float) -> str:
    import numpy as np

    return last.layers.graph.initializer(name, np.array(value, np.float32))

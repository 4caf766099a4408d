"""Attention over all tokens: as one fused operator, and spelled out where its probabilities are wanted.

Fused, it takes a quarter less time at 512 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from onnxembed.compile.graph_builder import FLOAT, MICROSOFT
from onnxembed.compile.layers.linear import linear, product
from onnxembed.compile.layers.weighted_graph import WeightedGraph

# Added to the scores of padding: it swallows any score, so padding weighs exactly 0; finite for lone padding.
MASKED_SCORE = -1e30


@dataclass(frozen=True, slots=True)
class SelfAttention:
    """The attention of one layer.

    Attributes:
        query: Name of the linear layer that makes the queries.
        key: The same for the keys.
        value: The same for the values.
        heads: Number of heads.
        head_size: Length of a head's vectors.
    """

    query: str
    key: str
    value: str
    heads: int
    head_size: int


def fused_attention(
    into: WeightedGraph,
    attention: SelfAttention,
    hidden: str,
    mask: str,
    *,
    bias: str,
    output: str,
    attention_bias: str = "",
) -> str:
    """Add the operator; the mask (batch, sequence) is int32, 1 for tokens and 0 for padding.

    ``attention_bias`` (batch or 1, heads or 1, sequence, sequence), where there is one, is added to the scores.
    """
    import numpy as np

    names = (attention.query, attention.key, attention.value)
    projected = [product(into, name, hidden) for name in names]
    # The operator takes the three biases as one.
    if not into.graph.has_tensor(bias):
        checkpoint, size = into.checkpoint, 3 * attention.heads * attention.head_size
        into.graph.later(bias, (size,), lambda: np.concatenate([checkpoint.weight(f"{name}.bias") for name in names]))
    inputs = [*projected, bias, mask, *([attention_bias] if attention_bias else [])]
    attributes = {"num_heads": attention.heads, "mask_filter_value": MASKED_SCORE}
    return into.graph.node("MultiHeadAttention", inputs, output, attributes, domain=MICROSOFT)


def attention_probabilities(
    into: WeightedGraph, attention: SelfAttention, queries: str, hidden: str, mask: str, output: str
) -> str:
    """Softmax of the scaled products of queries and keys (batch, heads, queries, keys), padding exactly 0."""
    graph = into.graph
    shape = graph.integers("heads_shape", [0, 0, attention.heads, attention.head_size])
    query = _by_head(into, attention.query, queries, shape, [0, 2, 1, 3])
    key = _by_head(into, attention.key, hidden, shape, [0, 2, 3, 1])
    products = graph.node("MatMul", [query, key], "products")
    scale = graph.floats("score_scale", 1 / math.sqrt(attention.head_size))
    scores = graph.node("Mul", [products, scale], "scores")

    row = graph.node("Cast", [mask], "attention_mask_float", {"to": FLOAT})
    kept = graph.node("Unsqueeze", [row, graph.integers("head_and_query_axes", [1, 2])], "kept_keys")
    padding = graph.node("Sub", [graph.floats("one", 1), kept], "padding_keys")
    bias = graph.node("Mul", [padding, graph.floats("masked_score", MASKED_SCORE)], "score_bias")
    softmax = graph.node("Softmax", [graph.node("Add", [scores, bias], "masked_scores")], "softmax", {"axis": -1})
    # Only an item of padding alone has anything left to clear.
    return graph.node("Mul", [softmax, kept], output)


def _by_head(into: WeightedGraph, name: str, value: str, shape: str, order: Sequence[int]) -> str:
    """Project token vectors and lay them out head by head."""
    split = into.graph.node("Reshape", [linear(into, name, value), shape], f"{name}.split")
    return into.graph.node("Transpose", [split], f"{name}.heads", {"perm": order})

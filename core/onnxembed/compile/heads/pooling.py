"""The end of a graph: token vectors to one vector, and that scaled to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import FLOAT, GraphBuilder
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALLEST_COUNT = 1e-9
"""Keeps an item without any token from dividing by 0."""
_SMALLEST_NORM = 1e-12


def add_pooled_outputs(
    graph: GraphBuilder, tokens: str, attention_mask: str, hidden_size: int, pooling: PoolingType
) -> None:
    """Add the outputs ``pooled`` and ``sentence_embedding``; none when pooling is disabled.

    Args:
        graph: The graph to add to.
        tokens: Name of the token vectors (batch, sequence, hidden).
        attention_mask: Name of the mask (batch, sequence), 1 for tokens and 0 for padding, whichever side that is on.
        hidden_size: Length of a vector.
        pooling: How token vectors become one.
    """
    if pooling is PoolingType.DISABLED:
        return
    pooled = _POOLINGS[pooling](graph, tokens, attention_mask)
    import numpy as np

    length = graph.node("ReduceL2", [pooled], "norm", {"axes": [1], "keepdims": 1})
    smallest = graph.initializer("smallest_norm", np.array([_SMALLEST_NORM], np.float32))
    graph.node("Div", [pooled, graph.node("Max", [length, smallest], "safe_norm")], "sentence_embedding")
    graph.output("pooled", FLOAT, ["batch", hidden_size])
    graph.output("sentence_embedding", FLOAT, ["batch", hidden_size])


def _mean(graph: GraphBuilder, tokens: str, attention_mask: str) -> str:
    import numpy as np

    axis = graph.initializer("sequence_axis", np.array([1], np.int64))
    weights = graph.node("Cast", [attention_mask], "token_weights", {"to": FLOAT})
    # One row of weights times the token vectors is their sum, without a copy of the token vectors.
    row = graph.node("Unsqueeze", [weights, axis], "weight_row")
    total = graph.node("Squeeze", [graph.node("MatMul", [row, tokens], "sum_row"), axis], "sum")
    count = graph.node("ReduceSum", [weights, axis], "token_count", {"keepdims": 1})
    smallest = graph.initializer("smallest_count", np.array([_SMALLEST_COUNT], np.float32))
    return graph.node("Div", [total, graph.node("Max", [count, smallest], "safe_count")], "pooled")


def _first_token(graph: GraphBuilder, tokens: str, attention_mask: str) -> str:
    return _token_where(graph, tokens, attention_mask, last=False)


def _last_token(graph: GraphBuilder, tokens: str, attention_mask: str) -> str:
    return _token_where(graph, tokens, attention_mask, last=True)


def _token_where(graph: GraphBuilder, tokens: str, attention_mask: str, *, last: bool) -> str:
    """Take the first or the last of the tokens that the mask keeps: where the mask has its greatest value."""
    attributes = {"axis": 1, "keepdims": 1, "select_last_index": int(last)}
    position = graph.node("ArgMax", [attention_mask], "token_position", attributes)
    return graph.node("GatherND", [tokens, position], "pooled", {"batch_dims": 1})


_POOLINGS: dict[PoolingType, Callable[[GraphBuilder, str, str], str]] = {
    PoolingType.MEAN: _mean,
    PoolingType.CLS: _first_token,
    PoolingType.LAST_TOKEN: _last_token,
}

"""The end of a graph: token vectors, one vector pooled from them, and that scaled to length 1."""

from __future__ import annotations

from collections.abc import Callable

from onnxembed.compile.body import ATTENTION_MASK, Body
from onnxembed.compile.graph_builder import FLOAT, GraphBuilder
from onnxembed.spec import PoolingType

_SMALLEST_COUNT = 1e-9  # keeps an item without any token from dividing by 0
_SMALLEST_NORM = 1e-12


def add_vectors(body: Body, pooling: PoolingType) -> None:
    """Add ``last_hidden_state`` and, unless pooling is disabled, ``pooled`` and ``sentence_embedding``."""
    graph, tokens = body.into.graph, body.add_all()
    graph.output("last_hidden_state", FLOAT, ["batch", "sequence", body.hidden])
    if pooling is PoolingType.DISABLED:
        return
    pooled = _POOLINGS[pooling](graph, tokens)
    length = graph.node("ReduceL2", [pooled], "norm", {"axes": [1], "keepdims": 1})
    smallest = graph.floats("smallest_norm", [_SMALLEST_NORM])
    graph.node("Div", [pooled, graph.node("Max", [length, smallest], "safe_norm")], "sentence_embedding")
    graph.output("pooled", FLOAT, ["batch", body.hidden])
    graph.output("sentence_embedding", FLOAT, ["batch", body.hidden])


def _mean(graph: GraphBuilder, tokens: str) -> str:
    axis = graph.integers("sequence_axis", [1])
    weights = graph.node("Cast", [ATTENTION_MASK], "token_weights", {"to": FLOAT})
    # One row of weights times the token vectors is their sum, without a copy of the token vectors.
    row = graph.node("Unsqueeze", [weights, axis], "weight_row")
    total = graph.node("Squeeze", [graph.node("MatMul", [row, tokens], "sum_row"), axis], "sum")
    count = graph.node("ReduceSum", [weights, axis], "token_count", {"keepdims": 1})
    smallest = graph.floats("smallest_count", [_SMALLEST_COUNT])
    return graph.node("Div", [total, graph.node("Max", [count, smallest], "safe_count")], "pooled")


def _first_token(graph: GraphBuilder, tokens: str) -> str:
    return _token_where(graph, tokens, last=False)


def _last_token(graph: GraphBuilder, tokens: str) -> str:
    return _token_where(graph, tokens, last=True)


def _token_where(graph: GraphBuilder, tokens: str, *, last: bool) -> str:
    """Take the first or the last of the tokens that the mask keeps: where the mask has its greatest value."""
    attributes = {"axis": 1, "keepdims": 1, "select_last_index": int(last)}
    position = graph.node("ArgMax", [ATTENTION_MASK], "token_position", attributes)
    return graph.node("GatherND", [tokens, position], "pooled", {"batch_dims": 1})


_POOLINGS: dict[PoolingType, Callable[[GraphBuilder, str], str]] = {
    PoolingType.MEAN: _mean,
    PoolingType.CLS: _first_token,
    PoolingType.LAST_TOKEN: _last_token,
}

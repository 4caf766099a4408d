"""The end of a graph: token vectors, one vector pooled from them, and that scaled to length 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnxembed.compile.body import ATTENTION_MASK, Body, needed
from onnxembed.compile.graph_builder import BOOL, FLOAT, INT64, GraphBuilder
from onnxembed.spec import PoolingType

_SMALLEST_COUNT = 1e-9  # keeps an item without any token from dividing by 0
_SMALLEST_NORM = 1e-12


def add_vectors(body: Body, poolings: Sequence[PoolingType]) -> None:
    """Add ``last_hidden_state`` and, unless pooling is disabled, ``pooled`` and ``sentence_embedding``."""
    graph, tokens = body.into.graph, body.add_all()
    graph.output("last_hidden_state", FLOAT, ["batch", "sequence", body.hidden])
    if tuple(poolings) == (PoolingType.DISABLED,):
        return
    vectors = [add_pooled(graph, tokens, pooling) for pooling in poolings]
    _give(graph, graph.node("Concat", vectors, "pooled", {"axis": 1}), body.hidden * len(vectors))


def add_own_vector(body: Body) -> None:
    """Add ``pooled`` and ``sentence_embedding``, of the vector that the family makes by itself."""
    own = needed(body.own_vector)
    vector = own.add(body.add_all())
    _give(body.into.graph, body.into.graph.node("Identity", [vector], "pooled"), own.size)


def _give(graph: GraphBuilder, pooled: str, size: int) -> None:
    """Add the outputs ``pooled`` and ``sentence_embedding``, the same scaled to length 1."""
    scaled(graph, pooled, "sentence_embedding")
    for name in ("pooled", "sentence_embedding"):
        graph.output(name, FLOAT, ["batch", size])


def scaled(graph: GraphBuilder, pooled: str, output: str, prefix: str = "") -> str:
    """Scale vectors (batch, size) to length 1; ``prefix`` goes before the names of what is added on the way."""
    length = graph.reduce("ReduceL2", pooled, [1], f"{prefix}norm", keepdims=True)
    smallest = graph.floats(f"{prefix}smallest_norm", [_SMALLEST_NORM])
    return graph.node("Div", [pooled, graph.node("Max", [length, smallest], f"{prefix}safe_norm")], output)


def add_pooled(graph: GraphBuilder, tokens: str, pooling: PoolingType, prefix: str = "") -> str:
    """Make one vector per text (batch, hidden) of token vectors; the mask says which count.

    ``prefix`` goes before all names.
    """
    return _POOLINGS[pooling](graph, tokens, f"{prefix}pooled_{pooling.value.lower()}")


def _mean(graph: GraphBuilder, tokens: str, output: str) -> str:
    return _divided_sum(graph, tokens, _token_weights(graph, output), output)


def _weighted_mean(graph: GraphBuilder, tokens: str, output: str) -> str:
    """Tokens count from 1, as columns do in sentence-transformers where padding is on the right."""
    weights = _token_weights(graph, output)
    axis = graph.integers(f"{output}.position_axis", 1)
    positions = graph.node("CumSum", [weights, axis], f"{output}.positions")
    return _divided_sum(graph, tokens, graph.node("Mul", [positions, weights], f"{output}.weights"), output)


def _mean_by_root(graph: GraphBuilder, tokens: str, output: str) -> str:
    return _divided_sum(graph, tokens, _token_weights(graph, output), output, root=True)


def _token_weights(graph: GraphBuilder, output: str) -> str:
    return graph.node("Cast", [ATTENTION_MASK], f"{output}.token_weights", {"to": FLOAT})


def _divided_sum(graph: GraphBuilder, tokens: str, weights: str, output: str, *, root: bool = False) -> str:
    """The weighted sum of the token vectors, divided by the sum of the weights or its square root."""
    axis = graph.integers(f"{output}.sequence_axis", [1])
    # One row of weights times the token vectors is their sum, without a copy of the token vectors.
    row = graph.node("Unsqueeze", [weights, axis], f"{output}.weight_row")
    total = graph.node("Squeeze", [graph.node("MatMul", [row, tokens], f"{output}.sum_row"), axis], f"{output}.sum")
    count = graph.node("ReduceSum", [weights, axis], f"{output}.count", {"keepdims": 1})
    smallest = graph.floats(f"{output}.smallest_count", [_SMALLEST_COUNT])
    divisor = graph.node("Max", [count, smallest], f"{output}.safe_count")
    if root:
        divisor = graph.node("Sqrt", [divisor], f"{output}.root_of_count")
    return graph.node("Div", [total, divisor], output)


def _largest(graph: GraphBuilder, tokens: str, output: str) -> str:
    """Padding is lowest; an item without any token gets 0, not what stands for minus infinity."""
    axes = graph.integers(f"{output}.vector_axis", [2])
    kept = graph.node("Cast", [ATTENTION_MASK], f"{output}.kept", {"to": BOOL})
    column = graph.node("Unsqueeze", [kept, axes], f"{output}.kept_column")
    lowest = graph.floats(f"{output}.lowest", -1e30)
    masked = graph.node("Where", [column, tokens, lowest], f"{output}.masked")
    largest = graph.reduce("ReduceMax", masked, [1], f"{output}.largest", keepdims=False)
    there = graph.reduce("ReduceMax", ATTENTION_MASK, [1], f"{output}.any_token", keepdims=True)
    some = graph.node("Cast", [there], f"{output}.has_tokens", {"to": BOOL})
    return graph.node("Where", [some, largest, graph.floats(f"{output}.nothing", 0.0)], output)


def _first_token(graph: GraphBuilder, tokens: str, output: str) -> str:
    return _token_where(graph, tokens, output, last=False)


def _last_token(graph: GraphBuilder, tokens: str, output: str) -> str:
    return _token_where(graph, tokens, output, last=True)


def _token_where(graph: GraphBuilder, tokens: str, output: str, *, last: bool) -> str:
    """Take the first or the last of the tokens that the mask keeps: where the mask has its greatest value."""
    attributes = {"axis": 1, "keepdims": 1, "select_last_index": int(last)}
    position = graph.node("ArgMax", [ATTENTION_MASK], f"{output}.position", attributes)
    return graph.node("GatherND", [tokens, position], output, {"batch_dims": 1})


def last_token_but(graph: GraphBuilder, tokens: str, passed_over: int) -> str:
    """Take the last token of another id than ``passed_over``; the first token where all have that id.

    So transformers finds the last token of a text, by the id of padding. An end token may have that id as well.
    """
    name = "last_counted"
    same = graph.node("Equal", ["input_ids", graph.integers(f"{name}.passed_over", passed_over)], f"{name}.same")
    counted = graph.node("Cast", [graph.node("Not", [same], f"{name}.other")], f"{name}.counted", {"to": INT64})
    position = graph.node("CumSum", [ATTENTION_MASK, graph.integers(f"{name}.axis", 1)], f"{name}.positions")
    kept = graph.node("Mul", [position, ATTENTION_MASK], f"{name}.kept")
    order = graph.node("Mul", [kept, counted], f"{name}.order")
    last = graph.node("ArgMax", [order], f"{name}.position", {"axis": 1, "keepdims": 1})
    return graph.node("GatherND", [tokens, last], name, {"batch_dims": 1})


_POOLINGS: Mapping[PoolingType, Callable[[GraphBuilder, str, str], str]] = {
    PoolingType.MEAN: _mean,
    PoolingType.CLS: _first_token,
    PoolingType.LAST_TOKEN: _last_token,
    PoolingType.MAX: _largest,
    PoolingType.MEAN_SQRT_LEN: _mean_by_root,
    PoolingType.WEIGHTED_MEAN: _weighted_mean,
}

"""The end of a graph: attention probabilities of the last layer instead of vectors, by which BM42 weighs words."""

from __future__ import annotations

from onnxembed.compile.body import ATTENTION_MASK, Body, needed
from onnxembed.compile.graph_builder import FLOAT, GraphBuilder
from onnxembed.compile.layers.attention import attention_probabilities


def add_cls_attention(body: Body) -> None:
    """Add the output ``cls_attention`` (batch, sequence), at the cost of one query per text."""
    hidden, last = needed(body.add_all_but_last)()
    first = _first_position(body.into.graph, hidden, axis=1)
    row = attention_probabilities(body.into, last, first, hidden, ATTENTION_MASK, "cls_probabilities")
    _give_cls_attention(body.into.graph, row)


def add_attentions(body: Body) -> None:
    """Add ``attention_<layers>`` with all probabilities (batch, heads, sequence, sequence), and ``cls_attention``."""
    hidden, last = needed(body.add_all_but_last)()
    graph, output = body.into.graph, f"attention_{body.layers}"
    attention_probabilities(body.into, last, hidden, hidden, ATTENTION_MASK, output)
    graph.output(output, FLOAT, ["batch", last.heads, "sequence", "sequence"])
    _give_cls_attention(graph, _first_position(graph, output, axis=2))


def _first_position(graph: GraphBuilder, value: str, *, axis: int) -> str:
    bounds = [graph.integers(f"first_{name}", [at]) for name, at in (("begin", 0), ("end", 1), ("axis", axis))]
    return graph.node("Slice", [value, *bounds], "first_position")


def _give_cls_attention(graph: GraphBuilder, row: str) -> None:
    """Average one query's probabilities (batch, heads, 1, sequence) over the heads."""
    graph.reduce("ReduceMean", row, [1, 2], "cls_attention", keepdims=False)
    graph.output("cls_attention", FLOAT, ["batch", "sequence"])

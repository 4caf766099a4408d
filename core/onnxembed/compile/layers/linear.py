"""Linear layers, with and without bias and activation."""

from __future__ import annotations

from onnxembed.compile.graph_builder import MICROSOFT
from onnxembed.compile.layers.activation import FUSED_WITH_BIAS, activation
from onnxembed.compile.layers.weighted_graph import WeightedGraph


def product(into: WeightedGraph, name: str, value: str) -> str:
    """Multiply by a layer's weights, which checkpoints store as (outputs, inputs)."""
    return into.graph.node("MatMul", [value, into.transposed(f"{name}.weight")], f"{name}.product")


def linear(into: WeightedGraph, name: str, value: str, *, bias: bool = True) -> str:
    """Multiply by a layer's weights and add its bias, if it has one."""
    multiplied = product(into, name, value)
    return into.graph.node("Add", [multiplied, into.weight(f"{name}.bias")], f"{name}.output") if bias else multiplied


def activated(into: WeightedGraph, name: str, value: str, kind: str) -> str:
    """A linear layer with bias followed by an activation, a key of ``ACTIVATIONS``."""
    operator = FUSED_WITH_BIAS.get(kind)
    if operator is None:
        return activation(into.graph, kind, linear(into, name, value), f"{name}.activated")
    inputs = [product(into, name, value), into.weight(f"{name}.bias")]
    return into.graph.node(operator, inputs, f"{name}.output", domain=MICROSOFT)

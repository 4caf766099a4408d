"""Linear layers, with and without bias and activation."""

from __future__ import annotations

from onnxembed.compile.graph_builder import MICROSOFT
from onnxembed.compile.layers.weighted_graph import WeightedGraph

# Operators that add the bias and activate, by the names that configurations use; Relu has no fused form.
ACTIVATIONS = {"gelu": "BiasGelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu", "relu": "Relu"}


def product(into: WeightedGraph, name: str, value: str) -> str:
    """Multiply by a layer's weights, which checkpoints store as (outputs, inputs)."""
    weight = into.graph.initializer(f"{name}.weight", into.checkpoint.weight(f"{name}.weight").T)
    return into.graph.node("MatMul", [value, weight], f"{name}.product")


def linear(into: WeightedGraph, name: str, value: str) -> str:
    """Multiply by a layer's weights and add its bias."""
    return into.graph.node("Add", [product(into, name, value), into.weight(f"{name}.bias")], f"{name}.output")


def activated(into: WeightedGraph, name: str, value: str, activation: str) -> str:
    """A linear layer followed by an activation, a key of ``ACTIVATIONS``."""
    inputs = [product(into, name, value), into.weight(f"{name}.bias")]
    operator = ACTIVATIONS[activation]
    if operator == "Relu":
        return into.graph.node(operator, [into.graph.node("Add", inputs, f"{name}.sum")], f"{name}.output")
    return into.graph.node(operator, inputs, f"{name}.output", domain=MICROSOFT)

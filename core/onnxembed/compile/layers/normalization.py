"""Normalizations of each vector by itself."""

from __future__ import annotations

from onnxembed.compile.layers.weighted_graph import WeightedGraph


def layer_norm(into: WeightedGraph, name: str, value: str, output: str, epsilon: float) -> str:
    """Bring each vector to mean 0 and variance 1, then scale and shift it by weight and bias."""
    inputs = [value, into.weight(f"{name}.weight"), into.weight(f"{name}.bias")]
    return into.graph.node("LayerNormalization", inputs, output, {"axis": -1, "epsilon": epsilon})

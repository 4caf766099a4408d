"""Normalizations of each vector by itself."""

from __future__ import annotations

from onnxembed.compile.layers.weighted_graph import WeightedGraph


def layer_norm(into: WeightedGraph, name: str, value: str, output: str, epsilon: float, *, bias: bool = True) -> str:
    """Bring each vector to mean 0 and variance 1, then scale it by ``<name>.weight`` and shift it by the bias."""
    inputs = [value, into.weight(f"{name}.weight"), *([into.weight(f"{name}.bias")] if bias else [])]
    return into.graph.node("LayerNormalization", inputs, output, {"axis": -1, "epsilon": epsilon})


def rms_norm(into: WeightedGraph, name: str, value: str, output: str, epsilon: float, *, offset: float = 0.0) -> str:
    """Divide each vector (the last axis) by its root mean square, then scale it by ``<name>.weight`` + ``offset``.

    Gemma stores the distance of its scales from 1: its offset.
    """
    weight = f"{name}.weight"
    if offset:
        scale = f"{name}.scale"
        if not into.graph.has_tensor(scale):
            shape, checkpoint = into.checkpoint.shape(weight), into.checkpoint
            into.graph.later(scale, shape, lambda: checkpoint.weight(weight) + offset)
    else:
        scale = into.weight(weight)
    return into.graph.node("SimplifiedLayerNormalization", [value, scale], output, {"axis": -1, "epsilon": epsilon})

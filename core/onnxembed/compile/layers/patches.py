"""Pictures as rows of patch vectors."""

from __future__ import annotations

from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.layers.weighted_graph import WeightedGraph

PIXEL_VALUES = "pixel_values"
"""The input (batch, channels, height, width), float32."""


def pixel_input(into: WeightedGraph, channels: int, side: int | None) -> str:
    """Declare the pictures; ``side`` is their height and width, ``None`` where any multiple of a patch will do."""
    sides = ["height", "width"] if side is None else [side, side]
    return into.graph.input(PIXEL_VALUES, FLOAT, ["batch", channels, *sides])


def patch_vectors(into: WeightedGraph, name: str, pixels: str, patch: int, hidden: int, *, bias: bool) -> str:
    """Multiply each patch by the weights (hidden, channels, patch, patch); returns (batch, patches, hidden)."""
    graph = into.graph
    inputs = [pixels, into.weight(f"{name}.weight"), *([into.weight(f"{name}.bias")] if bias else [])]
    attributes = {"kernel_shape": [patch, patch], "strides": [patch, patch]}
    grid = graph.node("Conv", inputs, f"{name}.grid", attributes)
    row = graph.node("Reshape", [grid, graph.integers(f"{name}.row_shape", [0, hidden, -1])], f"{name}.row")
    return graph.node("Transpose", [row], f"{name}.output", {"perm": [0, 2, 1]})


def for_each_item(into: WeightedGraph, value: str, batch_of: str, shape: tuple[int, ...], output: str) -> str:
    """Repeat a value (1, ...) of that shape, the first axis aside, for each item of a batch."""
    graph = into.graph
    batch = graph.node("Shape", [batch_of], f"{output}.batch", {"start": 0, "end": 1})
    rest = graph.integers(f"{output}.rest", shape)
    full = graph.node("Concat", [batch, rest], f"{output}.shape", {"axis": 0})
    return graph.node("Expand", [value, full], output)


def with_first(into: WeightedGraph, first: str, patches: str, hidden: int, output: str) -> str:
    """Put a vector (1, 1, hidden) before the patches of each picture."""
    repeated = for_each_item(into, first, patches, (1, hidden), f"{output}.first")
    return into.graph.node("Concat", [repeated, patches], output, {"axis": 1})

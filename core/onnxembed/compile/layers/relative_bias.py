"""Attention biases by the distance between two tokens, in buckets: MPNet's and T5's (Raffel et al., 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.layers.weighted_graph import WeightedGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUCKETS = 32
LARGEST_DISTANCE = 128
"""From here on all tokens on one side share a bucket."""


def buckets(count: int = BUCKETS, largest: int = LARGEST_DISTANCE) -> NDArray[np.int64]:
    """Give the bucket of each distance from ``-largest`` to ``largest``, key minus query, for attention to both sides.

    Half of the buckets are for keys that come after the query; of these, half hold one distance each, the others grow
    with its logarithm.
    """
    import numpy as np

    distances = np.arange(-largest, largest + 1)
    side, near = count // 2, count // 4
    away = np.abs(distances)
    # In float32, as the libraries compute it: rounding decides at the borders of the buckets.
    ratio = np.log(np.maximum(away, 1).astype(np.float32) / np.float32(near))
    grown = ratio / np.float32(np.log(largest / near)) * np.float32(side - near)
    far = np.minimum(near + grown.astype(np.int64), side - 1)
    found: NDArray[np.int64] = np.where(away < near, away, far) + np.where(distances > 0, side, 0)
    return found


def relative_bias(
    into: WeightedGraph, name: str, input_ids: str, *, count: int = BUCKETS, largest: int = LARGEST_DISTANCE
) -> str:
    """Add the biases (1, heads, sequence, sequence) of a table (buckets, heads)."""
    graph, checkpoint = into.graph, into.checkpoint
    heads = checkpoint.shape(name)[1]
    table = graph.later(
        f"{name}.by_distance", (2 * largest + 1, heads), lambda: checkpoint.weight(name)[buckets(count, largest)]
    )
    bounds = [graph.integers(f"{name}.{end}", at) for end, at in (("start", 0), ("step", 1))]
    length = graph.node("Shape", [input_ids], f"{name}.shape", {"start": 1, "end": 2})
    last = graph.node("Squeeze", [length], f"{name}.length")
    places = graph.node("Range", [bounds[0], last, bounds[1]], f"{name}.places")
    row, column = (
        graph.node("Unsqueeze", [places, graph.integers(f"{name}.{axis}_axis", [at])], f"{name}.{axis}")
        for axis, at in (("row", 0), ("column", 1))
    )
    distance = graph.node("Sub", [row, column], f"{name}.distance")
    limits = [graph.integers(f"{name}.{end}", at) for end, at in (("lowest", -largest), ("highest", largest))]
    clipped = graph.node("Clip", [distance, *limits], f"{name}.clipped")
    index = graph.node("Add", [clipped, limits[1]], f"{name}.index")
    values = graph.node("Gather", [table, index], f"{name}.values")
    by_head = graph.node("Transpose", [values], f"{name}.by_head", {"perm": [2, 0, 1]})
    return graph.node("Unsqueeze", [by_head, graph.integers(f"{name}.batch_axis", [0])], f"{name}.bias")

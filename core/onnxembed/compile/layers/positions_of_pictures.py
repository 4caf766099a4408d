"""Positions of patches, scaled to the size of the pictures at hand."""

from __future__ import annotations

from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.operators import AttributeValue

# Of the cubic convolution: what PyTorch takes without and with smoothing (Keys 1981, with a = -3/4 and -1/2).
_SHARP, _SMOOTH = -0.75, -0.5


def resized_positions(
    into: WeightedGraph, positions: str, grid_of: str, side: int, hidden: int, *, antialias: bool
) -> str:
    """Scale vectors of positions (1, 1 + side * side, hidden), the first of which stands apart.

    ``grid_of`` has the shape (batch, hidden, rows, columns) of the patches at hand. Positions of ``side`` rows and
    columns come out as they are.
    """
    graph = into.graph

    def part(name: str, start: int, end: int) -> str:
        bounds = [
            graph.integers(f"positions.{name}.{which}", [value])
            for which, value in (("start", start), ("end", end), ("axis", 1))
        ]
        return graph.node("Slice", [positions, *bounds], f"positions.{name}")

    first, rest = part("first", 0, 1), part("patches", 1, 1 << 31)
    square = graph.node(
        "Reshape", [rest, graph.integers("positions.square", [1, side, side, hidden])], "positions.rows"
    )
    channels_first = graph.node("Transpose", [square], "positions.channels", {"perm": [0, 3, 1, 2]})
    rows_and_columns = graph.node("Shape", [grid_of], "positions.grid", {"start": 2, "end": 4})
    sizes = graph.node(
        "Concat",
        [graph.integers("positions.one_and_hidden", [1, hidden]), rows_and_columns],
        "positions.sizes",
        {"axis": 0},
    )
    attributes: dict[str, AttributeValue] = {
        "mode": "cubic",
        "coordinate_transformation_mode": "half_pixel",
        "cubic_coeff_a": _SMOOTH if antialias else _SHARP,
    }
    if antialias:
        attributes |= {"antialias": 1, "exclude_outside": 1}
    resized = graph.node("Resize", [channels_first, "", "", sizes], "positions.resized", attributes)
    flat = graph.node("Reshape", [resized, graph.integers("positions.flat", [1, hidden, -1])], "positions.columns")
    turned = graph.node("Transpose", [flat], "positions.turned", {"perm": [0, 2, 1]})
    return graph.node("Concat", [first, turned], "positions.of_pictures", {"axis": 1})

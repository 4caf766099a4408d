"""Where tokens stand in their text; padding is on the right, so it is the same for every text of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.layers.attention import MASKED_SCORE

if TYPE_CHECKING:
    from onnxembed.compile.graph_builder import GraphBuilder


def token_positions(graph: GraphBuilder, sequence: str) -> str:
    """Add the numbers from 0, int64 (sequence,), for a value of shape (batch, sequence, ...)."""
    length = graph.node("Shape", [sequence], "positions.length", {"start": 1, "end": 2})
    zero, one = (graph.integers(f"positions.{name}", value) for name, value in (("zero", 0), ("one", 1)))
    return graph.node("Range", [zero, graph.node("Squeeze", [length], "positions.count"), one], "positions")


def window_bias(graph: GraphBuilder, positions: str, name: str, *, farthest: int | None, causal: bool = False) -> str:
    """Add a bias of scores (1, 1, sequence, sequence), which is very low for tokens that are not to be seen.

    Args:
        graph: The graph.
        positions: The positions, int64 (sequence,).
        name: What the names of the values begin with.
        farthest: How many places away the last tokens are that are seen; ``None`` for any distance.
        causal: Whether later tokens are hidden, too.

    Returns:
        The name of the bias.
    """
    row = graph.node("Unsqueeze", [positions, graph.integers(f"{name}.row_axes", [0, 1, 2])], f"{name}.row")
    column = graph.node("Unsqueeze", [positions, graph.integers(f"{name}.column_axes", [0, 1, 3])], f"{name}.column")
    back = graph.node("Sub", [column, row], f"{name}.places_back")
    unseen = []
    if farthest is not None:
        distance = graph.node("Abs", [back], f"{name}.distance")
        unseen.append(graph.node("Greater", [distance, graph.integers(f"{name}.farthest", farthest)], f"{name}.far"))
    if causal:
        unseen.append(graph.node("Less", [back, graph.integers(f"{name}.itself", 0)], f"{name}.later"))
    either = graph.node("Or", unseen, f"{name}.unseen") if len(unseen) == 2 else unseen[0]
    hidden = graph.node("Cast", [either], f"{name}.hidden", {"to": FLOAT})
    return graph.node("Mul", [hidden, graph.floats(f"{name}.masked_score", MASKED_SCORE)], f"{name}.bias")

"""Rotary positions whose turns slow down for texts longer than those of the training (dynamic NTK scaling).

The base of the frequencies grows with a text's own length. The code that models with it are published with takes the
length of the batch, padding included; a text's vectors then depend on its neighbours, which they do not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.body import ATTENTION_MASK
from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.layers.rotary import Angles, Rotary

if TYPE_CHECKING:
    from onnxembed.compile.graph_builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Stretch:
    """How turns slow down.

    Attributes:
        factor: How fast the base grows.
        trained: Tokens up to which it stays.
    """

    factor: float
    trained: int


def stretched_angles(graph: GraphBuilder, rotary: Rotary, stretch: Stretch, positions: str, name: str) -> Angles:
    """Add cosines and sines of each text's own, (batch x sequence, pairs), and where each token finds its row.

    With ``growth = factor * length / trained - (factor - 1)``, at least 1, the base is multiplied by
    ``growth ** (size / (size - 2))``, so pair ``i`` turns by ``growth ** (-2 i / (size - 2))`` as much.

    Args:
        graph: The graph.
        rotary: The turns of short texts.
        stretch: How they slow down.
        positions: The positions, int64 (sequence,), which begin at 0.
        name: What the names of the values begin with.

    Returns:
        Their names.
    """
    exponents = [-2 * pair / (rotary.size - 2) for pair in range(rotary.size // 2)]
    axis = graph.integers(f"{name}.axis", [1])
    counted = graph.node("ReduceSum", [ATTENTION_MASK, axis], f"{name}.tokens", {"keepdims": 1})
    length = graph.node("Cast", [counted], f"{name}.length", {"to": FLOAT})
    slope = graph.floats(f"{name}.slope", stretch.factor / stretch.trained)
    rising = graph.node("Mul", [length, slope], f"{name}.rising")
    lifted = graph.node("Sub", [rising, graph.floats(f"{name}.start", stretch.factor - 1)], f"{name}.lifted")
    growth = graph.node("Max", [lifted, graph.floats(f"{name}.least", 1)], f"{name}.growth")
    slowed = graph.node("Pow", [growth, graph.floats(f"{name}.exponents", exponents)], f"{name}.slowed")
    frequencies = graph.floats(f"{name}.frequencies", rotary.frequencies)
    by_text = graph.node("Mul", [slowed, frequencies], f"{name}.by_text")  # (batch, pairs)

    place = graph.node("Cast", [positions], f"{name}.place", {"to": FLOAT})
    column = graph.node("Unsqueeze", [place, axis], f"{name}.column")
    rows = graph.node("Unsqueeze", [by_text, axis], f"{name}.rows")
    angle = graph.node("Mul", [column, rows], f"{name}.angle")  # (batch, sequence, pairs)
    flat_shape = graph.integers(f"{name}.flat_shape", [-1, rotary.size // 2])
    flat = graph.node("Reshape", [angle, flat_shape], f"{name}.flat")
    cosines, sines = (graph.node(kind, [flat], f"{name}.{kind.lower()}") for kind in ("Cos", "Sin"))

    shape = graph.node("Shape", [ATTENTION_MASK], f"{name}.shape")
    count = graph.node("ReduceProd", [shape], f"{name}.count", {"keepdims": 0})
    zero, one = (graph.integers(f"{name}.{word}", value) for word, value in (("zero", 0), ("one", 1)))
    numbers = graph.node("Range", [zero, count, one], f"{name}.numbers")
    return Angles(rotary, graph.node("Reshape", [numbers, shape], f"{name}.first"), cosines, sines)

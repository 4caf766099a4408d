"""A bias of attention scores that falls with the distance of two tokens, at a slope of each head's own.

ALiBi (arXiv:2108.12409), in the form for encoders: both directions fall alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import FLOAT

if TYPE_CHECKING:
    from onnxembed.compile.graph_builder import GraphBuilder


def slopes(heads: int) -> list[float]:
    """Give the slope of each head: ``2 ** (-8 i / n)`` for the ``n`` heads of a power of 2.

    Of another number, the largest power of 2 below it has these, and the rest take every other slope of twice that
    power, as the paper's authors do.
    """
    power = 2 ** int(math.log2(heads))
    first = [2 ** (-8 * (place + 1) / power) for place in range(power)]
    return first if power == heads else first + slopes(2 * power)[::2][: heads - power]


def alibi_bias(graph: GraphBuilder, positions: str, heads: int) -> str:
    """Add the bias (1, heads, sequence, sequence) of positions int64 (sequence,)."""
    import numpy as np

    place = graph.node("Cast", [positions], "alibi.place", {"to": FLOAT})
    row = graph.node("Unsqueeze", [place, graph.integers("alibi.row_axes", [0, 1, 2])], "alibi.row")
    column = graph.node("Unsqueeze", [place, graph.integers("alibi.column_axes", [0, 1, 3])], "alibi.column")
    distance = graph.node("Abs", [graph.node("Sub", [column, row], "alibi.difference")], "alibi.distance")
    falling = graph.initializer("alibi.slopes", -np.array(slopes(heads), np.float32).reshape(1, heads, 1, 1))
    return graph.node("Mul", [distance, falling], "alibi.bias")

"""The feed-forward of a layer: with a gate (arXiv:2002.05202), or two linear layers with an activation between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.layers.part import Part, activated_part, projected

if TYPE_CHECKING:
    from onnxembed.compile.layers.weighted_graph import WeightedGraph


@dataclass(frozen=True, slots=True)
class FeedForward:
    """The layers of a feed-forward.

    Attributes:
        up: From a token's vector to the inner one.
        down: Back.
        activation: A key of ``ACTIVATIONS``.
        gate: What is activated and multiplies what `up` gives; ``None`` where that itself is activated.
    """

    up: Part
    down: Part
    activation: str
    gate: Part | None = None

    @property
    def parts(self) -> Iterator[Part]:
        """All linear layers."""
        yield from (self.up, self.down) if self.gate is None else (self.gate, self.up, self.down)


def feed_forward(into: WeightedGraph, layers: FeedForward, value: str) -> str:
    """Add it; the result has the shape of its input."""
    if layers.gate is None:
        inner = activated_part(into, layers.up, value, layers.activation)
    else:
        opened = activated_part(into, layers.gate, value, layers.activation)
        inner = into.graph.node("Mul", [opened, projected(into, layers.up, value)], f"{layers.down.label}.inner")
    return projected(into, layers.down, inner)

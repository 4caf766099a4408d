"""The layers of a tower: transformer layers that normalize what goes into attention and feed-forward.

Vision transformers and both halves of CLIP and SigLIP are made of them. No position is ever padding: pictures have
none, texts are read from left to right, or have one length.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.compile.body import Shapes
from onnxembed.compile.graph_builder import MICROSOFT
from onnxembed.compile.layers.activation import activation
from onnxembed.compile.layers.linear import activated, linear, product
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.weighted_graph import WeightedGraph


@dataclass(frozen=True, slots=True)
class TowerNames:
    """How a family names the parts of a layer.

    Attributes:
        layer: The layer, with a place for its number; all others follow it.
        norm1: Normalization before attention.
        query: Linear layer of the queries.
        key: The same of the keys.
        value: The same of the values.
        output: Linear layer after attention.
        norm2: Normalization before feed-forward.
        up: First linear layer of feed-forward.
        down: Second one.
        scale1: A factor per channel after attention, where the family has one.
        scale2: The same after feed-forward.
    """

    layer: str
    norm1: str
    query: str
    key: str
    value: str
    output: str
    norm2: str
    up: str
    down: str
    scale1: str | None = None
    scale2: str | None = None


@dataclass(frozen=True, slots=True)
class Tower:
    """The layers.

    Attributes:
        names: How the family names their parts.
        hidden: Numbers of a position's vector.
        layers: Number of layers.
        heads: Number of heads.
        intermediate: Numbers between the two products of a feed-forward layer.
        epsilon: Of the layer normalizations.
        activation: Of the feed-forward layers, a key of ``ACTIVATIONS``.
        causal: Whether a position attends only to itself and those before it.
        gated: Whether ``up`` gives twice the numbers, the first half activated and multiplied with the second.
        bias: Whether queries, keys and values have a bias.
    """

    names: TowerNames
    hidden: int
    layers: int
    heads: int
    intermediate: int
    epsilon: float
    activation: str
    causal: bool = False
    gated: bool = False
    bias: bool = True

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight."""
        names, hidden = self.names, self.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        for number in range(self.layers):
            prefix = names.layer.format(number)
            for name, outputs, inputs, bias in (
                (names.query, hidden, hidden, self.bias),
                (names.key, hidden, hidden, self.bias),
                (names.value, hidden, hidden, self.bias),
                (names.output, hidden, hidden, True),
                (names.up, self.intermediate * (2 if self.gated else 1), hidden, True),
                (names.down, hidden, self.intermediate, True),
            ):
                shapes[f"{prefix}.{name}.weight"] = (outputs, inputs)
                if bias:
                    shapes[f"{prefix}.{name}.bias"] = (outputs,)
            for name in (names.norm1, names.norm2):
                shapes |= norm_weights(f"{prefix}.{name}", hidden)
            for name in filter(None, (names.scale1, names.scale2)):
                shapes[f"{prefix}.{name}"] = (hidden,)
        return shapes

    def add(self, into: WeightedGraph, hidden: str) -> str:
        """Add all layers to vectors (batch, positions, hidden); return the name of theirs."""
        for number in range(self.layers):
            hidden = self._layer(into, self.names.layer.format(number), hidden)
        return hidden

    def _layer(self, into: WeightedGraph, prefix: str, hidden: str) -> str:
        names = self.names
        inner = layer_norm(into, f"{prefix}.{names.norm1}", hidden, f"{prefix}.before_attention", self.epsilon)
        attended = linear(into, f"{prefix}.{names.output}", self._attention(into, prefix, inner))
        hidden = self._added(into, prefix, names.scale1, attended, hidden, "attended")
        inner = layer_norm(into, f"{prefix}.{names.norm2}", hidden, f"{prefix}.before_feed_forward", self.epsilon)
        outer = linear(into, f"{prefix}.{names.down}", self._up(into, f"{prefix}.{names.up}", inner))
        return self._added(into, prefix, names.scale2, outer, hidden, "fed_forward")

    def _attention(self, into: WeightedGraph, prefix: str, inner: str) -> str:
        roles = [f"{prefix}.{role}" for role in (self.names.query, self.names.key, self.names.value)]
        inputs = [product(into, role, inner) for role in roles]
        if self.bias:
            inputs.append(joined_biases(into, roles, f"{prefix}.attention.bias"))
        attributes = {"num_heads": self.heads, "unidirectional": int(self.causal)}
        return into.graph.node("MultiHeadAttention", inputs, f"{prefix}.context", attributes, domain=MICROSOFT)

    def _up(self, into: WeightedGraph, name: str, inner: str) -> str:
        if not self.gated:
            return activated(into, name, inner, self.activation)
        graph, both = into.graph, linear(into, name, inner)
        gate, gated = graph.halves(both, f"{name}.gate", f"{name}.gated")
        active = activation(graph, self.activation, gate, f"{name}.active")
        return graph.node("Mul", [active, gated], f"{name}.product_of_halves")

    def _added(
        self, into: WeightedGraph, prefix: str, scale: str | None, value: str, residual: str, output: str
    ) -> str:
        graph = into.graph
        if scale is not None:
            value = graph.node("Mul", [value, into.weight(f"{prefix}.{scale}")], f"{prefix}.{output}.scaled")
        return graph.node("Add", [value, residual], f"{prefix}.{output}")


def norm_weights(name: str, size: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of the weights of a layer normalization."""
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def joined_biases(into: WeightedGraph, names: list[str], output: str) -> str:
    """Add the biases of several layers as one tensor, as MultiHeadAttention takes them."""
    import numpy as np

    checkpoint = into.checkpoint
    shape = (sum(checkpoint.shape(f"{name}.bias")[0] for name in names),)
    into.graph.later(output, shape, lambda: np.concatenate([checkpoint.weight(f"{name}.bias") for name in names]))
    return output


def merged(*shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """All of several tables of weights."""
    return {name: shape for table in shapes for name, shape in table.items()}

"""What an architecture makes of a checkpoint, and heads end: a model up to its token vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.compile.layers.attention import SelfAttention
    from onnxembed.compile.layers.weighted_graph import WeightedGraph

ATTENTION_MASK = "attention_mask"
"""The input (batch, sequence), int64, 1 for tokens and 0 for padding; every body declares it."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Body:
    """A model up to its token vectors, not yet added to its graph.

    Attributes:
        into: The graph and the weights.
        hidden: Length of a token's vector.
        layers: Number of layers.
        vocabulary: Entries of the vocabulary.
        epsilon: Of the layer normalizations.
        activation: Of the feed-forward layers, a key of ``ACTIVATIONS``.
        weights: Name and shape of each weight.
        unused: Beginnings of the names of weights that may be there and are left out.
        add_all: Adds the inputs and all layers; returns the name of the token vectors (batch, sequence, hidden).
        add_all_but_last: Adds the inputs and all layers but the last; returns the name of their token vectors, and the
            attention of the last layer.
    """

    into: WeightedGraph
    hidden: int
    layers: int
    vocabulary: int
    epsilon: float
    activation: str
    weights: Shapes
    unused: tuple[str, ...]
    add_all: Callable[[], str]
    add_all_but_last: Callable[[], tuple[str, SelfAttention]]

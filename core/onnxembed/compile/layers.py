"""The pieces that graphs of transformers are made of, with the weights of a checkpoint.

Written the way ONNX Runtime's processor kernels are fastest, which was measured: weights transposed beforehand, bias
and activation fused, but addition and layer normalisation apart, since the fused kernel for these two is the slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import MICROSOFT, GraphBuilder

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint

ACTIVATIONS = {"gelu": "BiasGelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu", "relu": "Relu"}
"""Operators that add the bias and activate, by the names that configurations use; ``Relu`` has no fused form."""
MASKED_SCORE = -1e30
"""Added to the scores of padding: it swallows any score, so padding weighs exactly 0; finite for lone padding."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Adds layers to a graph; each method returns the name of what it added.

    Attributes:
        graph: The graph under construction.
        checkpoint: Where the weights are; a layer's name is the beginning of its weights' names.
        epsilon: Of the layer normalisations.
        activation: Of the feed-forward layers, a key of ``ACTIVATIONS``.
    """

    graph: GraphBuilder
    checkpoint: Checkpoint
    epsilon: float
    activation: str

    def weight(self, name: str) -> str:
        """Add a weight as it is."""
        return self.graph.initializer(name, self.checkpoint.weight(name))

    def product(self, name: str, value: str) -> str:
        """Multiply by a layer's weights, which are stored the other way round."""
        weight = self.graph.initializer(f"{name}.weight", self.checkpoint.weight(f"{name}.weight").T)
        return self.graph.node("MatMul", [value, weight], f"{name}.product")

    def linear(self, name: str, value: str) -> str:
        """Multiply by a layer's weights and add its bias."""
        return self.graph.node("Add", [self.product(name, value), self.weight(f"{name}.bias")], f"{name}.output")

    def activated(self, name: str, value: str) -> str:
        """A linear layer followed by the activation."""
        product, bias = self.product(name, value), self.weight(f"{name}.bias")
        operator = ACTIVATIONS[self.activation]
        if operator == "Relu":
            total = self.graph.node("Add", [product, bias], f"{name}.sum")
            return self.graph.node(operator, [total], f"{name}.output")
        return self.graph.node(operator, [product, bias], f"{name}.output", domain=MICROSOFT)

    def add_and_norm(self, prefix: str, value: str, residual: str, output: str | None = None) -> str:
        """A linear layer, its input added, normalised."""
        dense = self.linear(f"{prefix}.dense", value)
        total = self.graph.node("Add", [dense, residual], f"{prefix}.sum")
        return self.layer_norm(f"{prefix}.LayerNorm", total, output or f"{prefix}.normalized")

    def layer_norm(self, name: str, value: str, output: str) -> str:
        """Normalise each vector."""
        inputs = [value, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.graph.node("LayerNormalization", inputs, output, {"axis": -1, "epsilon": self.epsilon})

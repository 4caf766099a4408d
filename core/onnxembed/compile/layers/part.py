"""Linear layers that may share one weight in a checkpoint, and may have adapters for tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import MICROSOFT
from onnxembed.compile.layers.activation import FUSED_WITH_BIAS, activation
from onnxembed.compile.layers.adapters import Adapters, adaptation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.body import Shapes
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.layers.weighted_graph import WeightedGraph


@dataclass(frozen=True, slots=True)
class Part:
    """A linear layer, or one of several of equal size whose outputs lie one after the other in one weight.

    Attributes:
        name: Beginning of the names of its weights.
        inputs: Numbers that it takes per token.
        outputs: Numbers that it gives.
        bias: Whether it has a bias.
        place: Which of the layers in the weight it is, from 0.
        of: How many layers the weight holds.
        adapters: What tasks add to it, if they do.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = True
    place: int = field(default=0, kw_only=True)
    of: int = field(default=1, kw_only=True)
    adapters: Adapters | None = field(default=None, kw_only=True)

    @property
    def weights(self) -> Shapes:
        """Name and shape of the weights that it lies in."""
        rows = self.of * self.outputs
        bias: Shapes = {f"{self.name}.bias": (rows,)} if self.bias else {}
        added = {} if self.adapters is None else self.adapters.of_layer(self.name, self.inputs, rows)
        return {f"{self.name}.weight": (rows, self.inputs), **bias, **added}

    @property
    def label(self) -> str:
        """What the names of its values begin with."""
        return self.name if self.of == 1 else f"{self.name}.{self.place}"

    @property
    def rows(self) -> slice:
        """Where it lies in its weights."""
        return slice(self.place * self.outputs, (self.place + 1) * self.outputs)


def projected(into: WeightedGraph, part: Part, value: str) -> str:
    """Multiply by the layer's weights and add its bias, if it has one."""
    multiplied = _product(into, part, value)
    if not part.bias:
        return multiplied
    return into.graph.node("Add", [multiplied, _bias(into, part)], f"{part.label}.output")


def activated_part(into: WeightedGraph, part: Part, value: str, kind: str) -> str:
    """The layer followed by an activation, a key of ``ACTIVATIONS``."""
    operator = FUSED_WITH_BIAS.get(kind)
    if operator is None or not part.bias:
        return activation(into.graph, kind, projected(into, part, value), f"{part.label}.activated")
    inputs = [_product(into, part, value), _bias(into, part)]
    return into.graph.node(operator, inputs, f"{part.label}.output", domain=MICROSOFT)


def _product(into: WeightedGraph, part: Part, value: str) -> str:
    name = f"{part.label}.weight.transposed"
    if not into.graph.has_tensor(name):
        into.graph.later(name, (part.inputs, part.outputs), partial(_transposed, into.checkpoint, part))
    product = into.graph.node("MatMul", [value, name], f"{part.label}.product")
    if part.adapters is None:
        return product
    added = adaptation(into, part.adapters, part.name, value, inputs=part.inputs, rows=part.rows, label=part.label)
    return into.graph.node("Add", [product, added], f"{part.label}.adapted")


def _transposed(checkpoint: Checkpoint, part: Part) -> NDArray[np.float32]:
    return checkpoint.weight(f"{part.name}.weight", part.rows).T


def _bias(into: WeightedGraph, part: Part) -> str:
    name, checkpoint = f"{part.label}.bias", into.checkpoint
    if not into.graph.has_tensor(name):
        into.graph.later(name, (part.outputs,), lambda: checkpoint.weight(f"{part.name}.bias", part.rows))
    return name

"""The small layers between a body and what a head gives, described as data by the body."""

from __future__ import annotations

from collections.abc import Sequence

from onnxembed.compile.body import Activation, Linear, Norm, Shapes, Step
from onnxembed.compile.layers.activation import activation
from onnxembed.compile.layers.linear import activated, linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.weighted_graph import WeightedGraph


def step_weights(steps: Sequence[Step]) -> Shapes:
    """Name and shape of each weight of the steps."""
    shapes: dict[str, tuple[int, ...]] = {}
    for step in steps:
        if isinstance(step, Linear):
            shapes[f"{step.name}.weight"] = (step.outputs, step.inputs)
            shapes |= {f"{step.name}.bias": (step.outputs,)} if step.bias else {}
        elif isinstance(step, Norm):
            shapes[f"{step.name}.weight"] = (step.size,)
            shapes |= {f"{step.name}.bias": (step.size,)} if step.bias else {}
    return shapes


def add_steps(into: WeightedGraph, steps: Sequence[Step], value: str) -> str:
    """Add the steps one after the other; return the name of the last value."""
    if not steps:
        return value
    step, *rest = steps
    following = rest[0] if rest else None
    if isinstance(step, Linear) and step.bias and isinstance(following, Activation):
        return add_steps(into, rest[1:], activated(into, step.name, value, following.name))
    if isinstance(step, Linear):
        value = linear(into, step.name, value, bias=step.bias)
    elif isinstance(step, Norm):
        value = layer_norm(into, step.name, value, f"{step.name}.output", step.epsilon, bias=step.bias)
    else:
        value = activation(into.graph, step.name, value, f"{value}.{step.name}")
    return add_steps(into, rest, value)

"""Copies a model node by node into a new graph, in a later version of ONNX's operators, with some nodes replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import GraphBuilder, stored_attribute
from onnxembed.compile.rewrite.opsets import OPSET, axes_become_an_input
from onnxembed.errors import ModelError, UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.formats.onnx_model import Model, Node

_OPSET_OF_NUMBERED_SPLIT = 18


@dataclass(slots=True)
class Copy:
    """A graph that takes over the nodes of a model.

    Attributes:
        model: What is copied, read from its file.
        own: Begins the names of values that are added, which must not meet those of the file.
        opset: The version to bring its operators to, `OPSET` or, where it is the model's own, any.
        graph: The new graph.
    """

    model: Model
    own: str
    opset: int = OPSET
    graph: GraphBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.graph = GraphBuilder(self.own.strip("/"), max(self.opset, self.model.facts.opset))
        for message in self.model.inputs:
            self.graph.copied_input(message)

    def node(self, node: Node, inputs: Iterable[str] | None = None, outputs: Iterable[str] | None = None) -> None:
        """Take a node over, with other inputs or outputs if they are given."""
        raised = self._raised(replace(node, inputs=tuple(node.inputs if inputs is None else inputs)))
        for name in raised.inputs:
            self.constant(name)
        if raised.has_graphs:
            self._constants_within(raised)
        self.graph.copied_node(
            raised.operator, raised.domain, raised.inputs, tuple(outputs or raised.outputs), raised.attributes
        )

    def _constants_within(self, node: Node) -> None:
        """Take over the constants whose names stand in the graphs of an operator."""
        for name in self.model.constants:
            if any(name.encode() in message for message in node.attributes.values()):
                self.constant(name)

    def constant(self, name: str) -> None:
        """Take a constant over, once, if the name is that of one."""
        constant = self.model.constants.get(name)
        if constant is not None and not self.graph.has_tensor(name):
            self.graph.later(name, constant.shape, constant.array, constant.type_name)

    def outputs(self) -> None:
        """Take the outputs over."""
        for message, info in zip(self.model.outputs, self.model.facts.outputs, strict=True):
            self.constant(info.name)
            self.graph.copied_output(message)

    def _raised(self, node: Node) -> Node:
        """Bring a node to the new version."""
        opset, attributes = self.model.facts.opset, dict(node.attributes)
        if node.domain or opset >= self.opset:
            return node
        if node.operator == "Dropout":
            return replace(node, operator="Identity", inputs=node.inputs[:1], attributes={})
        if axes_become_an_input(node.operator, opset) and "axes" in attributes:
            inputs = (*node.inputs, self._integers(node, "axes"))
            attributes.pop("axes")
            return replace(node, inputs=inputs, attributes=attributes)
        if node.operator == "Split":
            if "split" in attributes:
                inputs = (*node.inputs, self._integers(node, "split"))
                attributes.pop("split")
                return replace(node, inputs=inputs, attributes=attributes)
            if opset < _OPSET_OF_NUMBERED_SPLIT and len(node.inputs) == 1:
                return replace(
                    node, attributes={**attributes, "num_outputs": stored_attribute("num_outputs", len(node.outputs))}
                )
        return node

    def _integers(self, node: Node, attribute: str) -> str:
        values = node.wholes(attribute)
        if values is None:
            raise ModelError(f"{self.model.path}: an operator {node.operator} lacks its {attribute}")
        return self.graph.integers(f"{self.own}{node.outputs[0]}.{attribute}", values)


def require_free_names(model: Model, own: str) -> None:
    """Refuse a graph with values named as those are that a rewrite adds."""
    names = (*model.constants, *(name for node in model.nodes for name in node.outputs))
    taken = next((name for name in names if name.startswith(own)), None)
    if taken is not None:
        raise UnsupportedModelError(
            f"{model.path}: the value {taken!r} has the name of one that this precision adds, all of which begin with "
            f"{own!r}; rename it, or use precision='fp32'"
        )


def copied(model: Model, outputs: Iterable[str] = ()) -> GraphBuilder:
    """Copy a model as it is, with further values as outputs."""
    copy = Copy(model, "copy/")
    for node in model.nodes:
        copy.node(node)
    copy.outputs()
    own = {info.name for info in model.facts.outputs}
    for name in outputs:
        if name not in own:
            copy.graph.open_output(name)
    return copy.graph

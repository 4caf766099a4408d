"""A graph under construction together with the checkpoint that its weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.graph_builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class WeightedGraph:
    """What layers are added to; a layer's name is the beginning of the names of its weights.

    A weight is read while the graph is written, and is added once, however many layers share it.
    """

    graph: GraphBuilder
    checkpoint: Checkpoint

    def weight(self, name: str) -> str:
        """Add a weight as it is; return its name in the graph."""
        if not self.graph.has_tensor(name):
            shape = self.checkpoint.shape(name)
            self.graph.later_by_rows(name, shape, lambda rows: self.checkpoint.weight(name, rows))
        return name

    def transposed(self, name: str) -> str:
        """Add a matrix (outputs, inputs) the other way round; return its name in the graph."""
        added = f"{name}.transposed"
        if not self.graph.has_tensor(added):
            self.graph.later(added, self.checkpoint.shape(name)[::-1], lambda: self.checkpoint.weight(name).T)
        return added

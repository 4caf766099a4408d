"""A graph under construction together with the checkpoint that its weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.graph_builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class WeightedGraph:
    """What layers are added to; a layer's name is the beginning of the names of its weights."""

    graph: GraphBuilder
    checkpoint: Checkpoint

    def weight(self, name: str) -> str:
        """Add a weight as it is."""
        return self.graph.initializer(name, self.checkpoint.weight(name))

"""Adapters of low rank (LoRA, arXiv:2106.09685), one for each of several tasks: a few numbers beside each weight.

Beside a layer's weights ``W`` lie ``A`` (tasks, rank, inputs) and ``B`` (tasks, outputs, rank); task ``t`` computes
``x (W + scale B[t] A[t])``. The graph takes the task's number as ``task_id`` and adds ``(x A[t]) B[t]`` to ``x W``: the
large weights are there once. The number after the last task's is that of none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.body import Shapes
    from onnxembed.compile.layers.weighted_graph import WeightedGraph

Make = Callable[[], "NDArray[np.float32]"]

TASK_ID = "task_id"
"""The input, an int64 number."""
_DOWN, _UP = "lora_A", "lora_B"


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters of a model.

    Attributes:
        tasks: How many there are.
        rank: Numbers between the two products.
        scale: What is multiplied with what they give.
    """

    tasks: int
    rank: int
    scale: float

    def of_layer(self, name: str, inputs: int, outputs: int) -> Shapes:
        """Name and shape of those of a linear layer."""
        return {
            f"{name}.{_DOWN}": (self.tasks, self.rank, inputs),
            f"{name}.{_UP}": (self.tasks, outputs, self.rank),
        }

    def of_table(self, name: str, rows: int, size: int) -> Shapes:
        """Name and shape of those of a table of vectors, which lie the other way round."""
        return {f"{name}.{_DOWN}": (self.tasks, rows, self.rank), f"{name}.{_UP}": (self.tasks, self.rank, size)}


def adaptation(
    into: WeightedGraph, adapters: Adapters, name: str, value: str, *, inputs: int, rows: slice, label: str
) -> str:
    """Give what the task adds to a linear layer's outputs, of which ``rows`` are taken; ``label`` names the values."""
    checkpoint, graph, outputs = into.checkpoint, into.graph, rows.stop - rows.start

    def down() -> NDArray[np.float32]:
        return checkpoint.weight(f"{name}.{_DOWN}").swapaxes(1, 2)

    def up() -> NDArray[np.float32]:
        return _scaled(checkpoint.weight(f"{name}.{_UP}")[:, rows].swapaxes(1, 2), adapters)

    first = _of_task(into, adapters, f"{name}.{_DOWN}", (inputs, adapters.rank), down)
    second = _of_task(into, adapters, f"{label}.{_UP}", (adapters.rank, outputs), up)
    narrow = graph.node("MatMul", [value, first], f"{label}.adapter.narrow")
    return graph.node("MatMul", [narrow, second], f"{label}.adapter")


def table_adaptation(into: WeightedGraph, adapters: Adapters, name: str, rows: str) -> str:
    """Give what the task adds to the vectors of a table's ``rows``, int64 of any shape."""
    checkpoint, graph = into.checkpoint, into.graph
    size = checkpoint.shape(f"{name}.{_DOWN}")[1], checkpoint.shape(f"{name}.{_UP}")[2]

    def up() -> NDArray[np.float32]:
        return _scaled(checkpoint.weight(f"{name}.{_UP}"), adapters)

    table = partial(checkpoint.weight, f"{name}.{_DOWN}")
    first = _of_task(into, adapters, f"{name}.{_DOWN}", (size[0], adapters.rank), table)
    second = _of_task(into, adapters, f"{name}.{_UP}", (adapters.rank, size[1]), up)
    narrow = graph.node("Gather", [first, rows], f"{name}.adapter.narrow")
    return graph.node("MatMul", [narrow, second], f"{name}.adapter")


def _scaled(values: NDArray[np.float32], adapters: Adapters) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = values * values.dtype.type(adapters.scale)
    return scaled


def _of_task(into: WeightedGraph, adapters: Adapters, name: str, shape: tuple[int, ...], make: Make) -> str:
    """Add the values of all tasks and of none, once; return those of the task."""
    if not into.graph.has_tensor(name):
        into.graph.later(name, (adapters.tasks + 1, *shape), partial(_with_none, make))
    return into.graph.node("Gather", [name, TASK_ID], f"{name}.of_task", {"axis": 0})


def _with_none(make: Make) -> NDArray[np.float32]:
    import numpy as np

    values = make()
    return np.concatenate([values, np.zeros_like(values[:1])])

"""Where files hold both a graph and weights: which of them is used, and why.

The graph is what its publisher made, so it is used unless figures say that the one that is compiled of the weights is
better. That is decided by the list of files alone, before anything large is fetched, and never by the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.compile.measured import BETTER
from onnxembed.hub.files import weights_names
from onnxembed.hub.folder import CONFIG_FILE

if TYPE_CHECKING:
    from onnxembed.hub.files import Files
    from onnxembed.spec import ModelSpec

FIGURES = "onnxembed's figures"
"""What is named as the file of a decision that figures made."""
# Both hold the same numbers, where their sizes are about the same: weights of half precision are half as large.
_LEAST_SHARE, _LARGEST_SHARE = 0.8, 1.1
# Keys of models whose graphs are others than those that were measured: code of their own, adapters for tasks.
_NOT_MEASURED = frozenset({"auto_map", "lora_adaptations"})


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two forms of a model is used.

    Attributes:
        weights: The file of the weights; ``None`` where the graph is used.
        why: Why, for people.
    """

    weights: str | None
    why: str


def preference(files: Files, graph: str, kind: type[ModelSpec], compiles: Callable[[], bool]) -> Preference | None:
    """Choose between a graph in single precision and the weights beside it.

    Args:
        files: A model's files.
        graph: The graph among them that would be used.
        kind: What the model is described by.
        compiles: Tells whether the weights can be compiled, as far as their configuration says.

    Returns:
        The choice; ``None`` where there are no weights to choose.
    """
    weights = weights_names(files)
    if not weights:
        return None
    if not kind.graph_is_compiled_better:
        return Preference(None, "the shipped graph is used: no figures compare graphs of this kind")
    config = files.json_object(CONFIG_FILE)
    model_type = str(config.get("model_type", ""))
    figures = BETTER.get(model_type)
    if figures is None or not _NOT_MEASURED.isdisjoint(config):
        return Preference(
            None, f"the shipped graph is used: nothing says that one compiled of {model_type!r} is better"
        )
    sizes = _size(files, weights), _size(files, _with_data(files, graph))
    if None in sizes or not _about_the_same(*sizes):
        return Preference(None, "the shipped graph is used: the weights beside it are not of about the same size")
    if not compiles():
        return Preference(None, "the shipped graph is used: the weights beside it cannot be compiled")
    return Preference(weights[0], f"a graph compiled of the weights is used: for {model_type!r} it is {figures}")


def _about_the_same(weights: int | None, graph: int | None) -> bool:
    return bool(weights and graph) and _LEAST_SHARE <= (weights or 0) / (graph or 1) <= _LARGEST_SHARE


def _size(files: Files, names: tuple[str, ...]) -> int | None:
    """Bytes of some files, ``None`` where a mirror does not say."""
    sizes = [files.size(name) for name in names]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _with_data(files: Files, graph: str) -> tuple[str, ...]:
    """A graph, and the files beside it that keep weights of it by their usual names."""
    name = PurePosixPath(graph).name
    place = str(PurePosixPath(graph).parent)
    beside = [
        other
        for other in files.names()
        if str(PurePosixPath(other).parent) == place
        and PurePosixPath(other).name.startswith((f"{name}_data", f"{name}.data"))
    ]
    return (graph, *beside)

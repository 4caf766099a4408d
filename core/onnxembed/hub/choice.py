"""Which of the graphs of a model to use: the caller's choice, else full precision, else what there is, and say so.

Repositories ship one model in many forms, whose names differ at their ends: ``model.onnx``, ``model_fp16.onnx``,
``model_O2.onnx``, ``model_qint8_arm64.onnx``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from onnxembed.errors import InputError, ModelNotFoundError
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from onnxembed.hub.files import Files, has_weights, weights_names
from onnxembed.suggest import listed

logger = logging.getLogger("onnxembed.models")

FULL = "fp32"
"""The variant without an end of its own."""
_PLACES = ("onnx", ".")
# The nearest to full precision first. Those that are not named here come last.
_NEAREST = ("fp16", "O1", "O2", "O3", "O4", "optimized", "int8", "quantized", "uint8", "q8", "q4f16", "q4", "bnb4")
_END = re.compile(
    r"(?P<stem>.+?)_(?P<variant>fp32|fp16|bf16|int8|uint8|q8|q4|q4f16|bnb4|quantized|optimized|O[1-4]|q(u?)int8_\w+|uint4|int4)",
    re.IGNORECASE,
)
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class ShippedGraph:
    """A graph among a model's files.

    Attributes:
        name: Its file.
        stem: The file's name without its end, such as ``model`` or ``vision_model``.
        variant: The end, such as ``fp16``; ``fp32`` for none.
    """

    name: str
    stem: str
    variant: str


def shipped_graphs(files: Files) -> tuple[ShippedGraph, ...]:
    """Name the graphs among some files, with what the ends of their names say."""
    return tuple(_graph(name) for name in files.names() if name.endswith(".onnx"))


def choose(
    files: Files,
    stems: Sequence[str],
    *,
    model_file: str | None = None,
    variant: str | None = None,
    compiles: Callable[[], bool] = lambda: True,
) -> str | None:
    """Choose the graph or the weights to use.

    Without a choice of the caller: the graph in full precision; else the weights, where they can be used; else the only
    graph there is; else the one that is nearest to full precision.

    Args:
        files: A model's files.
        stems: What the graph's name begins with, the preferred first.
        model_file: The file that the caller chose.
        variant: The variant that the caller chose.
        compiles: Tells whether the weights can be used; asked only where that decides.

    Returns:
        The file's name; ``None`` where there is nothing to use.

    Raises:
        InputError: Both choices are given.
        ModelNotFoundError: The files do not hold what was chosen, or hold several graphs of unknown names.
    """
    if model_file is not None and variant is not None:
        raise InputError(f"model_file={model_file!r} and variant={variant!r} are two choices of one thing; pass one")
    graphs = shipped_graphs(files)
    if model_file is not None:
        return _named(files, graphs, model_file)
    if variant is not None:
        return _of_variant(files, graphs, stems, variant)
    full = _first(graphs, stems, (FULL,))
    return full.name if full is not None else _best(files, graphs, stems, compiles)


def report(files: Files) -> None:
    """Say in the log that the graph that is used without being asked for is none in full precision."""
    if files.chosen is not None and files.chosen.endswith(".onnx") and (graph := _graph(files.chosen)).variant != FULL:
        logger.warning(
            "%s ships no graph in full precision; %s (variant %r) is used, whose vectors differ a little. Pass "
            "variant= or model_file= to choose",
            files.where,
            graph.name,
            graph.variant,
        )


def _graph(name: str) -> ShippedGraph:
    stem = PurePosixPath(name).stem
    found = _END.fullmatch(stem)
    return ShippedGraph(name, stem, FULL) if found is None else ShippedGraph(name, found["stem"], found["variant"])


def _named(files: Files, graphs: Sequence[ShippedGraph], model_file: str) -> str:
    if not files.has(model_file):
        raise ModelNotFoundError(f"{files.where} has no file {model_file!r}; {_shipped(files, graphs)}")
    return model_file


def _of_variant(files: Files, graphs: Sequence[ShippedGraph], stems: Sequence[str], variant: str) -> str:
    found = _first(graphs, stems, (variant,))
    if found is None:
        raise ModelNotFoundError(f"{files.where} has no variant {variant!r}; {_shipped(files, graphs)}")
    return found.name


def _best(
    files: Files, graphs: Sequence[ShippedGraph], stems: Sequence[str], compiles: Callable[[], bool]
) -> str | None:
    """What to use where no graph in full precision lies in a usual place; ``None`` where there is nothing to use."""
    if has_weights(files) and compiles():
        return weights_names(files)[0]
    odd = [graph.name for graph in graphs if graph.variant == FULL and _at_home(graph)]
    if odd:
        if len(odd) > 1:
            usual = " or ".join(f"{stem}.onnx" for stem in stems)
            raise ModelNotFoundError(
                f"{files.where} holds several graphs, none of them named {usual}: {listed(odd, _SHOWN)}; pass "
                "model_file= to choose one"
            )
        return odd[0]
    others = dict.fromkeys((*_NEAREST, *(graph.variant for graph in graphs)))
    found = _first(graphs, stems, tuple(others))
    return None if found is None else found.name


def _first(graphs: Sequence[ShippedGraph], stems: Sequence[str], variants: Iterable[str]) -> ShippedGraph | None:
    """The graph of the first variant that there is, by the order of stems and of places."""
    for variant in variants:
        for stem in stems:
            for place in _PLACES:
                for graph in graphs:
                    same = graph.stem == stem and graph.variant.lower() == variant.lower()
                    if same and str(PurePosixPath(graph.name).parent) == place:
                        return graph
    return None


def _at_home(graph: ShippedGraph) -> bool:
    return str(PurePosixPath(graph.name).parent) in _PLACES


def _shipped(files: Files, graphs: Sequence[ShippedGraph]) -> str:
    """What there is to choose from, for messages."""
    weights = [name for name in (WEIGHTS_FILE, INDEX_FILE) if files.has(name)]
    names = [f"{graph.name} (variant {graph.variant!r})" for graph in graphs]
    return f"it holds {listed([*names, *weights], _SHOWN)}"

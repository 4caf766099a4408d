"""A model's own ONNX file with one vector per text at its end, so that its token vectors need not leave the device."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from onnxembed.compile.body import ATTENTION_MASK
from onnxembed.compile.graph_builder import FLOAT, FLOAT16, INT64, OPSET, OPSET_WITH_ANTIALIAS, GraphBuilder, replacing
from onnxembed.compile.heads.pooling import add_pooled, scaled
from onnxembed.compile.rewrite.addition import OWN, named, with_addition
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.formats.protobuf import WireReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnxembed.formats.onnx_graph import GraphFacts
    from onnxembed.spec import PoolingType

# The first version in which ``Squeeze`` and ``ReduceSum`` take their axes as an input.
_OLDEST_OPSET = 13
_RANK = 3
POOLED, SCALED = "pooled", "sentence_embedding"


def with_pooled(source: Path, target: Path, *, tokens: str, poolings: Sequence[PoolingType]) -> None:
    """Copy a model, with ``pooled`` and ``sentence_embedding`` after its own outputs, as compiled models have them.

    Both are ``float32``; of a model in half precision they are rounded to that, as its own output is. The target
    appears whole or not at all, and needs the source's external data beside it. A graph without three axes per output,
    without a mask, or of a version or type that is not known here is an `UnsupportedModelError`.
    """
    facts = inspect_graph(source, require_external_data=False)
    addition = _addition(source, facts, tokens, poolings)
    with (
        replacing(target) as file,
        source.open("rb") as original,
        mmap.mmap(original.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
    ):
        with_addition(addition, WireReader(buffer, str(source)), buffer).write_to(file)


def _addition(source: Path, facts: GraphFacts, tokens: str, poolings: Sequence[PoolingType]) -> GraphBuilder:
    output = named(source, "output", facts.outputs, tokens)
    mask = named(source, "input", facts.inputs, ATTENTION_MASK)
    taken = {value.name for value in facts.outputs} & {POOLED, SCALED}
    shape = output.shape or ()
    if (
        facts.opset < _OLDEST_OPSET
        or taken
        or len(shape) != _RANK
        or output.element_type not in (FLOAT, FLOAT16)
        or mask.element_type not in (6, INT64)
    ):
        raise UnsupportedModelError(
            f"{source}: the output {tokens!r} cannot be pooled inside the graph: version {facts.opset} of ONNX's "
            f"operators, shape {list(shape)}, element types {output.element_type} and {mask.element_type} of the mask"
        )
    graph = GraphBuilder("addition", OPSET if facts.opset < OPSET_WITH_ANTIALIAS else OPSET_WITH_ANTIALIAS)
    half = output.element_type == FLOAT16
    wide = graph.node("Cast", [tokens], f"{OWN}tokens", {"to": FLOAT}) if half else tokens
    vectors = [add_pooled(graph, wide, pooling, OWN) for pooling in poolings]
    joined = graph.node("Concat", vectors, f"{OWN}joined", {"axis": 1})
    width = shape[2] * len(vectors) if isinstance(shape[2], int) else "dim"
    for name, value in ((POOLED, joined), (SCALED, scaled(graph, joined, f"{OWN}scaled", OWN))):
        if half:
            value = graph.node("Cast", [value], f"{OWN}{name}.half", {"to": FLOAT16})
        graph.node("Cast", [value], name, {"to": FLOAT})
        graph.output(name, FLOAT, ["batch" if shape[0] is None else shape[0], width])
    return graph

"""A masked-language model's own ONNX file, with its logits maximised over the tokens inside the graph.

The logits are sequence x vocabulary numbers per text; SPLADE needs the largest of each entry of the vocabulary. Reduced
in the graph, the rest never leaves ONNX Runtime. The file is copied field by field with some nodes added, tensors as
they are, so that nothing but the wire format has to be understood.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from onnxembed.compile.graph_builder import BOOL, FLOAT, FLOAT16, INT32, INT64, GraphBuilder, replacing
from onnxembed.compile.heads.vocabulary import MAX_LOGITS
from onnxembed.compile.rewrite.addition import OWN, named, with_addition
from onnxembed.compile.rewrite.projection import Projection, find_projection
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.formats.protobuf import BYTES, WireReader

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from onnxembed.formats.onnx_graph import GraphFacts

_OLDEST_OPSET = 11
_OPSET_WITH_BATCHED_GATHER = 12
_OPSET_WITH_AXES_AS_INPUT = 18
"""From here on ``ReduceMax`` takes the axes as an input, before as an attribute."""
_LOGITS_RANK = 3


def with_max_over_tokens(source: Path, target: Path, *, logits: str, attention_mask: str) -> None:
    """Copy a model, its logits (batch, sequence, vocabulary) replaced by their maximum over the tokens.

    In their place stands ``max_logits`` (batch, vocabulary), ``float32``, -infinity for an item of padding alone. Other
    outputs stay. The target appears whole or not at all. External data are named in it as in the source, relative to
    its folder: write it beside the source, or put those files beside it. Logits without three dimensions, or a type or
    version that is not known here, are an `UnsupportedModelError`; a damaged or hostile model is an error of
    `inspect_graph`.
    """
    facts = inspect_graph(source, require_external_data=False)
    half = _is_half(source, facts, logits, attention_mask)
    with (
        replacing(target) as file,
        source.open("rb") as original,
        mmap.mmap(original.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
    ):
        reader = WireReader(buffer, str(source))
        parts = [
            # A graph that comes in several parts is one, as protobuf has it.
            part
            for number, wire_type, first, last in reader.fields(0, len(buffer))
            if number == schema.MODEL_GRAPH and wire_type == BYTES
            for part in reader.fields(first, last)
        ]
        projection = None
        if not half and facts.opset >= _OPSET_WITH_BATCHED_GATHER:
            projection = find_projection(reader, parts, logits)
        addition = _addition(facts, logits, attention_mask, projection, half=half)
        left_out = () if projection is None else projection.nodes
        with_addition(addition, reader, buffer, instead_of=logits, left_out=left_out).write_to(file)


def _is_half(source: Path, facts: GraphFacts, logits: str, attention_mask: str) -> bool:
    """Check that the graph has what is needed; return whether the logits are float16."""
    if facts.opset < _OLDEST_OPSET:
        raise UnsupportedModelError(
            f"{source} uses version {facts.opset} of ONNX's operators, expected {_OLDEST_OPSET} or later; "
            "export the model again"
        )
    mask = named(source, "input", facts.inputs, attention_mask)
    if mask.element_type not in (INT32, INT64):
        raise UnsupportedModelError(
            f"{source}: the input {attention_mask!r} has the ONNX element type {mask.element_type}, expected int32 "
            f"({INT32}) or int64 ({INT64}); export the model again"
        )
    scores = named(source, "output", facts.outputs, logits)
    if scores.element_type not in (FLOAT, FLOAT16):
        raise UnsupportedModelError(
            f"{source}: the output {logits!r} has the ONNX element type {scores.element_type}, expected float32 "
            f"({FLOAT}) or float16 ({FLOAT16}); export the model again"
        )
    if scores.shape is None or len(scores.shape) != _LOGITS_RANK:
        raise UnsupportedModelError(
            f"{source}: the output {logits!r} has the shape {scores.shape}, expected (batch, sequence, vocabulary); "
            "name the output with the logits of a masked-language model"
        )
    return scores.element_type == FLOAT16


def _addition(
    facts: GraphFacts, logits: str, attention_mask: str, projection: Projection | None, *, half: bool
) -> GraphBuilder:
    """The nodes and tensors to add, and the output to give instead."""
    graph = GraphBuilder("addition")
    if projection is None:
        _add_maximum(graph, logits, attention_mask, half=half, opset=facts.opset)
    else:
        _add_projected_maximum(graph, projection, attention_mask, facts.opset)
    shape = next(output.shape for output in facts.outputs if output.name == logits) or (None, None, None)
    batch, vocabulary = shape[0], shape[2]
    graph.output(
        MAX_LOGITS, FLOAT, ["batch" if batch is None else batch, "vocabulary" if vocabulary is None else vocabulary]
    )
    return graph


def _add_maximum(graph: GraphBuilder, logits: str, attention_mask: str, *, half: bool, opset: int) -> None:
    import numpy as np

    kind = np.float16 if half else np.float32
    column = graph.initializer(f"{OWN}column", np.array([0, 0, 1], np.int64))
    infinity, minus_infinity = (
        graph.initializer(f"{OWN}{name}", np.array(value, kind))
        for name, value in (("infinity", np.inf), ("minus_infinity", -np.inf))
    )
    mask = graph.node("Reshape", [attention_mask, column], f"{OWN}mask_column")
    kept = graph.node("Cast", [mask], f"{OWN}kept", {"to": BOOL})
    limit = graph.node("Where", [kept, infinity, minus_infinity], f"{OWN}limit")
    # The smaller of logit and limit needs no second array of the logits' size; choosing by the mask does.
    masked = graph.node("Min", [logits, limit], f"{OWN}masked_logits")
    largest = _reduced("ReduceMax", graph, masked, "largest", opset)
    zero = graph.initializer(f"{OWN}zero", np.array(0, kind))
    sizes = _reduced("ReduceL1", graph, logits, "token_sizes", opset, axis=2, keepdims=1)
    maximum = _unless_lost(graph, graph.node("Where", [kept, sizes, zero], f"{OWN}kept_sizes"), largest, kind, opset)
    graph.node("Cast", [maximum], MAX_LOGITS, {"to": FLOAT})


def _add_projected_maximum(graph: GraphBuilder, projection: Projection, attention_mask: str, opset: int) -> None:
    """The same in two passes over the logits less: padding repeats a token, and the bias comes after the maximum."""
    import numpy as np

    column = graph.initializer(f"{OWN}column", np.array([0, 0, 1], np.int64))
    one_row = graph.initializer(f"{OWN}one_row", np.array([0, 1, 1], np.int64))
    lowest = graph.initializer(f"{OWN}minus_infinity", np.array(-np.inf, np.float32))
    mask = graph.node("Cast", [attention_mask], f"{OWN}mask", {"to": INT64})
    mask_column = graph.node("Reshape", [mask, column], f"{OWN}mask_column")
    kept = graph.node("Cast", [mask_column], f"{OWN}kept", {"to": BOOL})
    # The first token of each item, wherever padding stands: what it gives once more changes no maximum.
    place = graph.node("ArgMax", [mask], f"{OWN}first_token", {"axis": 1, "keepdims": 1})
    places = graph.node("Reshape", [place, one_row], f"{OWN}first_token_place")
    first = graph.node("GatherND", [projection.states, places], f"{OWN}first_state", {"batch_dims": 1})
    states = graph.node("Where", [kept, projection.states, first], f"{OWN}states")
    product = graph.node("MatMul", [states, projection.weight], f"{OWN}products")
    maximum = _reduced("ReduceMax", graph, product, "maximum", opset)
    largest = graph.node("Add", [maximum, projection.bias], f"{OWN}biased")
    # An item of padding alone has no token to repeat.
    there = _reduced("ReduceMax", graph, mask, "any_token", opset, keepdims=1)
    some = graph.node("Cast", [there], f"{OWN}some", {"to": BOOL})
    largest = graph.node("Where", [some, largest, lowest], f"{OWN}largest")
    sizes = _reduced("ReduceL1", graph, states, "token_sizes", opset, axis=2, keepdims=1)
    graph.node("Identity", [_unless_lost(graph, sizes, largest, np.float32, opset)], MAX_LOGITS)


def _unless_lost(graph: GraphBuilder, sizes: str, largest: str, kind: type[np.floating[Any]], opset: int) -> str:
    """NaN for an item of whose tokens one has NaN: ``ReduceMax`` passes over it, and a sum of sizes does not.

    ``sizes`` is (batch, tokens, 1), the sum of the absolute numbers of each token.
    """
    import numpy as np

    size = _reduced("ReduceL1", graph, sizes, "item_sizes", opset)
    lost = graph.node("IsNaN", [size], f"{OWN}lost")
    nan = graph.initializer(f"{OWN}not_a_number", np.array(np.nan, kind))
    return graph.node("Where", [lost, nan, largest], f"{OWN}honest")


def _reduced(
    operator: str, graph: GraphBuilder, values: str, name: str, opset: int, *, axis: int = 1, keepdims: int = 0
) -> str:
    """One number along an axis, by default the tokens."""
    import numpy as np

    if opset < _OPSET_WITH_AXES_AS_INPUT:
        return graph.node(operator, [values], f"{OWN}{name}", {"axes": [axis], "keepdims": keepdims})
    axes = graph.initializer(f"{OWN}axes_of_{name}", np.array([axis], np.int64))
    return graph.node(operator, [values, axes], f"{OWN}{name}", {"keepdims": keepdims})

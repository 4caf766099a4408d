"""The inputs that every body has."""

from __future__ import annotations

from onnxembed.compile.body import ATTENTION_MASK
from onnxembed.compile.graph_builder import INT64, GraphBuilder


def token_inputs(graph: GraphBuilder) -> tuple[str, str]:
    """Declare ``input_ids`` and ``attention_mask``, int64 (batch, sequence); return the names to compute with.

    The ids are cut at their own length, which changes nothing but hides that length from ONNX Runtime's optimizer:
    knowing it, it would put additions and normalizations together in a kernel that takes four times as long.
    """
    ids = graph.input("input_ids", INT64, ["batch", "sequence"])
    mask = graph.input(ATTENTION_MASK, INT64, ["batch", "sequence"])
    length = graph.node("Shape", [ids], "sequence_length", {"start": 1, "end": 2})
    bounds = [graph.integers("token_ids.start", [0]), length, graph.integers("token_ids.axis", [1])]
    return graph.node("Slice", [ids, *bounds], "token_ids"), mask

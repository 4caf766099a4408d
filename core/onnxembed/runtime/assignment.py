"""Whether a provider that a session has is used: which nodes of the graph ONNX Runtime gave to it."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

from onnxembed.runtime.providers import CPU_PROVIDER
from onnxembed.suggest import listed

RECORD = "session.record_ep_graph_assignment_info"
"""The entry that has ONNX Runtime remember where nodes went; later releases tell, an older one is not asked."""
_EXPENSIVE = frozenset(
    {
        *("Attention", "Conv", "ConvInteger", "DynamicQuantizeMatMul", "FusedConv", "FusedMatMul", "Gemm"),
        *("GroupQueryAttention", "MatMul", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits"),
        *("MultiHeadAttention", "PackedAttention", "PackedMultiHeadAttention", "QAttention", "QLinearConv"),
        *("QLinearMatMul", "QGemm"),
    }
)
_NAMED = 5


def can_record(onnxruntime: Any) -> bool:
    """Whether this ONNX Runtime can tell where nodes went."""
    return hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")


def warn_of_unused(session: Any, wanted: str) -> None:
    """Warn where a provider got no node, or the processor got matrix products and attention that it was asked for."""
    if wanted == CPU_PROVIDER or not hasattr(session, "get_provider_graph_assignment_info"):
        return
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # noqa: BLE001  # it was not recorded: nothing is known, and nothing is said
        return
    nodes = Counter((part.ep_name, node.op_type) for part in parts for node in part.get_nodes())
    if not nodes:
        return
    left = Counter({operator: count for (name, operator), count in nodes.items() if name == CPU_PROVIDER})
    expensive = {operator: count for operator, count in left.items() if operator in _EXPENSIVE}
    if not any(name == wanted for name, _ in nodes):
        what = f"took none of the graph's {nodes.total()} nodes"
    elif expensive:
        what = f"left {sum(expensive.values())} expensive ones of the graph's {nodes.total()} nodes to the processor"
    else:
        return
    operators = [f"{operator} x{count}" for operator, count in Counter(expensive or left).most_common()]
    warnings.warn(
        f"{wanted} was asked for and started, but {what} ({listed(operators, _NAMED)}): it has no kernel for them, so "
        "that this may be slower than the processor alone",
        RuntimeWarning,
        stacklevel=2,
    )

"""Activations, by the names that configurations use."""

from __future__ import annotations

from collections.abc import Mapping

from onnxembed.compile.graph_builder import MICROSOFT, GraphBuilder
from onnxembed.compile.operators import AttributeValue

# The operator, its domain and its attributes.
_Operator = tuple[str, str, Mapping[str, AttributeValue]]
_TANH_GELU: _Operator = ("FastGelu", MICROSOFT, {})
_SILU: _Operator = ("QuickGelu", MICROSOFT, {"alpha": 1.0})

ACTIVATIONS: Mapping[str, _Operator] = {
    "gelu": ("Gelu", MICROSOFT, {}),
    "gelu_new": _TANH_GELU,
    "gelu_pytorch_tanh": _TANH_GELU,
    "gelu_fast": _TANH_GELU,
    "relu": ("Relu", "", {}),
    "silu": _SILU,
    "swish": _SILU,
    "quick_gelu": ("QuickGelu", MICROSOFT, {"alpha": 1.702}),
    "tanh": ("Tanh", "", {}),
    "sigmoid": ("Sigmoid", "", {}),
}
"""What each is in ONNX Runtime."""

FUSED_WITH_BIAS: Mapping[str, str] = {
    "gelu": "BiasGelu",
    "gelu_new": "FastGelu",
    "gelu_pytorch_tanh": "FastGelu",
    "gelu_fast": "FastGelu",
}
"""Operators that add a bias and activate, which is faster."""


def activation(graph: GraphBuilder, kind: str, value: str, output: str) -> str:
    """Apply a function to each number, a key of ``ACTIVATIONS``."""
    operator, domain, attributes = ACTIVATIONS[kind]
    return graph.node(operator, [value], output, attributes, domain=domain)

"""Brings the operators of a graph to the version that has blocked quantisation, each by what changed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.formats.onnx_model import Model

OPSET = 21
"""The first version in which ``QuantizeLinear`` takes one scale per block."""
_OLDEST = 11
# Operators that mean the same from version 11 to 23, whatever types each version added.
_UNCHANGED = frozenset((
    "Abs", "Add", "And", "ArgMax", "ArgMin", "Atan", "Attention", "AveragePool", "Cast", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Conv", "Cos", "CumSum", "Div", "Einsum", "Elu", "Equal", "Erf",
    "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
    "GlobalAveragePool", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max", "MaxPool", "Min", "Mish",
    "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pow", "RMSNormalization", "Range", "Reciprocal",
    "Relu", "Reshape", "RotaryEmbedding", "Round", "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid",
    "Sign", "SimplifiedLayerNormalization", "Sin", "Size", "Slice", "Softplus", "Sqrt", "Sub", "Sum", "Swish",
    "Tan", "Tanh", "Tile", "TopK", "Transpose", "Trilu", "Where", "Xor",
))  # fmt: skip
# Those whose axes became an input, and the version in which they did.
_AXES = {"Squeeze": 13, "Unsqueeze": 13, "ReduceSum": 13} | dict.fromkeys(
    (
        "ReduceMax",
        "ReduceMin",
        "ReduceMean",
        "ReduceL2",
        "ReduceProd",
        "ReduceL1",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ),
    18,
)
_SOFTMAX = frozenset({"Softmax", "LogSoftmax"})
_OPSET_OF_SOFTMAX = 13


def unknown_operators(model: Model) -> Iterator[str]:
    """Name the operators that are not known to mean the same in `OPSET`; none where the graph is that new already."""
    opset = model.facts.opset
    if opset >= OPSET:
        return
    if opset < _OLDEST:
        yield f"all of version {opset}"
    for node in model.nodes:
        if node.domain == "" and node.operator not in _UNCHANGED and not _is_adapted(node.operator):
            if node.operator in _SOFTMAX and (opset >= _OPSET_OF_SOFTMAX or node.whole("axis", 1) == -1):
                continue
            if node.operator == "Split" and (opset >= _AXES["Squeeze"] or "split" in node.attributes):
                continue
            if node.operator == "Resize" and opset >= _OPSET_OF_SOFTMAX:
                continue  # later versions add choices, which are off
            if node.operator == "Dropout" and len(node.outputs) == 1:
                continue
            yield node.operator


def axes_become_an_input(operator: str, opset: int) -> bool:
    """Tell whether an operator of this version keeps as an attribute the axes that `OPSET` takes as an input."""
    return opset < _AXES.get(operator, 0)


def require_known(model: Model) -> None:
    """Refuse a graph with operators whose meaning in `OPSET` is not known here."""
    holders = sorted({node.operator for node in model.nodes if node.has_graphs})
    if holders and model.facts.opset < OPSET:
        raise UnsupportedModelError(
            f"{model.path}: the operators {', '.join(holders)} hold graphs of their own, which are not brought to "
            f"version {OPSET}, which 8-bit products need; export the model with opset {OPSET} or later, or use "
            "precision='fp32'"
        )
    unknown = sorted(set(unknown_operators(model)))
    if unknown:
        raise UnsupportedModelError(
            f"{model.path}: the operators {', '.join(unknown)} of version {model.facts.opset} are not brought to "
            f"version {OPSET}, which this precision needs; export the model with opset {OPSET} or later, or use "
            "precision='fp32'"
        )


def _is_adapted(operator: str) -> bool:
    return operator in _AXES

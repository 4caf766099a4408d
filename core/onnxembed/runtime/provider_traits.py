"""What distinguishes execution providers: where they compute, which operators they have, whether shapes cost them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from onnxembed.runtime.onnx import onnxruntime_version
from onnxembed.runtime.providers import CPU_PROVIDER, CUDA_PROVIDER, OptionPairs, Placement

_OPENVINO = "OpenVINOExecutionProvider"
# They compute on the processor, whatever the machine has.
_ON_PROCESSOR = frozenset(
    {
        *(CPU_PROVIDER, "AzureExecutionProvider", "XnnpackExecutionProvider", "DnnlExecutionProvider"),
        *("ACLExecutionProvider", "ArmNNExecutionProvider"),
    }
)
# They have kernels for ONNX Runtime's own operators. Others refuse these nodes, and the graph is cut in every layer.
_WITH_OWN_OPERATORS = frozenset(
    {
        *(CPU_PROVIDER, CUDA_PROVIDER, "ROCMExecutionProvider", "DmlExecutionProvider", "WebGpuExecutionProvider"),
        *("JsExecutionProvider", "AzureExecutionProvider"),
    }
)
# They compile the graph anew for every shape that it meets, which takes seconds to minutes.
_BY_SHAPE = frozenset(
    {
        *("TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "MIGraphXExecutionProvider"),
        *("CoreMLExecutionProvider", "QNNExecutionProvider", "VitisAIExecutionProvider", _OPENVINO),
    }
)


class Operators(StrEnum):
    """The operators that a compiled graph is made of."""

    FUSED = "fused"
    """ONNX Runtime's own, which are the fastest where a provider has them."""
    LENGTHS = "lengths"
    """The same, with the lengths of texts in place of the mask: the form that CUDA's fused attention takes."""
    STANDARD_ATTENTION = "standard attention"
    """Those of `FUSED`, but for the standard's attention by lengths, the fastest on the processor."""
    PLAIN = "plain"
    """Those of the ONNX standard alone."""


@dataclass(frozen=True, slots=True)
class GraphForm:
    """The form of a graph that suits a provider; results do not depend on it but for the order of sums.

    Attributes:
        operators: What it is made of where it is compiled here.
        pooled: Whether a graph of others is given one vector per text at its end, so that token vectors need not leave
            the device.
    """

    operators: Operators = Operators.FUSED
    pooled: bool = False


ATTENTION_BY_LENGTHS_SINCE = (1, 25)
"""The first ONNX Runtime whose standard attention honours the lengths of texts; 1.24 accepts them and is wrong."""


def has_attention_by_lengths() -> bool:
    """Whether the installed ONNX Runtime computes the standard's attention of texts of several lengths rightly."""
    return onnxruntime_version() >= ATTENTION_BY_LENGTHS_SINCE


def processor_form() -> GraphForm:
    """The form of graphs for the processor."""
    return GraphForm(operators_for(CPU_PROVIDER))


def graph_form(placement: Placement) -> GraphForm:
    """The form for the first provider of a placement."""
    provider, options = placement.providers[0]
    return GraphForm(operators_for(provider), pooled=not on_processor(provider, options))


def operators_for(provider: str) -> Operators:
    """The operators for a first provider."""
    if provider == CUDA_PROVIDER:
        return Operators.LENGTHS
    if provider == CPU_PROVIDER and has_attention_by_lengths():
        return Operators.STANDARD_ATTENTION
    return Operators.FUSED if provider in _WITH_OWN_OPERATORS else Operators.PLAIN


def on_processor(provider: str, options: OptionPairs = ()) -> bool:
    """Whether a first provider computes on the processor."""
    if provider == _OPENVINO:
        return dict(options).get("device_type", "CPU").upper().startswith("CPU")
    return provider in _ON_PROCESSOR


def compiles_by_shape(provider: str) -> bool:
    """Whether a first provider compiles the graph for every shape that it meets."""
    return provider in _BY_SHAPE

from __future__ import annotations

import pytest

from onnxembed.runtime.provider_traits import GraphForm, Operators, compiles_by_shape, graph_form, on_processor
from onnxembed.runtime.providers import Placement


@pytest.mark.parametrize(
    ("provider", "form"),
    [
        ("CPUExecutionProvider", GraphForm(Operators.FUSED, pooled=False)),
        ("CUDAExecutionProvider", GraphForm(Operators.LENGTHS, pooled=True)),
        ("DmlExecutionProvider", GraphForm(Operators.FUSED, pooled=True)),
        ("WebGpuExecutionProvider", GraphForm(Operators.FUSED, pooled=True)),
        ("TensorrtExecutionProvider", GraphForm(Operators.PLAIN, pooled=True)),
        ("CoreMLExecutionProvider", GraphForm(Operators.PLAIN, pooled=True)),
        ("QNNExecutionProvider", GraphForm(Operators.PLAIN, pooled=True)),
        ("MIGraphXExecutionProvider", GraphForm(Operators.PLAIN, pooled=True)),
        ("a plugin", GraphForm(Operators.PLAIN, pooled=True)),
        ("XnnpackExecutionProvider", GraphForm(Operators.PLAIN, pooled=False)),
    ],
)
def test_the_first_provider_decides_the_form_of_a_graph(provider: str, form: GraphForm) -> None:
    placement = Placement(((provider, ()), ("CPUExecutionProvider", ())), fallback_allowed=True)
    assert graph_form(placement) == form


@pytest.mark.parametrize(("device", "there"), [("", True), ("CPU", True), ("GPU", False), ("NPU", False)])
def test_openvino_computes_where_its_option_says(device: str, there: bool) -> None:
    options = (("device_type", device),) if device else ()
    assert on_processor("OpenVINOExecutionProvider", options) is there


def test_providers_that_compile_by_shape() -> None:
    assert compiles_by_shape("TensorrtExecutionProvider")
    assert not compiles_by_shape("CUDAExecutionProvider")
    assert not compiles_by_shape("CPUExecutionProvider")

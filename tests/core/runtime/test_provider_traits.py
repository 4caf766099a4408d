from __future__ import annotations

import onnxruntime
import pytest

from onnxembed.runtime.provider_traits import (
    GraphForm,
    Operators,
    compiles_by_shape,
    graph_form,
    has_attention_by_lengths,
    on_processor,
    processor_form,
)
from onnxembed.runtime.providers import Placement


@pytest.mark.parametrize(
    ("provider", "form"),
    [
        ("CPUExecutionProvider", GraphForm(Operators.STANDARD_ATTENTION, pooled=False)),
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


@pytest.mark.parametrize(
    ("version", "there"), [("1.20.1", False), ("1.24.4", False), ("1.25.0", True), ("2.0.0", True)]
)
def test_attention_by_lengths_waits_for_the_release_that_computes_it(
    version: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    assert has_attention_by_lengths() is there
    assert processor_form().operators is (Operators.STANDARD_ATTENTION if there else Operators.FUSED)


@pytest.mark.parametrize(("device", "there"), [("", True), ("CPU", True), ("GPU", False), ("NPU", False)])
def test_openvino_computes_where_its_option_says(device: str, there: bool) -> None:
    options = (("device_type", device),) if device else ()
    assert on_processor("OpenVINOExecutionProvider", options) is there


def test_providers_that_compile_by_shape() -> None:
    assert compiles_by_shape("TensorrtExecutionProvider")
    assert not compiles_by_shape("CUDAExecutionProvider")
    assert not compiles_by_shape("CPUExecutionProvider")

"""Which precision is settled on for a provider, what is set for it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import InputError, ProviderError
from onnxembed.runtime.precision import GraphNumbers, Precision
from onnxembed.runtime.precision_choice import Choice, Machine, check_entries, choose, placed, session_entries
from onnxembed.runtime.providers import Placement

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OPENVINO, DIRECTML, CORE_ML = "OpenVINOExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider"
PLAIN = Machine(dot_products=False, bfloat16=False, arm_linux=False)
VNNI = Machine(dot_products=True, bfloat16=False, arm_linux=False)
SAPPHIRE = Machine(dot_products=True, bfloat16=True, arm_linux=False)
GRAVITON = Machine(dot_products=True, bfloat16=True, arm_linux=True)
OLD_ARM = Machine(dot_products=True, bfloat16=False, arm_linux=True)
FAST_BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"


def on(*providers: str, **options: str) -> Placement:
    """A placement whose first provider has the options."""
    first, *rest = providers
    return Placement(((first, tuple(options.items())), *((name, ()) for name in rest)), fallback_allowed=bool(rest))


@pytest.mark.parametrize(
    ("machine", "placement", "precision", "form"),
    [
        (PLAIN, on(CPU), "fp32", "float32"),
        (VNNI, on(CPU), "int8", "int8"),
        (SAPPHIRE, on(CPU), "int8", "int8"),
        (GRAVITON, on(CPU), "bf16", "float32"),
        (OLD_ARM, on(CPU), "int8", "int8"),
        (VNNI, on(CUDA, CPU), "fp16", "float16"),
        (VNNI, on(TENSORRT, CUDA), "fp16", "float16"),
        (PLAIN, on(DIRECTML), "fp16", "float16"),
        (OLD_ARM, on(CORE_ML), "fp16", "float16"),
        (VNNI, on(OPENVINO), "fp32", "float32"),
        (SAPPHIRE, on(OPENVINO), "bf16", "float32"),
        (VNNI, on(OPENVINO, device_type="GPU.0"), "fp16", "float32"),
        (VNNI, on("QNNExecutionProvider"), "fp32", "float32"),
    ],
)
def test_what_auto_takes(machine: Machine, placement: Placement, precision: str, form: str) -> None:
    choice = choose("auto", placement, machine)
    assert (choice.precision.value, choice.numbers.value) == (precision, form)
    assert choice.why


@pytest.mark.parametrize(
    ("asked", "machine", "placement", "form"),
    [
        ("int8", VNNI, on(CPU), "int8"),
        ("int8", PLAIN, on(CPU), "int7"),
        ("fp16", PLAIN, on(CUDA), "float16"),
        ("bf16", PLAIN, on(CUDA), "bfloat16"),
        ("bf16", GRAVITON, on(CPU), "float32"),
        ("bf16", SAPPHIRE, on(OPENVINO), "float32"),
        ("tf32", PLAIN, on(CUDA), "float32"),
        ("fp32", PLAIN, on(CUDA), "float32"),
    ],
)
def test_what_is_asked_for(asked: str, machine: Machine, placement: Placement, form: str) -> None:
    assert choose(Precision(asked), placement, machine) == Choice(Precision(asked), GraphNumbers(form))


@pytest.mark.parametrize(
    ("asked", "machine", "placement", "words"),
    [
        ("fp16", VNNI, on(CPU), "for the processor ONNX Runtime has no fast products in float16.*'int8' is for it"),
        ("bf16", VNNI, on(CPU), "this processor has no products of bfloat16"),
        ("bf16", SAPPHIRE, on(CPU), "OpenVINOExecutionProvider .of the package onnxruntime-openvino. has"),
        ("bf16", OLD_ARM, on(CPU), "this processor has no products of bfloat16"),
        ("bf16", VNNI, on(OPENVINO), "OpenVINOExecutionProvider is not known to compute in it"),
        ("bf16", VNNI, on(DIRECTML), "DmlExecutionProvider is not known to compute in it"),
        ("fp16", VNNI, on("QNNExecutionProvider"), "QNNExecutionProvider is not known to compute in it"),
        ("int8", VNNI, on(CUDA), "CUDAExecutionProvider has no kernels for such products.*'fp16' is for it"),
        ("tf32", VNNI, on(CPU), "only CUDAExecutionProvider has it, and CPUExecutionProvider is to be used"),
    ],
)
def test_what_a_provider_lacks_is_refused(asked: str, machine: Machine, placement: Placement, words: str) -> None:
    with pytest.raises(ProviderError, match=f"precision='{asked}': .*{words}.* Pass 'fp32', or 'auto'"):
        choose(Precision(asked), placement, machine)


def chosen(precision: str) -> Choice:
    return Choice(Precision(precision))


def test_tf32_is_off_unless_it_is_asked_for() -> None:
    for precision, value in (("fp32", "0"), ("fp16", "0"), ("int8", "0"), ("tf32", "1")):
        (placement,) = placed([on(CUDA, CPU, device_id="1")], chosen(precision))
        assert dict(placement.providers[0][1]) == {"device_id": "1", "use_tf32": value}
    with pytest.raises(InputError, match=r"use_tf32='1' and precision='fp32' differ; .* pass precision='tf32'"):
        placed([on(CUDA, use_tf32="1")], chosen("fp32"))
    with pytest.raises(InputError, match=r"use_tf32='0' and precision='tf32' differ; .* pass precision='fp32'"):
        placed([on(CUDA, use_tf32="0")], chosen("tf32"))


def test_the_processor_is_no_fallback_for_what_it_lacks() -> None:
    """Else a device that does not start would mean other numbers, or the same ones later."""
    full = placed([on(CUDA, CPU)], chosen("fp32"))
    assert [name for name, _ in full[0].providers] == [CUDA, CPU]
    assert full[0].fallback_allowed
    for precision in ("fp16", "bf16", "tf32"):
        (alone,) = placed([on(CUDA, CPU)], chosen(precision))
        assert ([name for name, _ in alone.providers], alone.fallback_allowed) == ([CUDA], False)
    (two,) = placed([on(TENSORRT, CUDA, CPU)], chosen("fp16"))
    assert ([name for name, _ in two.providers], two.fallback_allowed) == ([TENSORRT, CUDA], True)


def test_openvino_is_told_what_to_compute_in() -> None:
    for precision, device, hint in (("fp32", "CPU", "f32"), ("bf16", "CPU", "bf16"), ("fp16", "GPU", "f16")):
        (placement,) = placed([on(OPENVINO, device_type=device)], chosen(precision))
        stated = json.loads(dict(placement.providers[0][1])["load_config"])
        assert stated == {device: {"INFERENCE_PRECISION_HINT": hint}}
    own = on(OPENVINO, precision="ACCURACY")
    assert placed([own], chosen("fp32")) == (own,)
    with pytest.raises(InputError, match="precision='ACCURACY' and precision='bf16' may differ"):
        placed([own], chosen("bf16"))


def test_bfloat16_on_arm_is_an_entry_of_the_session() -> None:
    assert session_entries(chosen("bf16"), CPU) == {FAST_BFLOAT16: "1"}
    assert session_entries(chosen("bf16"), CUDA) == session_entries(chosen("fp32"), CPU) == {}
    check_entries(chosen("bf16"), {FAST_BFLOAT16: "1"})
    with pytest.raises(InputError, match="pass precision='bf16' in its place"):
        check_entries(chosen("fp32"), {FAST_BFLOAT16: "1"})


@pytest.fixture
def cuda_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that says it has CUDA, on a machine that shows a device."""
    from onnxembed.runtime import cuda

    monkeypatch.setattr("onnxembed.api.settings.available_providers", lambda *_: [CUDA, CPU])
    monkeypatch.setattr(cuda, "driver", lambda: cuda.Driver(found=True, text="an NVIDIA driver was found"))


def test_models_take_what_the_machine_has(cuda_machine: None, tmp_path: Path) -> None:
    model = TextEmbedding(precision="fp16", lazy_load=True, cache_dir=tmp_path)
    assert model.precision == "fp16"
    assert model.options["precision"] == "fp16"
    with pytest.raises(ProviderError, match="precision='fp16': for the processor"):
        TextEmbedding(precision="fp16", cuda=False, lazy_load=True)
    # 8 bits go to the processor where the caller left the device open.
    assert TextEmbedding(precision="int8", lazy_load=True, cache_dir=tmp_path).precision == "int8"
    with pytest.raises(ProviderError, match="precision='int8': CUDAExecutionProvider has no kernels"):
        TextEmbedding(precision="int8", cuda=True, lazy_load=True)


def test_contradicting_options_are_refused_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.api.settings.available_providers", lambda *_: [CUDA, CPU])
    providers: Any = [(CUDA, {"use_tf32": 1}), CPU]
    with pytest.raises(InputError, match=r"use_tf32='1' and precision='fp32' differ"):
        TextEmbedding(providers=providers, lazy_load=True)
    assert TextEmbedding(providers=providers, precision="tf32", lazy_load=True).precision == "tf32"
    with pytest.raises(InputError, match="computes in bfloat16; pass precision='bf16'"):
        TextEmbedding(session_options={FAST_BFLOAT16: "1"}, lazy_load=True)

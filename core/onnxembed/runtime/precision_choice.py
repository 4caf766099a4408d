"""From the precision that was asked for to what is loaded and set for it on this machine's provider.

A precision that a provider does not have is refused by name: nobody gets slower results, or other numbers, in silence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnxembed.errors import InputError, ProviderError
from onnxembed.runtime import precision as facts
from onnxembed.runtime.precision import (
    AUTO,
    GraphNumbers,
    Precision,
    integer_form,
)
from onnxembed.runtime.providers import CPU_PROVIDER, CUDA_PROVIDER, Placement
from onnxembed.runtime.session_options import OptionValue

OPENVINO_PROVIDER = "OpenVINOExecutionProvider"
FLOAT16_PROVIDERS = frozenset(
    {
        *(CUDA_PROVIDER, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "ROCMExecutionProvider"),
        *("MIGraphXExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider", "WebGpuExecutionProvider"),
    }
)
"""Providers that are given graphs of float16."""
BFLOAT16_PROVIDERS = frozenset(
    {CUDA_PROVIDER, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "ROCMExecutionProvider"}
)
"""Providers that are given graphs of bfloat16."""
_TF32_OPTION = "use_tf32"
_FAST_BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"
"""ONNX Runtime's entry that has its products of single precision computed in bfloat16, on ARM with Linux."""
_OPENVINO_CONFIG = "load_config"
_OPENVINO_OWN = (_OPENVINO_CONFIG, "precision")
# By device: what OpenVINO calls the precisions that it has there. Without a word it takes what it finds faster.
_HINTS: Mapping[str, Mapping[Precision, str]] = {
    "CPU": {Precision.FP32: "f32", Precision.BF16: "bf16"},
    "GPU": {Precision.FP32: "f32", Precision.FP16: "f16"},
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a choice depends on.

    Attributes:
        dot_products: Whether the processor has 8-bit dot products.
        bfloat16: Whether it multiplies bfloat16.
        arm_linux: Whether it is a 64-bit ARM processor with Linux.
    """

    dot_products: bool
    bfloat16: bool
    arm_linux: bool

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        return cls(facts.has_dot_products(), facts.has_bfloat16(), facts.is_arm() and sys.platform == "linux")


@dataclass(frozen=True, slots=True)
class Choice:
    """A precision, and what is loaded for it.

    Attributes:
        precision: The precision, settled.
        numbers: Those of the graph.
        why: Why, where the machine decided; empty where the caller did.
    """

    precision: Precision = Precision.FP32
    numbers: GraphNumbers = GraphNumbers.SINGLE
    why: str = field(default="", compare=False)


def choose(asked: Precision | str, placement: Placement, machine: Machine) -> Choice:
    """Settle a precision, or the choice of one, for the first provider of a placement.

    A precision that it does not have is a `ProviderError` that says what to take instead.
    """
    provider, options = placement.providers[0]
    if asked == AUTO:
        return _best(provider, dict(options), machine)
    precision = Precision(asked)
    if precision is Precision.FP32:
        return Choice()
    numbers = _numbers(precision, provider, dict(options), machine)
    if numbers is None:
        raise ProviderError(
            f"precision={precision.value!r}: {_refusal(precision, provider, machine)}. Pass 'fp32', or 'auto' for the "
            "fastest that this machine has"
        )
    return Choice(precision, numbers)


def _numbers(precision: Precision, provider: str, options: Mapping[str, str], machine: Machine) -> GraphNumbers | None:
    """The numbers of the graph for a precision; ``None`` where the provider does not have it."""
    if precision is Precision.INT8:
        return None if provider in FLOAT16_PROVIDERS else integer_form(dot_products=machine.dot_products)
    if precision is Precision.TF32:
        return GraphNumbers.SINGLE if provider == CUDA_PROVIDER else None
    if provider == OPENVINO_PROVIDER:
        device = _openvino_device(options)
        has = precision in _HINTS.get(device, {}) and (device != "CPU" or machine.bfloat16)
        return GraphNumbers.SINGLE if has else None
    if precision is Precision.FP16:
        return GraphNumbers.FLOAT16 if provider in FLOAT16_PROVIDERS else None
    if provider == CPU_PROVIDER:
        return GraphNumbers.SINGLE if machine.arm_linux and machine.bfloat16 else None
    return GraphNumbers.BFLOAT16 if provider in BFLOAT16_PROVIDERS else None


def _refusal(precision: Precision, provider: str, machine: Machine) -> str:
    if precision is Precision.TF32:
        return f"only {CUDA_PROVIDER} has it, and {provider} is to be used"
    if precision is Precision.INT8:
        return f"{provider} has no kernels for such products, so that they would run on the processor; 'fp16' is for it"
    if provider != CPU_PROVIDER:
        return f"{provider} is not known to compute in it"
    if precision is Precision.FP16:
        return "for the processor ONNX Runtime has no fast products in float16, which would be slower; 'int8' is for it"
    if not machine.bfloat16:
        return "this processor has no products of bfloat16; 'int8' is for it"
    return (
        f"ONNX Runtime's own provider has no such products for this processor, but {OPENVINO_PROVIDER} (of the package "
        "onnxruntime-openvino) has: list it in providers="
    )


def _best(provider: str, options: Mapping[str, str], machine: Machine) -> Choice:
    """The fastest that a provider is known to have; it is checked against single precision when the model is opened."""
    if provider in FLOAT16_PROVIDERS:
        return Choice(Precision.FP16, GraphNumbers.FLOAT16, f"{provider} has units for float16")
    if provider == OPENVINO_PROVIDER:
        for precision in (Precision.FP16, Precision.BF16):
            if _numbers(precision, provider, options, machine) is not None:
                why = f"{provider} has it for {_openvino_device(options)}"
                return Choice(precision, GraphNumbers.SINGLE, why)
    if provider == CPU_PROVIDER:
        if machine.arm_linux and machine.bfloat16:
            return Choice(Precision.BF16, GraphNumbers.SINGLE, "the processor multiplies bfloat16")
        if machine.dot_products:
            return Choice(Precision.INT8, GraphNumbers.INT8, "the processor has 8-bit dot products")
        return Choice(why="the processor has neither 8-bit dot products nor products of bfloat16")
    return Choice(why=f"of {provider} nothing faster is known")


def _openvino_device(options: Mapping[str, str]) -> str:
    """Which of OpenVINO's devices is asked for, without its number; the processor unless another is named."""
    return options.get("device_type", "CPU").partition(".")[0]


def placed(placements: Sequence[Placement], choice: Choice) -> tuple[Placement, ...]:
    """Add to each placement the options that a precision is made of, and leave out fallbacks without that precision."""
    return tuple(_placed(placement, choice.precision) for placement in placements)


def _placed(placement: Placement, precision: Precision) -> Placement:
    providers = tuple((name, _with_options(name, pairs, precision)) for name, pairs in placement.providers)
    first = providers[0][0]
    if precision in (Precision.FP32, Precision.INT8) or first == CPU_PROVIDER:
        return replace(placement, providers=providers)
    same = tuple(pair for pair in providers if _has_same(pair[0], first, precision))
    return Placement(same, placement.fallback_allowed and len(same) > 1)


def _has_same(provider: str, first: str, precision: Precision) -> bool:
    """Whether a provider may stand in for the first one: it reads the same graph."""
    if precision is Precision.FP16 and first != OPENVINO_PROVIDER:
        return provider in FLOAT16_PROVIDERS
    if precision is Precision.BF16 and first != OPENVINO_PROVIDER:
        return provider in BFLOAT16_PROVIDERS
    return provider == first


def _with_options(
    provider: str, pairs: tuple[tuple[str, str], ...], precision: Precision
) -> tuple[tuple[str, str], ...]:
    given = dict(pairs)
    if provider == CUDA_PROVIDER:
        wanted = str(int(precision is Precision.TF32))
        if given.get(_TF32_OPTION, wanted) != wanted:
            raise InputError(
                f"{provider}'s option {_TF32_OPTION}={given[_TF32_OPTION]!r} and precision={precision.value!r} differ; "
                f"leave the option out and pass precision={'fp32' if wanted == '1' else 'tf32'!r}"
            )
        return (*pairs, *(((_TF32_OPTION, wanted),) if _TF32_OPTION not in given else ()))
    device = _openvino_device(given)
    hint = _HINTS.get(device, {}).get(precision) if provider == OPENVINO_PROVIDER else None
    if hint is None:
        return pairs
    own = [name for name in _OPENVINO_OWN if name in given]
    if own and precision is Precision.FP32:
        return pairs  # its own word counts
    if own:
        raise InputError(
            f"{provider}'s option {own[0]}={given[own[0]]!r} and precision={precision.value!r} may differ; leave one "
            "out"
        )
    return (*pairs, (_OPENVINO_CONFIG, json.dumps({device: {"INFERENCE_PRECISION_HINT": hint}})))


def session_entries(choice: Choice, provider: str) -> dict[str, OptionValue]:
    """Entries of a session that a precision is made of."""
    return {_FAST_BFLOAT16: "1"} if choice.precision is Precision.BF16 and provider == CPU_PROVIDER else {}


def check_entries(choice: Choice, options: Mapping[str, OptionValue]) -> None:
    """Refuse session options of the caller that make another precision, in which nothing would be named so."""
    if str(options.get(_FAST_BFLOAT16, "0")) == "1" and choice.precision is not Precision.BF16:
        raise InputError(f"session option {_FAST_BFLOAT16} computes in bfloat16; pass precision='bf16' in its place")

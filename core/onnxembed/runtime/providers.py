"""From what the caller asked for to ONNX Runtime execution providers.

A provider that was asked for and is not available is an error, unless the caller listed a fallback after it; then it is
a warning.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from numbers import Integral
from typing import Any

from onnxembed.errors import InputError, InputTypeError, ProviderError
from onnxembed.suggest import nearest

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

OptionPairs = tuple[tuple[str, str], ...]

_NUMBERED = re.compile(r"cuda:[0-9]{1,4}|cpu:0")
# Devices that PyTorch names and that ONNX Runtime reaches by a provider of its own.
_ELSEWHERE: Mapping[str, str] = {
    name: f" For {name!r} pass providers=[{provider!r}, {CPU_PROVIDER!r}] where your ONNX Runtime has that provider"
    for name, provider in (
        ("mps", "CoreMLExecutionProvider"),
        ("xpu", "OpenVINOExecutionProvider"),
        ("rocm", "MIGraphXExecutionProvider"),
        ("npu", "QNNExecutionProvider"),
        ("dml", "DmlExecutionProvider"),
    )
}


class Device(StrEnum):
    """Where to run: ``AUTO`` takes CUDA when this ONNX Runtime has it, and the processor otherwise."""

    CPU = "cpu"
    CUDA = "cuda"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """What the caller asked for, checked for form but not yet against this machine.

    Attributes:
        providers: Provider names with their options, or ``None`` to choose by device.
        device: The device to choose by.
        device_ids: CUDA devices; one session is opened on each.
    """

    providers: tuple[tuple[str, OptionPairs], ...] | None
    device: Device
    device_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """The providers of one session.

    Attributes:
        providers: Names and options, best first.
        fallback_allowed: Whether the session may run without the first of them.
    """

    providers: tuple[tuple[str, OptionPairs], ...]
    fallback_allowed: bool


def parse_device(cuda: object, name: str = "cuda") -> Device | str:
    """Read a device: True, False, a `Device`, its value as a string, or PyTorch's name of one, such as ``"cuda:1"``.

    A CUDA device with a number is given back as its name.
    """
    if isinstance(cuda, bool) or getattr(getattr(cuda, "dtype", None), "kind", None) == "b":  # NumPy's, too
        return Device.CUDA if cuda else Device.CPU
    if isinstance(cuda, str) and _NUMBERED.fullmatch(cuda):
        return Device.CPU if cuda.startswith("cpu") else str(cuda)
    try:
        return Device(cuda)  # type: ignore[arg-type]  # anything else is refused below
    except ValueError:
        values = ", ".join(repr(device.value) for device in Device)
        raise InputError(
            f"{name}={cuda!r} is not understood; pass True, False or one of {values}, or 'cuda:1' for one device by "
            f"its number.{_ELSEWHERE.get(str(cuda).partition(':')[0].lower(), '')}"
        ) from None


def parse_device_ids(device_ids: object, name: str = "device_ids") -> list[int] | None:
    """Read the numbers of CUDA devices; none at all count as not given."""
    listed = [] if isinstance(device_ids, str | bytes) or not isinstance(device_ids, Iterable) else list(device_ids)
    given = isinstance(device_ids, Iterable) and not isinstance(device_ids, str | bytes | Mapping)
    if not given or not all(isinstance(i, Integral) and not isinstance(i, bool) and int(i) >= 0 for i in listed):
        raise InputTypeError(f"{name}={device_ids!r}: expected a list of CUDA device numbers such as [0, 1], or None")
    return list(map(int, listed)) or None


def parse_providers(providers: object, name: str = "providers") -> list[tuple[str, dict[str, str]]]:
    """Read provider names, or (name, options) pairs."""
    if isinstance(providers, str | bytes | Mapping) or not isinstance(providers, Iterable):
        raise InputTypeError(f"{name}={providers!r}: expected a list of provider names such as [{CPU_PROVIDER!r}]")
    parsed = [_parse_provider(provider) for provider in providers]
    if not parsed:
        raise InputError(f"{name}=[] names no provider; pass None to choose by device")
    return parsed


def parse_request(
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None,
    cuda: bool | Device | str,
    device_ids: Sequence[int] | None,
) -> ProviderRequest:
    """Combine the three options that say where to run."""
    device = parse_device(cuda)
    numbers = () if device_ids is None else tuple(parse_device_ids(device_ids) or ())
    if not isinstance(device, Device):
        number = int(device.partition(":")[2])
        if numbers not in ((), (number,)):
            raise InputError(f"cuda={cuda!r} and device_ids={list(numbers)} name different devices; leave one out")
        device, numbers = Device.CUDA, (number,)
    if providers is None:
        return ProviderRequest(None, device, numbers)
    if device is Device.CUDA:
        warnings.warn("both providers= and cuda=True were given; providers= is used", UserWarning, stacklevel=3)
    pairs = tuple((name, tuple(options.items())) for name, options in parse_providers(providers))
    return ProviderRequest(pairs, device, numbers)


def _parse_provider(provider: object) -> tuple[str, dict[str, str]]:
    """One entry of ``providers``."""
    if isinstance(provider, str):
        return provider, {}
    if isinstance(provider, tuple | list) and len(provider) == 2:
        name, options = provider
        if isinstance(name, str) and isinstance(options, Mapping):
            return name, dict(sorted((str(key), str(value)) for key, value in options.items()))
    raise InputTypeError(f"provider {provider!r}: expected a name or a (name, options) pair")


def check_request(request: ProviderRequest, available: Sequence[str]) -> None:
    """Refuse a request, by a `ProviderError`, that this machine cannot serve and that names no fallback."""
    place(request, available, warn=False)


def place(request: ProviderRequest, available: Sequence[str], *, warn: bool = True) -> tuple[Placement, ...]:
    """Choose the providers of each session to open: one session, or one per CUDA device.

    With ``warn``, a fallback that the caller listed is taken with a warning. A provider that is not available, where no
    fallback was asked for, is a `ProviderError`.
    """
    if request.providers is not None:
        return (_place_listed(request.providers, available, warn=warn),)
    wants_cuda = request.device is Device.CUDA or (request.device is Device.AUTO and CUDA_PROVIDER in available)
    if not wants_cuda:
        return (Placement(((CPU_PROVIDER, ()),), fallback_allowed=False),)
    if CUDA_PROVIDER not in available:
        raise ProviderError(_cuda_missing(available))
    fallback = request.device is Device.AUTO
    return tuple(
        Placement(((CUDA_PROVIDER, (("device_id", str(number)),)), (CPU_PROVIDER, ())), fallback_allowed=fallback)
        for number in request.device_ids or (0,)
    )


def _place_listed(providers: tuple[tuple[str, OptionPairs], ...], available: Sequence[str], *, warn: bool) -> Placement:
    """The placement for providers that the caller listed."""
    usable = tuple((name, options) for name, options in providers if name in available)
    missing = [name for name, _ in providers if name not in available]
    falls_back = len(providers) > 1 and providers[-1][0] == CPU_PROVIDER
    if missing and not (falls_back and usable):
        name = missing[0]
        hint = nearest(name, available)
        raise ProviderError(
            f"execution provider {name!r} is not available; this ONNX Runtime has {', '.join(available)}."
            f"{hint} Install the ONNX Runtime build that has it, or list {CPU_PROVIDER!r} after it to fall back"
        )
    if missing and warn:
        warnings.warn(
            f"execution provider {missing[0]!r} is not available; falling back to {usable[0][0]!r} as listed",
            RuntimeWarning,
            stacklevel=2,
        )
    return Placement(usable, fallback_allowed=falls_back)


def _cuda_missing(available: Sequence[str]) -> str:
    """Why CUDA is missing, and what to do about it."""
    message = f"cuda=True, but this ONNX Runtime has no {CUDA_PROVIDER}, only {', '.join(available)}. "
    if {"onnxruntime", "onnxruntime-gpu"} <= _installed_runtimes():
        return message + (
            "Both onnxruntime and onnxruntime-gpu are installed, and the one installed last has overwritten files of "
            "the other: uninstall both, then install onnxruntime-gpu alone"
        )
    return (
        message + "Uninstall onnxruntime and install onnxruntime-gpu, or pass cuda='auto' to use it where there is one"
    )


def _installed_runtimes() -> set[str]:
    """Names of the ONNX Runtime distributions that are installed."""
    from importlib import metadata

    found = set()
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
    return found

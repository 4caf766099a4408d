"""From what the caller asked for to ONNX Runtime execution providers.

A provider that was asked for and is not available is an error, unless the caller listed a fallback after it; then it is
a warning.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from numbers import Integral
from typing import Any

from onnxembed.errors import InputError, InputTypeError, ProviderError
from onnxembed.runtime.provider_packages import GPU_RUNTIME, how_to_get, is_installed, overwritten

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

OptionPairs = tuple[tuple[str, str], ...]

_DEVICE_ID = "device_id"
LIBRARY_PATH = "library_path"
"""The option of a provider that names the library of a plugin; ONNX Runtime is not given it."""
# Providers that choose among several devices by this option.
_WITH_DEVICE_ID = frozenset(
    {
        *(CUDA_PROVIDER, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "MIGraphXExecutionProvider"),
        *("ROCMExecutionProvider", "DmlExecutionProvider", "CANNExecutionProvider"),
    }
)
FALLBACK_ADVICE = ". List the fallback in providers=, or choose the device 'auto', if the processor is acceptable"
"""How an error ends that an allowed fallback would have prevented."""
_ALONE = f"uninstall both, then install {GPU_RUNTIME} alone"

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

    def rest(self) -> Placement | None:
        """What may be used where the first provider fails, ``None`` where nothing may."""
        if not self.fallback_allowed or len(self.providers) == 1:
            return None
        return replace(self, providers=self.providers[1:])

    def without(self, rest: Placement) -> tuple[tuple[str, OptionPairs], ...]:
        """The providers that come before those of ``rest``."""
        return self.providers[: len(self.providers) - len(rest.providers)]


_PROCESSOR = Placement(((CPU_PROVIDER, ()),), fallback_allowed=False)


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


def place(
    request: ProviderRequest, available: Sequence[str], *, warn: bool = True, device_found: bool = True
) -> tuple[Placement, ...]:
    """Choose the providers of each session to open: one session, or one per device.

    With ``warn``, a fallback that the caller listed is taken with a warning. A provider that is not available, where no
    fallback was asked for, is a `ProviderError`. ``device_found`` says whether the machine shows a device with a
    driver: where it does not, `Device.AUTO` does not try CUDA.
    """
    numbers = tuple(dict.fromkeys(request.device_ids))
    if request.providers is not None:
        return _numbered(_place_listed(request.providers, available, warn=warn), numbers)
    if request.device is Device.CPU:
        if numbers:
            raise InputError(f"device_ids={list(numbers)} names CUDA devices, but the processor was asked for")
        return (_PROCESSOR,)
    if request.device is Device.CUDA and CUDA_PROVIDER not in available:
        raise ProviderError(_cuda_missing(available))
    if CUDA_PROVIDER not in available or (request.device is Device.AUTO and not device_found):
        if warn:
            _warn_of_processor(numbers, available)
        return (_PROCESSOR,)
    fallback = request.device is Device.AUTO
    return tuple(
        Placement(((CUDA_PROVIDER, (("device_id", str(number)),)), (CPU_PROVIDER, ())), fallback_allowed=fallback)
        for number in numbers or (0,)
    )


def place_quantized(request: ProviderRequest, placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    """Choose again for a dynamically quantised graph, whose matrix products CUDA leaves to the processor."""
    if placements[0].providers[0][0] != CUDA_PROVIDER:
        return placements
    if request.providers is None and request.device is Device.AUTO:
        return (_PROCESSOR,)
    warnings.warn(
        f"this model's graph is dynamically quantised, and {CUDA_PROVIDER} has no kernels for its matrix products: "
        "they run on the processor, with copies in every layer. Take a float32 or float16 graph of the model, or the "
        "processor",
        RuntimeWarning,
        stacklevel=2,
    )
    return placements


def _warn_of_processor(numbers: tuple[int, ...], available: Sequence[str]) -> None:
    """Warn where the choice of the processor is not what the installation or the arguments promise."""
    if CUDA_PROVIDER not in available and is_installed(GPU_RUNTIME):
        cause = "Another build of ONNX Runtime has overwritten its files" if overwritten(GPU_RUNTIME) else ""
        warnings.warn(
            f"{GPU_RUNTIME} is installed, but this ONNX Runtime has no {CUDA_PROVIDER}, so that the processor is used. "
            f"{cause or 'Its installation is damaged'}: {_ALONE}",
            RuntimeWarning,
            stacklevel=3,
        )
    elif numbers not in ((), (0,)):  # the first device is what is tried without any number
        warnings.warn(
            f"device_ids={list(numbers)} names CUDA devices, but CUDA is not to be had here, so that the processor is "
            "used",
            RuntimeWarning,
            stacklevel=3,
        )


def _place_listed(providers: tuple[tuple[str, OptionPairs], ...], available: Sequence[str], *, warn: bool) -> Placement:
    """The placement for providers that the caller listed: each may be missing that has a usable one after it."""
    for name, options in providers:
        if name == CPU_PROVIDER and options:
            raise InputError(f"{CPU_PROVIDER} has no options, but {dict(options)} were given; see session_options=")
    usable = tuple((name, options) for name, options in providers if name in available)
    missing = [name for name, _ in providers if name not in available]
    if missing and providers[-1][0] not in available:
        raise ProviderError(
            f"execution provider {missing[0]!r} is not available; this ONNX Runtime has {', '.join(available)}."
            f"{how_to_get(missing[0], available)}, or list {CPU_PROVIDER!r} after it to fall back"
        )
    if missing and warn:
        warnings.warn(
            f"execution provider {missing[0]!r} is not available; falling back to {usable[0][0]!r} as listed",
            RuntimeWarning,
            stacklevel=3,
        )
    return Placement(usable, fallback_allowed=len(providers) > 1)


def _numbered(placement: Placement, numbers: tuple[int, ...]) -> tuple[Placement, ...]:
    """One placement per device number, which becomes an option of the listed providers that have one."""
    if not numbers:
        return (placement,)
    listed = [(name, dict(options)) for name, options in placement.providers]
    takers = [(name, options.get(_DEVICE_ID)) for name, options in listed if name in _WITH_DEVICE_ID]
    given = sorted({number for _, number in takers if number is not None})
    if not takers or (given and given != [str(number) for number in numbers]):
        why = f"the options of providers= name device {', '.join(given)}" if given else "no listed provider takes one"
        raise InputError(f"device_ids={list(numbers)} was given together with providers=, but {why}; leave one out")
    taken = {name for name, _ in takers}
    return tuple(
        replace(
            placement,
            providers=tuple(
                (name, (*pairs, option) if name in taken and _DEVICE_ID not in dict(pairs) else pairs)
                for name, pairs in placement.providers
            ),
        )
        for option in ((_DEVICE_ID, str(number)) for number in numbers)
    )


def _cuda_missing(available: Sequence[str]) -> str:
    """Why CUDA is missing, and what to do about it."""
    message = f"cuda=True, but this ONNX Runtime has no {CUDA_PROVIDER}, only {', '.join(available)}. "
    if overwritten(GPU_RUNTIME):
        return message + (
            "Both onnxruntime and onnxruntime-gpu are installed, and the one installed last has overwritten files of "
            f"the other: {_ALONE}"
        )
    return (
        message + "Uninstall onnxruntime and install onnxruntime-gpu, or pass cuda='auto' to use it where there is one"
    )

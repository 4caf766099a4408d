"""Opens ONNX Runtime's session: one listed provider after the other, each with its own options.

ONNX Runtime has a fallback of its own, which is turned off here: it prints to standard output, forgets the options of
all providers, loses the reason, and at run time moves to the processor in the middle of a call.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxembed.errors import InputError, ModelError, ProviderError
from onnxembed.runtime import cuda
from onnxembed.runtime.assignment import RECORD, can_record, warn_of_unused
from onnxembed.runtime.provider_traits import compiles_by_shape
from onnxembed.runtime.providers import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    FALLBACK_ADVICE,
    LIBRARY_PATH,
    OptionPairs,
    Placement,
)
from onnxembed.runtime.session_options import OptionValue
from onnxembed.suggest import nearest

_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_TAKES_DATA_FOLDER = (1, 21)  # earlier releases look for the data in the working directory
_WRITES_GRAPH = "optimized_model_filepath"
_NO_PROCESSOR = "session.disable_cpu_ep_fallback"
_UNKNOWN_OPTION = re.compile(r"[Uu]nknown provider option:?\s*\"?([\w.]+)")
# Classes of ONNX Runtime's errors, and parts of its sentences, that blame the file whatever the provider.
_OF_THE_FILE = frozenset({"InvalidGraph", "InvalidProtobuf", "ModelLoaded", "NoModel", "NoSuchFile", "NotImplemented"})
_ABOUT_THE_FILE = ("oad model", "registered function/op", "nbits")
# Where the caller does not choose: an arena that grows by what a batch asks for, where ONNX Runtime would take the next
# power of two; and convolutions chosen by rule, where it would time every one of them for each new size of a batch.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    CUDA_PROVIDER: {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
}
# For the nearest name only: whether an option exists is for ONNX Runtime to say.
_OPTIONS = (
    *("device_id", "gpu_mem_limit", "arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream"),
    *("cudnn_conv_use_max_workspace", "cudnn_conv1d_pad_to_nc1d", "enable_cuda_graph", "user_compute_stream"),
    *("tunable_op_enable", "tunable_op_tuning_enable", "enable_skip_layer_norm_strict_mode", "prefer_nhwc"),
    *("use_ep_level_unified_stream", "use_tf32", "fuse_conv_bias", "sdpa_kernel", "device_type", "cache_dir"),
    *("trt_max_workspace_size", "trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable", "trt_engine_cache_enable"),
    *("trt_engine_cache_path", "trt_timing_cache_enable", "trt_timing_cache_path", "trt_max_partition_iterations"),
    *("trt_min_subgraph_size", "trt_profile_min_shapes", "trt_profile_max_shapes", "trt_profile_opt_shapes"),
    *("trt_cuda_graph_enable", "trt_builder_optimization_level", "migraphx_fp16_enable", "backend_path"),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session of ONNX Runtime.

    Attributes:
        session: Its own object.
        placement: The providers that it was opened with, without those that did not start.
        by_shape: Whether the first of them compiles the graph for every shape that it meets.
    """

    session: Any
    placement: Placement
    by_shape: bool = False


@dataclass(frozen=True, slots=True)
class Outlined:
    """A graph whose large tensors lie in files, to be mapped.

    Attributes:
        graph: The graph without them.
        folder: Where the files are.
    """

    graph: bytes
    folder: Path


@dataclass(frozen=True, slots=True)
class _Lost:
    """A provider that did not start, and why."""

    provider: str
    reason: str


def open_session(
    onnxruntime: Any,
    model: Path,
    placement: Placement,
    options: Callable[[str], Mapping[str, OptionValue]],
    outlined: Outlined | None = None,
) -> Opened:
    """Open a session with the first provider that starts; ``options`` gives the session options for it.

    On the processor ``outlined``, the same graph, is loaded in place of the file where there is one.

    A fallback that the placement allows is taken with a warning. A `ProviderError` has ONNX Runtime's own sentence for
    each provider; an `InputError` names an option that a provider does not have; a `ModelError` blames the file.
    """
    names = [name for name, _ in placement.providers]
    cuda.check_fork(names)
    if not cuda.CUDA_PROVIDERS.isdisjoint(names):
        cuda.preload(onnxruntime)
    lost: list[_Lost] = []
    attempt: Placement | None = placement
    session: Any = None
    while attempt is not None:
        wanted = attempt.providers[0][0]
        try:
            session = _create(onnxruntime, model, attempt, options(wanted), outlined)
        except Exception as error:  # noqa: BLE001  # ONNX Runtime raises a dozen classes with no common root
            _blame(onnxruntime, model, attempt, error)
            lost.append(_Lost(wanted, " ".join(str(error).split()).rstrip(".")))
        else:
            used = _settled(attempt, session.get_providers())
            if used is not attempt:
                _refuse_misspelt(attempt)
            if used is attempt or (used is not None and used.fallback_allowed):
                lost.extend(_Lost(name, _left_out(onnxruntime, name)) for name, _ in attempt.without(used))
                return _accepted(onnxruntime, session, used, lost)
            instead = f"and uses {', '.join(session.get_providers())} instead"
            lost.append(_Lost(wanted, f"{instead}: {_left_out(onnxruntime, wanted)}"))
        attempt = attempt.rest()
    raise ProviderError(_said(onnxruntime, placement, lost) + FALLBACK_ADVICE)


def _create(
    onnxruntime: Any,
    model: Path,
    placement: Placement,
    options: Mapping[str, OptionValue],
    outlined: Outlined | None,
) -> Any:
    """Create one session; a failure is an error of ONNX Runtime, or `InputError` where an option does not fit."""
    named, wanted = onnxruntime.SessionOptions(), placement.providers[0][0]
    recorded = {RECORD: "1"} if wanted != CPU_PROVIDER and can_record(onnxruntime) else {}
    for name, value in {**recorded, **options}.items():
        try:
            _set(onnxruntime, named, name, value)
        except Exception as error:  # numbers and texts that its own types do not hold
            raise InputError(f"session option {name}={value!r} is refused by ONNX Runtime: {error}") from error
    alone = wanted != CPU_PROVIDER and str(options.get(_NO_PROCESSOR)) == "1"  # it takes one of the two
    providers = [
        (name, _with_defaults(name, pairs))
        for name, pairs in placement.providers
        if not (alone and name == CPU_PROVIDER)
    ]
    graph: str | bytes = str(model)
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    maps = wanted == CPU_PROVIDER and version >= _TAKES_DATA_FOLDER and _WRITES_GRAPH not in options
    if outlined is not None and maps:
        named.add_session_config_entry(_DATA_FOLDER, str(outlined.folder))
        graph = outlined.graph
    return onnxruntime.InferenceSession(graph, sess_options=named, providers=providers, enable_fallback=0)


def _with_defaults(name: str, pairs: OptionPairs) -> dict[str, str]:
    """Options of a provider, those of the caller before ours.

    The first CUDA device is not named, since releases 1.29 to 1.31 log a warning then.
    """
    options = {key: value for key, value in (*_DEFAULTS.get(name, {}).items(), *pairs) if key != LIBRARY_PATH}
    return {key: value for key, value in options.items() if (name, key, value) != (CUDA_PROVIDER, "device_id", "0")}


def _set(onnxruntime: Any, options: Any, name: str, value: OptionValue) -> None:
    if "." in name:
        options.add_session_config_entry(name, str(value))
    elif name == "execution_mode":
        options.execution_mode = onnxruntime.ExecutionMode(value)
    elif name == "graph_optimization_level":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(value)
    else:
        setattr(options, name, value)


def _blame(onnxruntime: Any, model: Path, placement: Placement, error: Exception) -> None:
    """Raise unless another provider may do better: what was asked for is wrong, or the file is."""
    if isinstance(error, InputError):
        raise error
    text = str(error)
    unknown = _UNKNOWN_OPTION.search(text)
    if unknown is not None:
        holders = [name for name, pairs in placement.providers if unknown[1] in dict(pairs)]
        raise InputError(
            f"{' and '.join(holders) or placement.providers[0][0]} has no option {unknown[1]!r}."
            f"{nearest(unknown[1], _OPTIONS)} ONNX Runtime {onnxruntime.__version__} said: {text}"
        ) from error
    about_the_file = type(error).__name__ in _OF_THE_FILE or any(part in text for part in _ABOUT_THE_FILE)
    if about_the_file or placement.providers[0][0] == CPU_PROVIDER:
        raise ModelError(_load_failure(model, text, onnxruntime.__version__)) from error


def _refuse_misspelt(placement: Placement) -> None:
    """Refuse an option that looks misspelt, of a CUDA provider that was left out before it read its options."""
    for name, pairs in placement.providers:
        for option, _ in pairs:
            hint = nearest(option, _OPTIONS)
            if name in cuda.CUDA_PROVIDERS and option not in _OPTIONS and hint:
                raise InputError(f"{name} has no option {option!r}.{hint}")


def _load_failure(model: Path, text: str, version: str) -> str:
    """Say why a file did not load, and what to do where that is known."""
    if "MatMulNBits" in text or "nbits" in text.lower():
        return (
            f"{model} uses a weight-only quantisation that ONNX Runtime {version} does not have; "
            f"upgrade to onnxruntime>=1.23. It said: {text}"
        )
    return f"ONNX Runtime {version} cannot load {model}: {text}"


def _settled(placement: Placement, running: Sequence[str]) -> Placement | None:
    """The part of a placement that a session runs, ``None`` where it runs only what was not listed.

    ONNX Runtime leaves out providers whose libraries are missing, with no more than a line in its log.
    """
    part: Placement | None = placement
    while part is not None and part.providers[0][0] not in running:
        part = part.rest()
    return part


def _left_out(onnxruntime: Any, provider: str) -> str:
    return cuda.missing_library(onnxruntime, provider) or "its own log names the library that is missing"


def _accepted(onnxruntime: Any, session: Any, placement: Placement, lost: Sequence[_Lost]) -> Opened:
    """Warn of the providers that did not start, and of one that does nothing."""
    running = session.get_providers()
    if not cuda.CUDA_PROVIDERS.isdisjoint(running):
        cuda.used_here()
    if lost:
        said = _said(onnxruntime, placement, lost)
        warnings.warn(f"{said}. {', '.join(running)} is used instead", RuntimeWarning, stacklevel=2)
    warn_of_unused(session, placement.providers[0][0])
    return Opened(session, placement, compiles_by_shape(placement.providers[0][0]))


def _said(onnxruntime: Any, placement: Placement, lost: Sequence[_Lost]) -> str:
    """What each provider did not start for, and what it needs."""
    reasons = "; ".join(
        f"{one.provider} was asked for, but ONNX Runtime could not start it"
        + (f" {one.reason}" if one.reason.startswith("and uses") else f": {one.reason}")
        + cuda.fork_hint(one.reason)
        for one in lost
    )
    if cuda.CUDA_PROVIDERS.isdisjoint(one.provider for one in lost):
        return reasons
    device = next((value for _, pairs in placement.providers for key, value in pairs if key == "device_id"), None)
    return f"{reasons}. {cuda.needs(onnxruntime)}{cuda.numbering(device)}"

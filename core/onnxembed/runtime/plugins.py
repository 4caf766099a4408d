"""Execution providers that lie in a library of their own, which ONNX Runtime 1.23 and later loads when it is named.

Packages of such plugins are found by the convention of their makers: a module that gives the library's path. Another
library is named by the option ``library_path`` of its provider in ``providers=``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxembed.errors import ProviderError
from onnxembed.runtime import forks
from onnxembed.runtime.providers import LIBRARY_PATH, ProviderRequest

_REGISTER = "register_execution_provider_library"
# The module of each plugin's package, and the function that gives its library.
_MODULES: Mapping[str, tuple[str, str]] = {
    "WebGpuExecutionProvider": ("onnxruntime_ep_webgpu", "get_library_path"),
    "OpenVINOExecutionProvider": ("onnxruntime_ep_openvino", "get_library_path"),
    "NvTensorRTRTXExecutionProvider": ("onnxruntime_ep_nv_tensorrt_rtx", "get_library_path"),
    "MLXExecutionProvider": ("onnxruntime_ep_mlx", "get_library_path"),
    "ggml": ("onnxruntime_ggml", "library_path"),
}


def available_providers(onnxruntime: Any, request: ProviderRequest) -> Sequence[str]:
    """The providers that ONNX Runtime has, those of plugins that a request names among them.

    A library that cannot be loaded, or that offers no device here, is a `ProviderError`.
    """
    available: list[str] = onnxruntime.get_available_providers()
    for name, options in request.providers or ():
        library = dict(options).get(LIBRARY_PATH)
        if name in available:
            continue
        path = _installed(name) if library is None else Path(library)
        if path is not None:
            with forks.whole():
                _register(onnxruntime, name, path)
            available = onnxruntime.get_available_providers()
    return available


def _installed(provider: str) -> Path | None:
    """The library of an installed plugin."""
    module, function = _MODULES.get(provider, ("", ""))
    if not module or importlib.util.find_spec(module) is None:
        return None
    try:
        return Path(getattr(importlib.import_module(module), function)())
    except Exception as error:
        raise ProviderError(f"the plugin {module} of {provider} does not give its library: {error}") from error


def _register(onnxruntime: Any, name: str, path: Path) -> None:
    register = getattr(onnxruntime, _REGISTER, None)
    if register is None:
        raise ProviderError(
            f"{name} is a plugin ({path}), which ONNX Runtime {onnxruntime.__version__} cannot load; upgrade to "
            "onnxruntime>=1.23"
        )
    if not path.is_file():
        raise ProviderError(f"{name}: the library {path} is not there; give its path as {LIBRARY_PATH!r}")
    try:
        register(name, str(path))
    except Exception as error:
        if "already registered" not in str(error).lower():
            version = onnxruntime.__version__
            raise ProviderError(f"{name}: ONNX Runtime {version} cannot load {path}: {error}") from error
    offered = {device.ep_name for device in onnxruntime.get_ep_devices()}
    if name not in offered:
        others = sorted(offered - {"CPUExecutionProvider"})
        raise ProviderError(
            f"{name}: {path} was loaded, but it offers no device here"
            + (f" under that name; there are {', '.join(others)}" if others else "")
        )

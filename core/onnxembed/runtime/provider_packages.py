"""Which package brings an execution provider, and which ones of ONNX Runtime are installed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnxembed.installed import all_unpacked, unpacked
from onnxembed.runtime import forks
from onnxembed.suggest import nearest

_ENDING = "ExecutionProvider"
GPU_RUNTIME = "onnxruntime-gpu"
CPU_RUNTIME = "onnxruntime"
STAND_IN_MARK = "onnxembed"
"""The local part of the version of a distribution that has a name and no files; see `onnxembed.care.stand_in`."""

PACKAGES: Mapping[str, str] = {
    "CUDAExecutionProvider": GPU_RUNTIME,
    "TensorrtExecutionProvider": f"{GPU_RUNTIME} with TensorRT's own libraries",
    "NvTensorRTRTXExecutionProvider": "onnxruntime-trt-rtx, or the plugin onnxruntime-ep-nv-tensorrt-rtx",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "ROCMExecutionProvider": "onnxruntime-rocm",
    "OpenVINOExecutionProvider": "onnxruntime-openvino, or the plugin onnxruntime-ep-openvino",
    "DmlExecutionProvider": "onnxruntime-directml",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "CoreMLExecutionProvider": "onnxruntime on macOS",
    "WebGpuExecutionProvider": "onnxruntime-webgpu, or the plugin onnxruntime-ep-webgpu",
    "CANNExecutionProvider": "onnxruntime-cann",
    "VitisAIExecutionProvider": "the onnxruntime of AMD's Ryzen AI software",
    "XnnpackExecutionProvider": "a build of ONNX Runtime of your own",
    "DnnlExecutionProvider": "a build of ONNX Runtime of your own",
    "ACLExecutionProvider": "a build of ONNX Runtime of your own",
    "ArmNNExecutionProvider": "a build of ONNX Runtime of your own",
}
"""Every accelerator's provider with the package that has it."""

# Distributions that install the folder ``onnxruntime``, so that each overwrites the others. Plugins stand beside it.
_RUNTIMES = (
    CPU_RUNTIME,
    GPU_RUNTIME,
    *("onnxruntime-directml", "onnxruntime-migraphx", "onnxruntime-openvino", "onnxruntime-qnn", "onnxruntime-rocm"),
    *("onnxruntime-cann", "onnxruntime-trt-rtx", "onnxruntime-webgpu", "onnxruntime-windowsml"),
)


def is_installed(distribution: str) -> bool:
    """Whether a distribution is installed with files of its own, whatever has become of these."""
    version = runtime_version(distribution)
    return bool(version) and not version.endswith(f"+{STAND_IN_MARK}")


def runtime_version(distribution: str) -> str:
    """The version of an installed distribution, or nothing."""
    found = unpacked(distribution)
    if found is not None:
        return found[1]
    if all_unpacked():
        return ""
    with forks.whole():  # a fork during the import would leave its lock held in the child
        from importlib import metadata

        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return ""


def installed_runtimes() -> set[str]:
    """Names of the ONNX Runtime distributions that are installed."""
    return {name for name in _RUNTIMES if is_installed(name)}


def overwritten(wanted: str) -> bool:
    """Whether a distribution is installed together with another that writes the same files."""
    return is_installed(wanted) and len(installed_runtimes()) > 1


def how_to_get(name: str, available: Sequence[str]) -> str:
    """Say what was meant by a provider's name, or which package has it."""
    meant = _meant(name, (*available, *PACKAGES))
    if meant != name:
        hint = f" Did you mean {meant!r}?" if meant else nearest(name, available)
        return f"{hint} Install the ONNX Runtime build that has it"
    package = PACKAGES[name]
    installed = sorted(installed_runtimes())
    if package.split(",")[0].split(" ")[0] in installed and len(installed) > 1:
        return (
            f" {' and '.join(installed)} are installed and overwrite each other's files: uninstall all of them, then "
            "install only the one that you need"
        )
    return f" Install the ONNX Runtime build that has it: {package} (uninstall other builds first, but for plugins)"


def _meant(name: str, known: Iterable[str]) -> str | None:
    """The provider that a full or a short name stands for, such as ``cuda``."""
    short = {provider.removesuffix(_ENDING).lower(): provider for provider in known}
    given = name.lower().removesuffix(_ENDING.lower())
    return short.get(given)

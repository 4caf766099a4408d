"""What the machine has: ONNX Runtime and its providers, devices, processors. Nothing is started."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnxembed.care.finding import Finding
from onnxembed.runtime import cuda
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.precision import has_dot_products
from onnxembed.runtime.provider_packages import GPU_RUNTIME, installed_runtimes
from onnxembed.runtime.providers import CUDA_PROVIDER

_CPU_FILE = Path("/proc/cpuinfo")
# As Linux names them: on x86 and on ARM.
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "amx_int8": "AMX",
    "avx512_bf16": "bfloat16",
    "asimd": "NEON",
    "asimddp": "dot products",
    "i8mm": "8-bit matrices",
    "sve": "SVE",
}
_GPU_BUILD = f'pip uninstall -y onnxruntime {GPU_RUNTIME} && pip install "{GPU_RUNTIME}[cuda,cudnn]"'


def examine_runtime() -> Iterator[Finding]:
    """Say which ONNX Runtime is installed, whether builds overwrite each other, and which providers it has.

    Yields:
        What was found of the runtime, and of the devices that it could use.
    """
    builds = sorted(installed_runtimes())
    if len(builds) > 1:
        keep = GPU_RUNTIME if GPU_RUNTIME in builds and cuda.driver().found else "onnxruntime"
        kept = f'"{keep}[cuda,cudnn]"' if keep == GPU_RUNTIME else keep
        yield Finding(
            "runtime",
            "builds",
            " and ".join(builds),
            "they install the same files, so that the one installed last has overwritten the other",
            f"pip uninstall -y {' '.join(builds)} && pip install {kept}",
        )
    try:
        onnxruntime = import_onnxruntime()
        available = tuple(onnxruntime.get_available_providers())
        version = str(onnxruntime.__version__)
    except Exception as error:  # noqa: BLE001  # a broken installation raises whatever it meets first
        chosen = builds[0] if builds else "onnxruntime"
        removed = f"pip uninstall -y {' '.join(builds)} && " if builds else ""
        yield Finding(
            "runtime",
            "onnxruntime",
            " and ".join(builds) or "not installed",
            f"it cannot be imported ({type(error).__name__}: {error})",
            f"{removed}pip install --force-reinstall {chosen}",
        )
        return
    yield Finding("runtime", "onnxruntime", f"{version}, of {' and '.join(builds) or 'an unknown distribution'}")
    yield Finding("runtime", "providers", ", ".join(available))
    yield from _device(onnxruntime, available, builds)


def _device(onnxruntime: Any, available: tuple[str, ...], builds: list[str]) -> Iterator[Finding]:
    driver = cuda.driver()
    wanted = GPU_RUNTIME in builds
    if CUDA_PROVIDER in available:
        cuda.preload(onnxruntime)
        missing = cuda.missing_library(onnxruntime, CUDA_PROVIDER)
        if missing and driver.found:
            needs = cuda.needs(onnxruntime, driver)
            yield Finding(
                "device", "CUDA", driver.text, f"{missing}; {needs}", f'pip install "{GPU_RUNTIME}[cuda,cudnn]"'
            )
        elif driver.found:
            yield Finding("device", "CUDA", f"{driver.text}; CUDA {cuda.cuda_line(onnxruntime)}")
        else:
            yield Finding("device", "CUDA", driver.text, note="the processor is used")
    elif wanted and len(builds) == 1:
        problem = f"{GPU_RUNTIME} is installed, but has no {CUDA_PROVIDER}: its files are damaged or another's"
        yield Finding("device", "CUDA", driver.text, problem, _GPU_BUILD)
    elif driver.found:
        yield Finding("device", "CUDA", driver.text, note=f"the installed build has no CUDA; to use it: {_GPU_BUILD}")
    else:
        yield Finding("device", "CUDA", driver.text)


def examine_processor(cpu_file: Path = _CPU_FILE) -> Iterator[Finding]:
    """Say which features the processor has, and how many processors this process may use.

    Args:
        cpu_file: Where Linux lists the features.

    Yields:
        The features, and the number.
    """
    features = _features(cpu_file)
    dots = has_dot_products(cpu_file)
    yield Finding(
        "processor",
        "features",
        ", ".join(features) or f"{platform.machine()}, not known in detail on {sys.platform}",
        note="" if dots else "no 8-bit dot products: precision='int8' rounds weights to 7 bits, and may be slower",
    )
    usable, whole = usable_cpus(), os.cpu_count() or 1
    value = f"{usable} of {whole}"
    if usable < whole:
        yield Finding("processor", "usable", value, note="by affinity or control group; threads follow it by default")
    else:
        yield Finding("processor", "usable", value)


def _features(cpu_file: Path) -> list[str]:
    try:
        text = cpu_file.read_text("ascii", "replace")
    except OSError:
        return []
    lines = [line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))]
    flags = set[str]().union(*map(set, lines))
    return [name for flag, name in _FEATURES.items() if flag in flags]

"""What can be known of CUDA without starting it: driver, devices, the libraries beside it, and forks.

Nothing here initialises CUDA, since a process that has done so can fork no child that uses it. Files are read, and one
library is loaded whose initialisation is a call that nobody makes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from onnxembed.errors import ProviderError
from onnxembed.runtime import forks
from onnxembed.runtime.quiet import quiet_stdout

CUDA_PROVIDERS = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
"""Providers that need CUDA's libraries and NVIDIA's driver."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# Device files of the driver on Linux, in Windows' Linux, and on Jetson.
_DEVICE_FILES = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg", "dev/nvhost-ctrl-gpu", "dev/nvgpu")
_DRIVER_VERSIONS = ("sys/module/nvidia/version", "proc/driver/nvidia/version")
_VERSION = re.compile(r"\d{3}\.\d+(?:\.\d+)*")
# The oldest driver for Linux that each CUDA line takes, of NVIDIA's release notes.
_DRIVER_OF_LINE: Mapping[int, int] = {12: 525, 13: 580}
_SECOND_LINE = (1, 27)


@dataclass(frozen=True, slots=True)
class Driver:
    """NVIDIA's driver as this machine shows it.

    Attributes:
        found: Whether a device may be had.
        text: What was found, or what is missing, for messages.
    """

    found: bool
    text: str


def find_driver(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Driver:
    """Look for a driver and a device; starts nothing, so a fork afterwards harms nothing."""
    visible = environment.get(_VISIBLE)
    if visible is not None and visible.split(",")[0].strip() in ("", "-1", "NoDevFiles"):
        return Driver(found=False, text=f"{_VISIBLE}={visible!r} hides every device")
    version = _driver_version(root)
    named = "an NVIDIA driver" if version is None else f"NVIDIA driver {version}"
    if sys.platform != "win32" and not any((root / name).exists() for name in _DEVICE_FILES):
        missing = "but no device of it" if version else "nor a device"
        return Driver(found=False, text=f"{named if version else 'no NVIDIA driver'} {missing} was found here")
    if root == Path("/") and not _driver_loads():
        return Driver(found=False, text=f"{named} was found, but its library does not load here")
    return Driver(found=True, text=f"{named} was found")


@cache
def driver() -> Driver:
    """This machine's driver, looked for once."""
    with forks.whole():
        return find_driver()


def _driver_version(root: Path) -> str | None:
    for name in _DRIVER_VERSIONS:
        with suppress(OSError, ValueError):
            found = _VERSION.search((root / name).read_text(encoding="ascii", errors="replace"))
            if found:
                return found[0]
    return None


def _driver_loads() -> bool:
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def cuda_line(onnxruntime: Any) -> int:
    """The CUDA that a build of ONNX Runtime is for; by its own word, else by its release."""
    stated = str(getattr(onnxruntime, "cuda_version", "") or "").partition(".")[0]
    if stated.isdigit():
        return int(stated)
    numbers = tuple(int(part) for part in re.findall(r"\d+", onnxruntime.__version__)[:2])
    return 13 if numbers >= _SECOND_LINE else 12


def needs(onnxruntime: Any, found: Driver | None = None) -> str:
    """Say which CUDA and which driver a build needs, and what driver there is."""
    line = cuda_line(onnxruntime)
    least = f", which needs driver {_DRIVER_OF_LINE[line]} or newer" if line in _DRIVER_OF_LINE else ""
    return (
        f"ONNX Runtime {onnxruntime.__version__} for GPUs is made for CUDA {line}{least} (onnxruntime-gpu is for CUDA "
        f"12 up to 1.26 and for CUDA 13 from 1.27 on); {(found or driver()).text}"
    )


def numbering(device: str | None) -> str:
    """Say how device numbers count, where an environment variable changes that."""
    visible = os.environ.get(_VISIBLE)
    if device is None or visible is None:
        return ""
    return f". Device numbers count within {_VISIBLE}={visible!r}: {device} is its entry at that position, from 0"


@cache
def preload(onnxruntime: Any) -> str:
    """Load the CUDA libraries of installed packages, once; gives what ONNX Runtime wrote about it.

    Without this the official packages are not found. Releases before 1.21 have no such function.
    """
    load = getattr(onnxruntime, "preload_dlls", None)
    if load is None:
        return ""
    with quiet_stdout() as written:
        try:
            load(directory="")
        except Exception as error:  # noqa: BLE001  # what is missing is said again when a session is opened
            return f"{written.getvalue()}{error}".strip()
    return written.getvalue().strip()


def missing_library(onnxruntime: Any, provider: str) -> str:
    """Name the shared library for want of which a provider was left out; empty where that is not known.

    ONNX Runtime writes this to its log only.
    """
    with forks.whole():
        return _missing_library(onnxruntime, provider)


def _missing_library(onnxruntime: Any, provider: str) -> str:
    import ctypes

    stem = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}.get(provider)
    if stem is None or not sys.platform.startswith("linux") or not getattr(onnxruntime, "__file__", None):
        return ""
    library = Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{stem}.so"
    if not library.is_file():
        return f"this ONNX Runtime has no {library.name}"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        # Whatever else it says comes from loading the library outside of ONNX Runtime.
        return str(error) if "cannot open shared object file" in str(error) else ""
    return ""


# The process that opened a session with CUDA, or the parent of this one that did.
_cuda_in: int | None = None


def used_here() -> None:
    """Remember that this process uses CUDA."""
    global _cuda_in  # one per process
    _cuda_in = os.getpid()


def check_fork(providers: Iterable[str]) -> None:
    """Refuse, by a `ProviderError`, CUDA in a process whose parent used it before the fork."""
    named = next((name for name in providers if name in CUDA_PROVIDERS), None)
    if named is not None and _cuda_in not in (None, os.getpid()):
        raise ProviderError(
            f"{named} cannot be used in this process: its parent, process {_cuda_in}, had used CUDA before the fork. "
            "Start the process with spawn or forkserver, or open the model after the fork only"
        )


def fork_hint(reason: str) -> str:
    """Explain the failure of a child whose parent used CUDA through another library."""
    if "CUDA failure 3" not in reason and "initialization error" not in reason:
        return ""
    return (
        ". CUDA says so in a process whose parent used it before the fork: start with spawn or forkserver, or open the "
        "model after the fork only"
    )

"""Memory of NVIDIA's devices, asked of the driver's management library, which starts no CUDA."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from onnxembed.runtime import forks

_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_VISIBLE, _ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory of one device, in bytes.

    Attributes:
        total: All of it.
        free: What nobody uses now.
    """

    total: int
    free: int


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def device_memory(number: int) -> DeviceMemory | None:
    """Memory of a CUDA device by its number within ``CUDA_VISIBLE_DEVICES``; ``None`` where that is not known."""
    with forks.whole(), suppress(OSError, AttributeError):
        library = ctypes.CDLL(_LIBRARY)
        if library.nvmlInit_v2() == 0:
            try:
                return memory_of(library, number, os.environ)
            finally:
                library.nvmlShutdown()
    return None


def memory_of(library: Any, number: int, environment: Mapping[str, str]) -> DeviceMemory | None:
    """The same with a library that has been started.

    CUDA counts the fastest device first unless it is told to go by the bus, as this library does: where devices differ
    and the order is not told, the answer is that of the device with the least free memory.
    """
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return None
    visible = environment.get(_VISIBLE)
    names = [str(i) for i in range(count.value)] if visible is None else [n.strip() for n in visible.split(",")]
    found = [_memory(library, name) for name in names]
    if number >= len(found) or found[number] is None:
        return None
    known = [memory for memory in found if memory is not None]
    alike = len({memory.total for memory in known}) == 1
    by_number = environment.get(_ORDER) == "PCI_BUS_ID" or not names[number].isdigit()
    return found[number] if alike or by_number else min(known, key=lambda memory: memory.free)


def _memory(library: Any, name: str) -> DeviceMemory | None:
    """Memory of a device by its number on the bus or its UUID."""
    handle, memory = ctypes.c_void_p(), _Memory()
    if name.isdigit():
        failed = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
    else:
        failed = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    if failed or library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
        return None
    return DeviceMemory(int(memory.total), int(memory.free))

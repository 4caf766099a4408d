"""The one place that imports ONNX Runtime, with its telemetry off.

From release 1.29 on, the official Linux builds write a device number and an event store into the home folder as soon as
they are imported, and send the names and hashes of models to their maker. A library that promises to make no request
once a model is cached cannot start that. The switch is an environment variable which is read once, during the import:
it is set for just that moment and taken back, unless the user has set it or has imported ONNX Runtime before.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from onnxembed.runtime import forks
from onnxembed.runtime.per_process import PerProcess

_SWITCH = "ORT_DISABLE_TELEMETRY"
_importing = PerProcess(threading.Lock)


def onnxruntime_version() -> tuple[int, ...]:
    """The installed release of ONNX Runtime: its two leading numbers."""
    return tuple(int(part) for part in import_onnxruntime().__version__.split(".")[:2])


def import_onnxruntime() -> Any:
    """Import ONNX Runtime and return the module."""
    if "onnxruntime" not in sys.modules and _SWITCH not in os.environ:
        with forks.whole(), _importing.get():
            os.environ[_SWITCH] = "1"
            try:
                import onnxruntime
            finally:
                del os.environ[_SWITCH]
        return onnxruntime
    import onnxruntime

    return onnxruntime

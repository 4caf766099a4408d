"""An examination of the installation and the machine; nothing is started, downloaded or written."""

from __future__ import annotations

import os

from onnxembed.care.finding import Finding
from onnxembed.care.machine import examine_processor, examine_runtime
from onnxembed.care.packages import examine_packages
from onnxembed.care.surroundings import examine_cache, examine_network


def examine(cache_dir: str | os.PathLike[str] | None = None) -> tuple[Finding, ...]:
    """Examine packages, ONNX Runtime, devices, processors, the cache and the way to the Hub.

    Args:
        cache_dir: The cache to look at; ``None`` for the one that the environment names.

    Returns:
        What was found, area by area.
    """
    return (
        *examine_packages(),
        *examine_runtime(),
        *examine_processor(),
        *examine_cache(cache_dir),
        *examine_network(),
    )

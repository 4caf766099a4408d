"""What a figure depends on besides the code: the machine. No names and no paths of it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

# What decides how fast matrices are multiplied.
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "neon", "sve")


def describe_machine() -> dict[str, Any]:
    """Processor, processors usable by this process, memory, system, and how busy the machine is."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    model = facts.get("model name") or platform.processor() or platform.machine()
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": model,
        "cpu_family": facts.get("cpu family"),
        "cpu_model": facts.get("model"),
        "cpu_flags": [flag for flag in _TELLING_FLAGS if flag in flags],
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def slug(cpu: str) -> str:
    """A processor's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|\bcpu\b|@.*", " ", cpu.lower())).strip("-") or "unknown"


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}

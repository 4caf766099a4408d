"""How many processors this process may really use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def _quota_v2(root: Path) -> float | None:
    """Processors granted by a version 2 control group, or ``None`` when there is no limit."""
    quota, _, period = (root / "cpu.max").read_text(encoding="ascii").strip().partition(" ")
    return None if quota == "max" else int(quota) / int(period or 100_000)


def _quota_v1(root: Path) -> float | None:
    """Processors granted by a version 1 control group, or ``None`` when there is no limit."""
    quota = int((root / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii"))
    period = int((root / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii"))
    return None if quota <= 0 or period <= 0 else quota / period


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Count the processors this process may use: its affinity, cut by its control group's quota; at least 1.

    ``os.cpu_count()`` counts the machine's, so that a container with a quota of two would start sixty-four workers.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    for read in (_quota_v2, _quota_v1):
        try:
            quota = read(cgroup)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # not this version of control groups, or none at all
        if quota is not None:
            count = min(count, max(1, math.ceil(quota)))
        break
    return max(1, count)

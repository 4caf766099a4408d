"""How long importing takes: figures that are kept, and measured again only on demand."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import onnxembed", "from onnxembed import TextEmbedding")
_PROCESSES = 15


def import_time() -> str:
    lines = [
        f"# Median of {_PROCESSES} fresh processes a statement, in turn, from their start to their end, files in the",
        "# system's cache; `pass` is the interpreter alone. Compare only figures of one machine.",
        "# Measured again by: python -m tests.snapshots --import-time",
    ]
    seconds: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(_PROCESSES + 1):
        for statement, taken in seconds.items():
            taken.append(_run(statement))
    # The first round only fills the cache.
    lines += [f"{statement}: {statistics.median(taken[1:]) * 1000:.0f} ms" for statement, taken in seconds.items()]
    return "\n".join(lines)


def _run(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started

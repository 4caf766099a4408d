"""Time from the start of a process to the first vector, from an exported folder and by fastembed, in one run.

``python -m benchmarks.serverless``: the processes take turns. The processor's seconds are given beside the clock's,
since they say something on a busy machine, too. Ours run as in a function: two threads' worth of an empty environment,
no home, a folder that nothing is written to.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dense import Contender, make_shared_model
from benchmarks.worker import MODEL


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        clock: Seconds by the clock, the interpreter's start included.
        processor: Seconds of all processors.
        peak: Bytes of memory at most.
    """

    clock: float
    processor: float
    peak: int


def start_once(contender: Contender, environment: dict[str, str]) -> Start:
    """Start a process, load the model, embed a text."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(contender.command("cold"), stdout=subprocess.PIPE, check=True, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(answer["at"] - began, processor, answer["peak_bytes"] or 0)


def bytes_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serverless", description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="starts of each; the first is not counted")
    chosen = parser.parse_args(arguments)
    peers = os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))
    if not Path(peers).is_file():
        parser.error(f"{peers} is not there; `make bench` sets it up, or name an interpreter in ONNXEMBED_PEERS")
    import onnxembed

    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        make_shared_model(Path(scratch, "model"))
        contenders = []
        sizes = {"fastembed": bytes_of(Path(scratch, "model"))}
        for precision in ("fp32", "int8"):
            name = f"exported, {precision}"
            folder = onnxembed.export_model(MODEL, Path(scratch, precision), precision=precision)
            contenders.append(Contender(name, "onnxembed", sys.executable, str(folder)))
            sizes[name] = bytes_of(folder)
        contenders.append(Contender("fastembed", "fastembed", peers, str(Path(scratch, "model"))))
        # Of the search path only what the interpreter would not find: each entry is looked at for each module.
        bare = {"PYTHONPATH": str(Path(onnxembed.__file__).parents[1])}
        environments = {one.name: dict(os.environ) if one.library == "fastembed" else bare for one in contenders}
        starts: dict[str, list[Start]] = {one.name: [] for one in contenders}
        for number in range(chosen.times + 1):
            for one in contenders:
                start = start_once(one, environments[one.name])
                if number:
                    starts[one.name].append(start)
    theirs = starts["fastembed"]
    print(f"load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("| | clock, median | clock, least | processor, median | of fastembed's | peak memory | folder |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in starts.items():
        clock, least, processor = (
            statistics.median(run.clock for run in runs),
            min(run.clock for run in runs),
            statistics.median(run.processor for run in runs),
        )
        ratios = (
            clock / statistics.median(run.clock for run in theirs),
            least / min(run.clock for run in theirs),
            processor / statistics.median(run.processor for run in theirs),
        )
        print(
            f"| {name} | {clock * 1000:.0f} ms | {least * 1000:.0f} ms | {processor * 1000:.0f} ms "
            f"| {' / '.join(f'{ratio:.2f}' for ratio in ratios)} "
            f"| {max(run.peak for run in runs) / 1e6:.0f} MB | {sizes[name] / 1e6:.1f} MB |"
        )


if __name__ == "__main__":
    main()

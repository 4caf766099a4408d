"""Time from the start of a process to the first vector, from an exported folder and by fastembed, in one run.

``python -m benchmarks.serverless``: the processes take turns. The processor's seconds are given beside the clock's,
since they say something on a busy machine, too. Ours run as in a function: two threads' worth of an empty environment,
no home, a folder that nothing is written to. The measurements are kept in ``results``.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.dense import RESULTS, Contender, make_shared_model, say
from benchmarks.machine import describe_machine, slug
from benchmarks.suite_report import table
from benchmarks.worker import MODEL

AIM = 0.45
ADDRESS_SPACE = 1024 * 10**6


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


def start_limited(contender: Contender, environment: dict[str, str]) -> dict[str, int]:
    """The same with so much address space, as in a small function: memory and address space at most."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    done = subprocess.run(
        contender.command("cold"),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env=environment,
        preexec_fn=limited,  # no threads run here
    )
    answer = json.loads(done.stdout)
    return {"peak": answer["peak_bytes"], "address": answer["address_bytes"]}


def bytes_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw the table; the best of each column is bold, ours or not."""
    theirs = {
        name: statistics.median(run[name] for run in results["starts"]["fastembed"]) for name in ("clock", "processor")
    }
    rows: dict[str, list[float | None]] = {}
    for name, runs in results["starts"].items():
        clock, processor = (statistics.median(run[key] for run in runs) for key in ("clock", "processor"))
        rows[name] = [
            1e3 * clock,
            clock / theirs["clock"],
            1e3 * min(run["clock"] for run in runs),
            1e3 * processor,
            processor / theirs["processor"],
            max(run["peak"] for run in runs) / 1e6,
            results["folder_bytes"][name] / 1e6,
        ]
    head = [
        "",
        "clock ms, median",
        "of fastembed's",
        "clock ms, least",
        "processor ms, median",
        "of fastembed's",
        "peak MB",
        "folder MB",
    ]
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"{results['times']} starts of each in turn, {machine['cpu']}, {machine['cores']} processors, load "
        f"{machine['load_average_before']} before and {machine['load_average_after']} after; Python "
        f"{versions['onnxembed']['python']}, ONNX Runtime {versions['onnxembed']['onnxruntime']}, fastembed "
        f"{versions['fastembed']['fastembed']} with the same weights as an ONNX file. The aim is {AIM} of its time.",
        "",
        *table(head, rows, [",.0f", ".2f", ",.0f", ",.0f", ".2f", ",.0f", ".1f"], ["least"] * 7),
    ]
    small = ", ".join(
        f"{found['peak'] / 1e6:.0f} MB resident at most and {found['address'] / 1e6:.0f} MB of address space ({name})"
        for name, found in results["limited"].items()
    )
    limit = f"With a limit on the address space (`RLIMIT_AS`) of {ADDRESS_SPACE / 1e6:.0f} MB: {small}."
    return "\n".join([*lines, "", limit]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serverless", description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="starts of each; one more before them is not counted")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    peers = os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))
    if not Path(peers).is_file():
        parser.error(f"{peers} is not there; `make bench` sets it up, or name an interpreter in ONNXEMBED_PEERS")
    import onnxembed

    results: dict[str, Any] = {"machine": describe_machine(), "model": MODEL, "times": chosen.times}
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        make_shared_model(Path(scratch, "model"))
        contenders = []
        for precision in ("fp32", "int8"):
            folder = onnxembed.export_model(MODEL, Path(scratch, precision), precision=precision)
            contenders.append(Contender(f"exported, {precision}", "onnxembed", sys.executable, str(folder)))
        contenders.append(Contender("fastembed", "fastembed", peers, str(Path(scratch, "model"))))
        results["versions"] = {one.library: one.measure("facts") for one in contenders[1:]}
        results["folder_bytes"] = {one.name: bytes_of(Path(str(one.model))) for one in contenders}
        # Of the search path only what the interpreter would not find: each entry is looked at for each module.
        bare = {"PYTHONPATH": str(Path(onnxembed.__file__).parents[1])}
        environments = {one.name: dict(os.environ) if one.library == "fastembed" else bare for one in contenders}
        starts: dict[str, list[dict[str, Any]]] = {one.name: [] for one in contenders}
        for number in range(chosen.times + 1):
            for one in contenders:
                start = start_once(one, environments[one.name])
                if number:
                    starts[one.name].append(asdict(start))
            say(f"{number} of {chosen.times}")
        ours = [one for one in contenders if one.library == "onnxembed"]
        results["limited"] = {one.name: start_limited(one, environments[one.name]) for one in ours}
    results["starts"] = starts
    results["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    print(to_markdown(results))
    output = chosen.output or RESULTS / f"serverless-{slug(results['machine']['cpu'])}.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

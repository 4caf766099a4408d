"""Dense embedding beside other libraries, in one run: ``python -m benchmarks.suite [--quick]``.

All sides load the same weights and have the same budget of threads. Each is a waiting process, and they take turns:
throughput on four mixes of lengths, queries one by one, and once more with one processor each. Imports and first
vectors are measured in new processes, in turns, too. A library whose environment is not there is named in the results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug
from benchmarks.sides import SIDES, Side, make_folder
from benchmarks.sides_worker import MAX_LENGTH, NAME
from benchmarks.suite_report import to_markdown
from benchmarks.texts import as_written, queries
from benchmarks.waiting import Worker

THREADS = 2
ENOUGH_SECONDS = 12.0
"""A side that has taken this long in all is not run again."""
_WORDS_FILLING = 420


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        texts: Number of texts of each mix.
        rounds: Turns of each side over each mix.
        turns: Turns of ten queries.
        starts: New processes of each side.
    """

    texts: Mapping[str, int]
    rounds: int
    turns: int
    starts: int


FULL = Effort({"mixed": 192, "short": 512, "full": 16, "giant": 192}, rounds=3, turns=30, starts=3)
QUICK = Effort({"mixed": 16, "short": 32, "full": 2, "giant": 16}, rounds=1, turns=2, starts=1)


def full(count: int) -> list[str]:
    """Texts that fill the model's limit."""
    words = " ".join(as_written(4_000)).split()
    return [
        " ".join(words[start : start + _WORDS_FILLING]) for start in range(0, count * _WORDS_FILLING, _WORDS_FILLING)
    ]


def giant(count: int) -> list[str]:
    """Short texts, and one among them that fills the limit."""
    texts = queries(count, 12)
    texts[count // 2] = full(1)[0]
    return texts


MIXES: Mapping[str, Callable[[int], list[str]]] = {
    "mixed": as_written,  # first: the peak of memory is read after it
    "short": lambda count: queries(count, 12),
    "full": full,
    "giant": giant,
}


@contextmanager
def opened(sides: Sequence[Side], model: Path, threads: int, missing: dict[str, str]) -> Iterator[list[Worker]]:
    """Start a process for each side; a side that does not start is added to ``missing``."""
    with ExitStack() as stack:
        workers = []
        for side in sides:
            say(f"opening {side.name}, {threads} threads")
            try:
                worker = side.start(model, threads)
            except RuntimeError:
                missing[side.name] = "did not start"
            else:
                stack.callback(worker.close)
                workers.append(worker)
        yield workers


def bulk(
    workers: Sequence[Worker], texts: Sequence[str], rounds: int, missing: dict[str, str], vectors: Path | None = None
) -> dict[str, Any]:
    """Let all embed the texts in turns; a side that ends meanwhile is added to ``missing``.

    Returns:
        By name, seconds of each run and peak memory after the first.
    """
    found: dict[str, Any] = {}
    for number in range(rounds):
        for worker in workers if number % 2 else workers[::-1]:
            runs = found.setdefault(worker.name, {"seconds": [], "peak_bytes": None})
            if worker.name in missing or sum(runs["seconds"]) > ENOUGH_SECONDS:
                continue
            time.sleep(0.05)  # the others' threads come to rest
            kept = {"vectors": str(vectors / f"{worker.name}.npy")} if vectors and not number else {}
            try:
                got = worker.ask("embed", texts, **kept)
            except (RuntimeError, BrokenPipeError):
                missing[worker.name] = "ended while it embedded"
                continue
            runs["seconds"] += got["seconds"]
            runs["peak_bytes"] = runs["peak_bytes"] or got["peak_bytes"]
        say("  " + ", ".join(f"{name} {runs['seconds'][-1]:.2f} s" for name, runs in found.items() if runs["seconds"]))
    return {name: runs for name, runs in found.items() if runs["seconds"]}


def latency(workers: Sequence[Worker], turns: int, missing: dict[str, str]) -> dict[str, list[float]]:
    """Ask all sides single queries, eleven a turn of which ten count: the first one wakes a process that was idle."""
    asked = queries(turns * 11)
    present = [worker for worker in workers if worker.name not in missing and worker.name != "fastembed, batch_size=1"]
    seconds: dict[str, list[float]] = {worker.name: [] for worker in present}
    for number in range(turns):
        for worker in present if number % 2 else present[::-1]:
            if worker.name in missing:
                continue
            time.sleep(0.02)
            try:
                got = worker.ask("queries", asked[number * 11 : number * 11 + 11])
            except (RuntimeError, BrokenPipeError):
                missing[worker.name] = "ended while it answered queries"
                continue
            seconds[worker.name] += got["seconds"][1:]
    return {name: values for name, values in seconds.items() if values}


def closeness(folder: Path, names: Sequence[str]) -> dict[str, float]:
    """The least cosine of each side's vectors with those of PyTorch, or of our fp32 where that is not there."""
    import numpy as np

    found = {name: np.load(folder / f"{name}.npy") for name in names}
    exact = found.get("sentence-transformers, PyTorch", found["onnxembed"])
    exact = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    near = {}
    for name, vectors in found.items():
        cosines = (exact * vectors).sum(axis=1) / np.linalg.norm(vectors, axis=1)
        near[name] = round(float(cosines.min()), 6)
    return near


def starts(sides: Sequence[Side], model: Path, times: int, missing: dict[str, str]) -> dict[str, Any]:
    """Start new processes up to the first vector; of several the first of each does not count."""
    found: dict[str, Any] = {"import_seconds": {}, "cold_seconds": {}, "cold_peak_bytes": {}}
    for number in range(times):
        for side in sides:
            if side.name in missing or side.name == "fastembed, batch_size=1":
                continue
            say(f"starting {side.name}")
            try:
                began = time.monotonic()
                cold = side.once("cold", model, THREADS)
            except subprocess.CalledProcessError:
                missing[side.name] = "did not start"
                continue
            if number or times == 1:
                found["import_seconds"].setdefault(side.name, []).append(cold["import_seconds"])
                found["cold_seconds"].setdefault(side.name, []).append(cold["at"] - began)
                found["cold_peak_bytes"][side.name] = cold["peak_bytes"]
    return found


def run(effort: Effort, scratch: Path) -> dict[str, Any]:
    """Measure everything.

    Args:
        effort: How much.
        scratch: A folder for files meanwhile.

    Returns:
        All measurements, as plain data.
    """
    model = scratch / "model"
    make_folder(model)
    missing = {side.name: "not installed" for side in SIDES if side.python() is None}
    sides = [side for side in SIDES if side.name not in missing]
    texts = {mix: make(effort.texts[mix]) for mix, make in MIXES.items()}
    results: dict[str, Any] = {
        "model": NAME,
        "max_length": MAX_LENGTH,
        "threads": THREADS,
        "machine": describe_machine(),
        "texts": effort.texts,
        "bulk": {},
    }
    results |= starts(sides, model, effort.starts, missing)
    with opened(sides, model, THREADS, missing) as workers:
        results["versions"] = {worker.name: worker.opened["version"] for worker in workers}
        for mix, given in texts.items():
            say(f"{mix}: {len(given)} texts")
            results["bulk"][mix] = bulk(workers, given, effort.rounds, missing, scratch if mix == "mixed" else None)
        say("queries")
        results["query_seconds"] = latency(workers, effort.turns, missing)
    results["least_cosine"] = closeness(scratch, list(results["bulk"]["mixed"]))
    say("one processor each")
    with opened([side for side in sides if side.scaled], model, 1, missing) as workers:
        results["one_processor"] = bulk(workers, texts["mixed"], min(2, effort.rounds), missing)
    results["missing"] = missing
    results["order"] = [side.name for side in SIDES]
    results["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts: whether it works, and roughly how fast")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        results = run(QUICK if chosen.quick else FULL, Path(scratch))
    results["seconds"] = round(time.monotonic() - started)
    print(to_markdown(results))
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"suite-{slug(results['machine']['cpu'])}.json"
    if output is not None:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(f"{results['seconds']} s")


if __name__ == "__main__":
    main()

"""Dense embedding beside other libraries, in one run of bounded time: ``python -m benchmarks.suite [--quick]``.

All sides load the same weights and have the same budget of threads. Each is a waiting process, and they take turns:
throughput on four mixes of lengths, queries one by one, and once more with one processor each. Imports and first
vectors are measured in new processes, in turns, too. A library whose environment is not there is named in the results.

Every side has so many seconds for a mix, and all of them so many minutes together: a side that is too slow for all
texts embeds fewer of them, and the results say how many. What was measured is written down after each part, so that a
run that is interrupted keeps what it has, and ``--resume`` does the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug
from benchmarks.sides import SIDES, Side, make_folder
from benchmarks.sides_worker import MAX_LENGTH, NAME
from benchmarks.suite_report import to_markdown
from benchmarks.texts import as_written, queries
from benchmarks.turns import Clock, Effort, Turns, bulk, closeness, latency
from benchmarks.waiting import Worker

Keep = Callable[[dict[str, Any]], None]

THREADS = 2
OPENING_SECONDS = 60.0
"""A side that takes longer to open its model is left out."""
_WORDS_FILLING = 420


FULL = Effort(
    {"mixed": 192, "short": 512, "full": 18, "giant": 192}, rounds=3, turns=30, starts=3, side_seconds=8, minutes=9
)
QUICK = Effort(
    {"mixed": 24, "short": 48, "full": 2, "giant": 24},
    rounds=1,
    turns=2,
    starts=0,
    side_seconds=1,
    minutes=1.5,
    rivals_scaled=False,
)


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
def opened(
    sides: Sequence[Side], model: Path, threads: int, missing: dict[str, str], clock: Clock
) -> Iterator[list[Worker]]:
    """Start a process for each side; a side that does not start is added to ``missing``."""
    with ExitStack() as stack:
        workers = []
        for side in sides:
            clock.say(f"opening {side.name}, {threads} threads")
            began = time.monotonic()
            try:
                worker = side.start(model, threads, min(OPENING_SECONDS, clock.left))
            except RuntimeError as error:
                if clock.left:
                    missing[side.name] = f"did not start: {error}"
            else:
                worker.opened["cold_seconds"] = worker.opened["at"] - began
                stack.callback(worker.close)
                workers.append(worker)
        yield workers


def starts(sides: Sequence[Side], model: Path, times: int, missing: dict[str, str], clock: Clock) -> dict[str, Any]:
    """Start new processes up to the first vector; of several the first of each does not count."""
    found: dict[str, Any] = {"import_seconds": {}, "cold_seconds": {}, "cold_peak_bytes": {}}
    for number in range(times):
        for side in sides:
            if side.name in missing or side.name == "fastembed, batch_size=1" or not clock.left:
                continue
            clock.say(f"starting {side.name}")
            try:
                began = time.monotonic()
                cold = side.once("cold", model, THREADS, min(OPENING_SECONDS, clock.left))
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                if clock.left:
                    missing[side.name] = "did not start"
                continue
            if number or times == 1:
                found["import_seconds"].setdefault(side.name, []).append(cold["import_seconds"])
                found["cold_seconds"].setdefault(side.name, []).append(cold["at"] - began)
                found["cold_peak_bytes"][side.name] = cold["peak_bytes"]
    return found


def in_turns(
    workers: Sequence[Worker],
    effort: Effort,
    scratch: Path,
    results: dict[str, Any],
    clock: Clock,
    finish: Callable[[str], None],
) -> None:
    """Let open sides embed the mixes, and answer queries, as far as that is not done and there is time."""
    missing, done = results["missing"], results["done"]
    for mix in MIXES:
        if mix in done or not clock.left:
            continue
        clock.say(f"{mix}: {effort.texts[mix]} texts")
        turns = Turns(workers, MIXES[mix], effort, missing, clock)
        results["bulk"][mix] = bulk(turns, effort.texts[mix], scratch if mix == "mixed" else None)
        results["least_cosine"] |= closeness(scratch) if mix == "mixed" else {}
        finish(mix)
    if "queries" not in done and clock.left:
        clock.say("queries")
        results["query_seconds"] = latency(workers, effort.turns, missing, clock)
        finish("queries")


def run(effort: Effort, scratch: Path, earlier: dict[str, Any], keep: Keep) -> dict[str, Any]:
    """Measure everything.

    Args:
        effort: How much.
        scratch: A folder for files meanwhile.
        earlier: Results of a run that was interrupted; the parts that it has are not measured again.
        keep: Is called after each part with what there is.

    Returns:
        All measurements, as plain data.
    """
    clock = Clock(effort.minutes)
    model = scratch / "model"
    make_folder(model)
    missing = {side.name: "not installed" for side in SIDES if side.python() is None}
    sides = [side for side in SIDES if side.name not in missing]
    results: dict[str, Any] = {
        "model": NAME,
        "max_length": MAX_LENGTH,
        "threads": THREADS,
        "machine": describe_machine(),
        "texts": effort.texts,
        "side_seconds": effort.side_seconds,
        "order": [side.name for side in SIDES],
        "versions": {},
        "bulk": {},
        "query_seconds": {},
        "import_seconds": {},
        "cold_seconds": {},
        "cold_peak_bytes": {},
        "least_cosine": {},
        "one_processor": {},
        "missing": missing,
        "done": [],
    } | earlier
    missing, done = results["missing"], results["done"]

    def finish(part: str) -> None:
        if clock.left:  # else it may have been cut short
            done.append(part)
        keep(results)

    if any(part not in done for part in (*MIXES, "queries")):
        with opened(sides, model, THREADS, missing, clock) as workers:
            results["versions"] = {worker.name: worker.opened["version"] for worker in workers}
            if not effort.starts:
                for key in ("import_seconds", "cold_seconds"):
                    results[key] = {worker.name: [worker.opened[key]] for worker in workers}
            in_turns(workers, effort, scratch, results, clock, finish)
    if "one processor" not in done and clock.left:
        scaled = [side for side in sides if side.scaled and (effort.rivals_scaled or side.library == "onnxembed")]
        with opened(scaled, model, 1, missing, clock) as workers:
            turns = Turns(workers, MIXES["mixed"], effort, missing, clock)
            results["one_processor"] = bulk(turns, effort.texts["mixed"])
        finish("one processor")
    if "starts" not in done and clock.left and effort.starts:
        results |= starts(sides, model, effort.starts, missing, clock)
        finish("starts")
    parts = (*MIXES, "queries", "one processor", *(["starts"] if effort.starts else []))
    results["skipped"] = [part for part in parts if part not in done]
    results["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    results["seconds"] = round(clock.gone)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts: whether it works, and roughly how fast")
    parser.add_argument("--minutes", type=float, help="of the whole run")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    effort = QUICK if chosen.quick else FULL
    if chosen.minutes:
        effort = replace(effort, minutes=chosen.minutes)
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"suite-{slug(describe_machine()['cpu'])}.json"
    partial = output.with_suffix(".partial.json") if output else None

    def keep(results: dict[str, Any]) -> None:
        if partial is not None:
            partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    earlier = {}
    if chosen.resume and partial is not None and partial.is_file():
        earlier = json.loads(partial.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        results = run(effort, Path(scratch), earlier, keep)
    print(to_markdown(results))
    say(f"{results['seconds']} s")
    if results["skipped"]:
        say(f"no time for: {', '.join(results['skipped'])}; --resume measures them")
        keep(results)
        return 0 if chosen.quick else 1
    if output is not None and partial is not None:
        keep(results)
        partial.replace(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

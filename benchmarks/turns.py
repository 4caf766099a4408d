"""Sides that embed in turns, within bounds of time: how many texts each can afford, throughput, single queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.dense import say
from benchmarks.texts import queries
from benchmarks.waiting import Worker

PROBE = 6
"""One text of so many is embedded first by each side, which tells how many its seconds are enough for."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        texts: Number of texts of each mix.
        rounds: Turns of each side over each mix, at most.
        turns: Turns of ten queries.
        starts: New processes of each side; 0 takes the start of the processes that wait.
        side_seconds: Of each side for each mix, all its turns together.
        minutes: Of the whole run; parts that it does not reach are named in the results.
        rivals_scaled: Whether other libraries are measured with one processor, too.
    """

    texts: Mapping[str, int]
    rounds: int
    turns: int
    starts: int
    side_seconds: float
    minutes: float
    rivals_scaled: bool = True


@dataclass(frozen=True)
class Clock:
    """Of a run of bounded time.

    Attributes:
        minutes: How long it may take.
        began: When it began.
    """

    minutes: float
    began: float = field(default_factory=time.monotonic)

    @property
    def gone(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, 60 * self.minutes - self.gone)

    def say(self, message: str) -> None:
        """Tell a person how far it is."""
        say(f"[{self.gone:3.0f} s of {60 * self.minutes:.0f}] {message}")


def affordable(probe_seconds: float, probe: int, count: int, rounds: int, budget: float) -> tuple[int, int]:
    """How many texts, and how often, a side embeds within its budget.

    Args:
        probe_seconds: What it took for the probe.
        probe: Texts of the probe.
        count: Texts of the mix.
        rounds: Turns, at most.
        budget: Seconds of all turns together.

    Returns:
        Number of texts, at least that of the probe, and of turns, at least 1.
    """
    whole = probe_seconds * count / probe
    if whole <= budget:
        return count, max(1, min(rounds, int(budget / whole))) if whole else rounds
    return max(probe, int(count * budget / whole)), 1


@dataclass(frozen=True)
class Turns:
    """Sides that embed texts of one mix in turns.

    Attributes:
        workers: The sides.
        mix: Gives so many texts.
        effort: How long a side may take.
        missing: Gets the sides that end meanwhile.
        clock: Of the run.
    """

    workers: Sequence[Worker]
    mix: Callable[[int], list[str]]
    effort: Effort
    missing: dict[str, str]
    clock: Clock

    def ask(self, worker: Worker, count: int, **further: Any) -> dict[str, Any] | None:
        """Have a side embed so many texts; ``None`` where it cannot, or no time is left."""
        if worker.name in self.missing or not self.clock.left:
            return None
        time.sleep(0.05)  # the others' threads come to rest
        limit = min(self.clock.left, 3 * self.effort.side_seconds + 10)
        try:
            return worker.ask("embed", self.mix(count), limit=limit, **further)
        except (RuntimeError, BrokenPipeError) as error:
            if self.clock.left:  # else it was this run's time that ended
                self.missing[worker.name] = f"ended while it embedded: {error}"
            return None


def bulk(turns: Turns, count: int, vectors: Path | None = None) -> dict[str, Any]:
    """Let all embed texts of a mix: first a few, which tells how many each has the time for, then these in turns.

    Args:
        turns: Of the sides.
        count: Of the texts.
        vectors: A folder for the vectors of the first few.

    Returns:
        By name, the number of texts, seconds of each run with them, and peak memory after the first of these.
    """
    probe, effort, began = max(1, count // PROBE), turns.effort, turns.clock.gone
    plan: dict[str, tuple[int, int]] = {}
    for worker in turns.workers:
        kept = {"vectors": str(vectors / f"{worker.name}.npy")} if vectors else {}
        got = turns.ask(worker, probe, **kept)
        if got:
            plan[worker.name] = affordable(got["seconds"][0], probe, count, effort.rounds, effort.side_seconds)
    turns.clock.say("texts x turns: " + ", ".join(f"{name} {share[0]} x {share[1]}" for name, share in plan.items()))
    found: dict[str, Any] = {}
    for number in range(effort.rounds):
        if number and turns.clock.gone - began > effort.side_seconds * len(turns.workers):
            break  # a busy machine: the other mixes are to have their turns, too
        for worker in turns.workers if number % 2 else turns.workers[::-1]:
            texts, times = plan.get(worker.name, (0, 0))
            got = turns.ask(worker, texts) if number < times else None
            if got:
                runs = found.setdefault(worker.name, {"texts": texts, "seconds": [], "peak_bytes": got["peak_bytes"]})
                runs["seconds"] += got["seconds"]
        turns.clock.say(
            ", ".join(f"{name} {runs['texts'] / runs['seconds'][-1]:.0f}/s" for name, runs in found.items())
        )
    return found


def latency(workers: Sequence[Worker], turns: int, missing: dict[str, str], clock: Clock) -> dict[str, list[float]]:
    """Ask all sides single queries, eleven a turn of which ten count: the first one wakes a process that was idle."""
    asked = queries(turns * 11)
    present = [worker for worker in workers if worker.name not in missing and worker.name != "fastembed, batch_size=1"]
    seconds: dict[str, list[float]] = {worker.name: [] for worker in present}
    for number in range(turns):
        for worker in present if number % 2 else present[::-1]:
            if worker.name in missing or not clock.left:
                continue
            time.sleep(0.02)
            try:
                got = worker.ask("queries", asked[number * 11 : number * 11 + 11], limit=min(clock.left, 30))
            except (RuntimeError, BrokenPipeError) as error:
                if clock.left:
                    missing[worker.name] = f"ended while it answered queries: {error}"
                continue
            seconds[worker.name] += got["seconds"][1:]
    return {name: values for name, values in seconds.items() if values}


def closeness(folder: Path) -> dict[str, float]:
    """The least cosine of each side's vectors with those of PyTorch, or of our fp32 where that is not there."""
    import numpy as np

    found = {file.stem: np.load(file) for file in sorted(folder.glob("*.npy"))}
    if "onnxembed" not in found:
        return {}
    exact = found.get("sentence-transformers, PyTorch", found["onnxembed"])
    exact = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    near = {}
    for name, vectors in found.items():
        cosines = (exact * vectors).sum(axis=1) / np.linalg.norm(vectors, axis=1)
        near[name] = round(float(cosines.min()), 6)
    return near

"""Measure what cancelled requests cost the others: ``python -m benchmarks.cancelled [model or folder]``.

50 requests come at once: 30 of one query each, and before them 20 large ones that are cancelled after a moment. The
30 are compared with those beside 20 requests of two batches each. Rounds of both kinds alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, slug
from onnxembed import TextEmbedding

LARGE, SMALL, ROUNDS = 20, 30, 7
# Texts of a large request: some minutes of work for all of them together.
TEXTS = 5_000
# A batch holds one text: its tokens are all that the budget allows.
BATCH_TOKENS = 256
SECONDS_UNTIL_CANCELLED = 0.1
RESULTS = Path(__file__).with_name("results")


async def one_round(model: TextEmbedding, texts: list[str], *, cancelled: bool) -> list[float]:
    """The seconds of each small request."""
    given = texts if cancelled else texts[:2]
    large = [asyncio.create_task(model.aembed_to_array(given)) for _ in range(LARGE)]

    async def small(number: int) -> float:
        started = time.perf_counter()
        await model.aembed_to_array([f"query number {number}"])
        return time.perf_counter() - started

    others = [asyncio.create_task(small(number)) for number in range(SMALL)]
    if cancelled:
        await asyncio.sleep(SECONDS_UNTIL_CANCELLED)
        for task in large:
            task.cancel()
    await asyncio.gather(*large, return_exceptions=True)
    return await asyncio.gather(*others)


def p95(seconds: list[float]) -> float:
    """The time within which 95 of 100 requests are answered."""
    return sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]


def measure(model: TextEmbedding, rounds: int = ROUNDS, count: int = TEXTS) -> dict[str, Any]:
    """Alternate both kinds of rounds."""
    texts = [f"text {number} " + "of some words that go on and on " * 60 for number in range(count)]
    asyncio.run(one_round(model, texts[:2], cancelled=False))
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for cancelled, seconds in found.items():
            seconds.append(p95(asyncio.run(one_round(model, texts, cancelled=cancelled))))
    beside_cancelled, beside_two = statistics.median(found[True]), statistics.median(found[False])
    return {
        "p95_beside_cancelled": round(beside_cancelled, 4),
        "p95_beside_two_batches": round(beside_two, 4),
        "ratio": round(beside_cancelled / beside_two, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="sentence-transformers/all-MiniLM-L6-v2")
    model = TextEmbedding(parser.parse_args().model, token_budget=BATCH_TOKENS)
    results = {"machine": describe_machine(), **measure(model)}
    sys.stdout.write(json.dumps(results, indent=2) + "\n")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"cancelled-{slug(results['machine']['cpu'])}.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

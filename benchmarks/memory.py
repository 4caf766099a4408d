"""Peak memory over a long stream of mixed texts, and two models side by side: ``python -m benchmarks.memory``.

``--count 100000`` (default 2,000) texts come from a generator, of 4 to 400 words: most are short, one in 100 fills
the model's limit, so batches come in hundreds of shapes. Each precision is a process of its own; what it holds is read
all along, to see whether memory grows with the number of shapes, and once more when the model is gone.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug
from benchmarks.precision_worker import resident_bytes
from benchmarks.sides_worker import MAX_LENGTH, NAME, peak_bytes
from benchmarks.texts import as_written

AIMS_MB = {"fp32": 450, "int8": 300}
SHORTEST, LONGEST = 4, 400
SAMPLES = 50


def mixed_stream(count: int, seed: int = 0) -> Iterator[str]:
    """Texts cut from documentation: a length of n words or more has the odds 4 to n."""
    words = " ".join(as_written(2_000)).split()
    draw = random.Random(seed)  # noqa: S311
    for _ in range(count):
        length = min(LONGEST, int(SHORTEST / (1 - draw.random())))
        start = draw.randrange(len(words) - length)
        yield " ".join(words[start : start + length])


def measure_stream(precision: str, count: int, threads: int) -> dict[str, Any]:
    """Embed the stream in this process.

    Args:
        precision: How the model is computed.
        count: Number of texts.
        threads: Of the model.

    Returns:
        Seconds, peak memory, resident memory along the way, and that once the model is gone.
    """
    from onnxembed import TextEmbedding

    model = TextEmbedding(NAME, max_length=MAX_LENGTH, precision=precision, threads=threads)
    started, samples, step = time.perf_counter(), [], max(1, count // SAMPLES)
    for number, _ in enumerate(model.embed(mixed_stream(count)), 1):
        if number % step == 0:
            samples.append(resident_bytes()["all"])
            print(f"{precision}: {number} of {count}, {samples[-1] / 1e6:.0f} MB", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - started
    peak = peak_bytes()
    del model
    gc.collect()
    return {
        "count": count,
        "seconds": round(seconds, 1),
        "peak_bytes": peak,
        "resident_bytes": samples,
        "afterwards_bytes": resident_bytes()["all"],
        "load_average_after": round(os.getloadavg()[0], 2),
    }


def side_by_side(count: int, rounds: int) -> dict[str, Any]:
    """Two models at their defaults, which embed one after the other, and at once in two threads.

    Args:
        count: Texts of each.
        rounds: Turns.

    Returns:
        Seconds of each turn, and the ratio of the least.
    """
    from onnxembed import TextEmbedding

    texts = as_written(count)
    models = [TextEmbedding(NAME, max_length=MAX_LENGTH) for _ in range(2)]
    for model in models:
        model.embed_to_array(texts[:8])
    seconds: dict[str, list[float]] = {"in turn": [], "side by side": []}
    for _ in range(rounds):
        started = time.perf_counter()
        for model in models:
            model.embed_to_array(texts)
        seconds["in turn"].append(time.perf_counter() - started)
        both = [threading.Thread(target=model.embed_to_array, args=(texts,)) for model in models]
        started = time.perf_counter()
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        seconds["side by side"].append(time.perf_counter() - started)
    ratio = min(seconds["side by side"]) / min(seconds["in turn"])
    return {"texts": count, "seconds": seconds, "ratio": round(ratio, 3)}


def growth(samples: Sequence[int]) -> float:
    """The most that was held in the second half of the way, by the most of the first."""
    half = len(samples) // 2
    return max(samples[half:]) / max(samples[:half]) if half else 1.0


def to_markdown(results: dict[str, Any]) -> str:
    """Draw the tables."""
    lines = [
        "| stream of mixed texts | texts | texts/s | peak MB | aim | second half by the first | model gone, MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for precision, found in results["streams"].items():
        lines.append(
            f"| {precision} | {found['count']:,} | {found['count'] / found['seconds']:,.0f} | "
            f"{found['peak_bytes'] / 1e6:,.0f} | <= {AIMS_MB[precision]} | {growth(found['resident_bytes']):.2f} | "
            f"{found['afterwards_bytes'] / 1e6:,.0f} |"
        )
    pair = results.get("side_by_side")
    if pair:
        lines += ["", f"Two models side by side take {pair['ratio']:.2f} of the time that they take in turn."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts: whether it works")
    parser.add_argument("--count", type=int, default=2_000, help="number of texts")
    parser.add_argument("--threads", type=int, default=2, help="processors that the model uses")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    parser.add_argument("--only", choices=AIMS_MB, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.only:
        print(json.dumps(measure_stream(chosen.only, chosen.count, chosen.threads)))
        return
    count = 100 if chosen.quick else chosen.count
    results: dict[str, Any] = {"machine": describe_machine(), "streams": {}}
    for precision in AIMS_MB:
        say(f"{precision}: {count} texts")
        command = [sys.executable, "-m", "benchmarks.memory", "--only", precision]
        command += ["--count", str(count), "--threads", str(chosen.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        results["streams"][precision] = json.loads(done.stdout.splitlines()[-1])
    say("two models")
    results["side_by_side"] = side_by_side(8 if chosen.quick else 64, 1 if chosen.quick else 3)
    print(to_markdown(results))
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"memory-{slug(results['machine']['cpu'])}.json"
    if output is not None:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Compare MaxSim with one plain matrix product of the same size: ``python -m benchmarks.maxsim``.

1,000 documents of 200 vectors of 128 numbers against a query of 32; then 100,000 such documents, for the memory.
"""

from __future__ import annotations

import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine, slug
from onnxembed import MultiVectors, maxsim

DOCUMENTS, VECTORS, NUMBERS, QUERY_VECTORS = 1_000, 200, 128, 32
MANY_DOCUMENTS = 100_000
ROUNDS = 15
RESULTS = Path(__file__).with_name("results")


def median_seconds(work: Callable[[], Any]) -> float:
    """Time something that runs in milliseconds; the first run does not count."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    draw = np.random.default_rng(0)
    flat = draw.standard_normal((DOCUMENTS * VECTORS, NUMBERS), dtype=np.float32)
    query = draw.standard_normal((QUERY_VECTORS, NUMBERS), dtype=np.float32)
    documents = [flat[start : start + VECTORS] for start in range(0, len(flat), VECTORS)]
    borders = np.sort(draw.choice(np.arange(1, len(flat)), DOCUMENTS - 1, replace=False))
    forms: dict[str, Any] = {"list": documents, "list of mixed lengths": np.split(flat, borders)}
    forms |= {dtype: MultiVectors.pack(documents, dtype) for dtype in ("float32", "float16", "int8")}
    plain = median_seconds(lambda: flat @ query.T)
    results: dict[str, Any] = {"machine": describe_machine(), "plain_product_seconds": plain, "ratios": {}}
    for name, form in forms.items():
        results["ratios"][name] = round(median_seconds(partial(maxsim, query, form)) / plain, 2)
    # One row for all: the documents take no memory of their own here.
    row = draw.standard_normal((1, NUMBERS)).astype(np.float16)
    ends = np.arange(MANY_DOCUMENTS + 1, dtype=np.int64) * VECTORS
    many = MultiVectors(np.broadcast_to(row, (MANY_DOCUMENTS * VECTORS, NUMBERS)), ends)
    tracemalloc.start()
    started = time.perf_counter()
    maxsim(query, many)
    results["many_documents"] = {
        "documents": MANY_DOCUMENTS,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(tracemalloc.get_traced_memory()[1] / 1e6, 1),
    }
    print(json.dumps(results, indent=1))
    output = RESULTS / f"maxsim-{slug(results['machine']['cpu'])}.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

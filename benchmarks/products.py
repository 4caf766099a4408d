"""How near fp32 comes to its plain matrix products, and what a second worker gains: ``python -m benchmarks.products``.

The plain products are those of all-MiniLM-L6-v2's linear layers, for the very tokens of the texts, by ONNX Runtime, in
the number of rows that is fastest here; nothing else runs: no attention, no GELU, no tokenizer. The model and the
products take turns in one process; ratios are of the least times. Then one and two processes of plain products, and
one and two workers of the model (``parallel=``), a thread each: two processors may share more than they show.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug
from benchmarks.sides_worker import MAX_LENGTH, NAME
from benchmarks.texts import as_written

LAYERS, HIDDEN = 6, 384
ROWS = (64, 128, 256, 512, 1024)
SECONDS = 3.0
AIMS = {"fp32 by its products": 1.22, "gain of two workers by that of two processes": 0.9}


def products_graph() -> bytes:
    """All products of the linear layers: query, key and value at once, the output, and the two of the feed-forward."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    nodes, weights, outputs, name = [], [], [], "input"
    for layer in range(LAYERS):
        for part, taken, rows, columns in (
            ("qkv", name, HIDDEN, 3 * HIDDEN),
            ("output", name, HIDDEN, HIDDEN),
            ("up", f"output{layer}", HIDDEN, 4 * HIDDEN),
            ("down", f"up{layer}", 4 * HIDDEN, HIDDEN),
        ):
            values = draw.normal(size=(rows, columns)).astype(np.float32) / np.float32(rows**0.5)
            weights.append(numpy_helper.from_array(values, f"{part}{layer}.weight"))
            nodes.append(helper.make_node("MatMul", [taken, f"{part}{layer}.weight"], [f"{part}{layer}"]))
        name = f"down{layer}"
        outputs.append(helper.make_tensor_value_info(f"qkv{layer}", TensorProto.FLOAT, ["rows", 3 * HIDDEN]))
    outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", HIDDEN]))
    given = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", HIDDEN])]
    graph = helper.make_graph(nodes, "products", given, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def open_products(threads: int) -> Callable[[int], Any]:
    """A session of the products; it is called with a number of rows."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(products_graph(), options, providers=["CPUExecutionProvider"])
    given = {rows: np.random.default_rng(rows).normal(size=(rows, HIDDEN)).astype(np.float32) for rows in ROWS}
    return lambda rows: session.run(None, {"input": given[rows]})


def best_rows(products: Callable[[int], Any]) -> int:
    """The number of rows at which a row takes least."""
    took = {}
    for rows in ROWS:
        products(rows)
        runs = []
        for _ in range(8):
            started = time.perf_counter()
            products(rows)
            runs.append((time.perf_counter() - started) / rows)
        took[rows] = min(runs)
    return min(took, key=lambda rows: took[rows])


def against_products(texts: Sequence[str], threads: int, rounds: int) -> dict[str, Any]:
    """The model and its plain products over the same tokens, in turns.

    Args:
        texts: What is embedded.
        threads: Of both.
        rounds: Turns of each.

    Returns:
        Tokens, rows of the best shape, seconds of each run, and the ratio of the least.
    """
    from onnxembed import TextEmbedding

    model = TextEmbedding(NAME, max_length=MAX_LENGTH, threads=threads)
    tokens = sum(min(model.token_count(text), MAX_LENGTH) for text in texts)
    products = open_products(threads)
    rows = best_rows(products)
    model.embed_to_array(texts)
    seconds: dict[str, list[float]] = {"fp32": [], "products": []}
    for _ in range(rounds):
        for name, work in (
            ("fp32", lambda: model.embed_to_array(texts)),
            ("products", lambda: [products(rows) for _ in range(max(1, round(tokens / rows)))]),
        ):
            time.sleep(0.1)
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    done = max(1, round(tokens / rows)) * rows
    plain = min(seconds["products"]) * tokens / done
    return {"tokens": tokens, "rows": rows, "seconds": seconds, "ratio": round(min(seconds["fp32"]) / plain, 3)}


def count_products(processor: int, seconds: float) -> None:
    """Run plain products on one processor once told to; print how many rows a second."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {processor})
    products = open_products(1)
    rows = best_rows(products)
    print("ready", flush=True)
    sys.stdin.readline()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        products(rows)
        done += rows
    print(done / (time.perf_counter() - started), flush=True)


def products_of(processors: Sequence[int], seconds: float) -> float:
    """Rows a second of plain products in so many processes at once."""
    commands = [
        [sys.executable, "-m", "benchmarks.products", "--processor", str(one), "--seconds", str(seconds)]
        for one in processors
    ]
    running = [subprocess.Popen(one, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for one in commands]
    for one in running:
        if one.stdout is None or not one.stdout.readline():
            raise RuntimeError(f"a process of products ended with exit code {one.wait()}")
    for one in running:
        if one.stdin is not None:
            one.stdin.write("go\n")
            one.stdin.flush()
    return sum(float(one.communicate()[0]) for one in running)


def two_workers(texts: Sequence[str], rounds: int, seconds: float) -> dict[str, Any]:
    """What the second of two workers gains, beside what the second of two processes of plain products does.

    Args:
        texts: What is embedded.
        rounds: Turns.
        seconds: How long plain products run each time.

    Returns:
        Texts and rows a second of one and of two, and the gains, of the best of the turns.
    """
    from onnxembed import TextEmbedding

    model = TextEmbedding(NAME, max_length=MAX_LENGTH, threads=1)
    model.embed_to_array(texts[:8])
    processors = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0, 1]
    found: dict[str, list[float]] = {"one worker": [], "two workers": [], "one process": [], "two processes": []}
    for _ in range(rounds):
        for name, parallel in (("one worker", 1), ("two workers", 2)):
            started = time.perf_counter()
            for _vector in model.embed(texts, parallel=parallel):
                pass
            found[name].append(len(texts) / (time.perf_counter() - started))
        found["one process"].append(products_of(processors[:1], seconds))
        found["two processes"].append(products_of(processors, seconds))
        say("  ".join(f"{name} {values[-1]:.1f}/s" for name, values in found.items()))
    ours, plain = (
        max(found[f"two {name}s" if name == "worker" else "two processes"]) / max(found[f"one {name}"])
        for name in ("worker", "process")
    )
    return {"a_second": found, "gain": round(ours, 3), "plain_gain": round(plain, 3), "ratio": round(ours / plain, 3)}


def to_markdown(results: dict[str, Any]) -> str:
    """Draw the table."""
    near, gained = results["products"], results["workers"]
    fp32, rows = min(near["seconds"]["fp32"]), near["rows"]
    lines = [
        "| fp32, two processors | measured | aim |",
        "|---|--:|--:|",
        f"| time by that of its plain matrix products ({near['tokens']:,} tokens, {fp32:.2f} s; {rows} rows at once) | "
        f"{near['ratio']:.2f} | <= {AIMS['fp32 by its products']} |",
        f"| gain of a second worker, `parallel=2` | {gained['gain']:.2f} |  |",
        f"| gain of a second process of plain products | {gained['plain_gain']:.2f} |  |",
        f"| the one by the other | {gained['ratio']:.2f} | >= {AIMS['gain of two workers by that of two processes']} |",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts: whether it works")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    parser.add_argument("--processor", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.processor is not None:
        count_products(chosen.processor, chosen.seconds)
        return
    machine = describe_machine()
    texts = as_written(16 if chosen.quick else 256)
    rounds, seconds = (1, 0.3) if chosen.quick else (4, SECONDS)
    results: dict[str, Any] = {"machine": machine, "texts": len(texts)}
    results["products"] = against_products(texts, 2, rounds)
    results["workers"] = two_workers(texts, max(1, rounds // 2), seconds)
    print(to_markdown(results))
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"products-{slug(machine['cpu'])}.json"
    if output is not None:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

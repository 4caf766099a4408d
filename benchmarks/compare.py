"""Compare a kind of model with fastembed, in one run: ``python -m benchmarks.compare sparse`` (``rerank``, ``image``).

Every measurement is a process of its own, the libraries take turns, ratios are made of medians, and our results are
compared with fastembed's number by number. Where sentence-transformers has the kind it takes part, over PyTorch, with
the same weights. Each process also gives inputs one by one, as a user waits for them, for the percentiles. The
interpreter of the other libraries is found as in ``benchmarks.dense``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparisons import COMPARISONS, Comparison
from benchmarks.dense import TOKENIZER_FILES, say
from benchmarks.machine import describe_machine, slug
from benchmarks.report import percentile
from benchmarks.suite_report import table as side_table

HERE = Path(__file__).parent
RESULTS = HERE / "results"


TORCH = "sentence-transformers"
QUICK_INPUTS = 6
ENOUGH_SECONDS = 15
"""A side that has taken this long in all is not run again."""


def make_models(names: set[str], scratch: Path, peers: str) -> dict[str, str]:
    """Make the folders that both libraries load.

    Args:
        names: Which.
        scratch: Where.
        peers: The interpreter that has PyTorch.

    Returns:
        Folder by name.
    """
    from onnxembed.hub.locate import locate
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.sparse.languages import stop_words
    from onnxembed.text.known import dense_registry

    minilm = locate(
        dense_registry.find("sentence-transformers/all-MiniLM-L6-v2"), StoreSettings(local_files_only=True)
    ).path
    folders: dict[str, str] = {}
    for name in sorted(names):
        folder = scratch / name
        folders[name] = str(folder)
        if name == "bm25":
            folder.mkdir()
            (folder / "english.txt").write_text("\n".join(stop_words("english")), encoding="utf-8")
            (folder / "config.json").write_text("{}", encoding="utf-8")
        elif name == "bm42":
            _make_bm42(minilm, folder)
        else:
            limit = "128" if name == "splade" else "512"
            command = [peers, str(HERE / "models.py"), name, str(folder), str(minilm), "--max-length", limit]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folders


def _make_bm42(minilm: Path, folder: Path) -> None:
    """The published weights, as the graph with attentions that the other library asks for."""
    import shutil

    from onnxembed.compile import compile_model
    from onnxembed.sparse.languages import stop_words
    from onnxembed.spec import GraphHead

    folder.mkdir()
    compile_model(minilm, folder / "model.onnx", head=GraphHead.ATTENTIONS)
    for file in TOKENIZER_FILES:
        shutil.copy(minilm / file, folder / file)
    (folder / "stopwords.txt").write_text("\n".join(stop_words("english")), encoding="utf-8")


def measure(comparison: Comparison, folder: str | None, peers: str, scratch: Path, *, quick: bool) -> dict[str, Any]:
    """Run both libraries in turns.

    Args:
        comparison: What.
        folder: The model.
        peers: The other library's interpreter.
        scratch: For inputs and results.
        quick: Whether a few inputs are enough, once.

    Returns:
        Seconds and peak memory of every run, their ratios, and the largest difference.
    """
    inputs = list(comparison.inputs(scratch))[: QUICK_INPUTS if quick else None]
    file, singles = scratch / "inputs.json", scratch / "singles.json"
    file.write_text(json.dumps(inputs), encoding="utf-8")
    alone = list(comparison.singles(scratch))[: QUICK_INPUTS if quick else None] if comparison.singles else []
    singles.write_text(json.dumps(alone), encoding="utf-8")
    sides = [("onnxembed", sys.executable, comparison.ours), ("fastembed", peers, comparison.theirs)]
    if comparison.torch:
        sides.append((TORCH, peers, {}))
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library, *_ in sides}
    difference = 0.0
    for _ in range(1 if quick else comparison.rounds):
        for library, python, options in sides:
            if sum(run["seconds"] for run in runs[library]) > ENOUGH_SECONDS:
                continue
            command = [python, "-P", str(HERE / "tasks.py"), comparison.task, "--library", library]
            command += [] if folder is None else ["--folder", folder]
            command += ["--inputs", str(file), "--options", json.dumps(dict(options))]
            command += [] if library == TORCH else ["--results", str(scratch / f"{library}.npz")]
            command += ["--singles", str(singles)] if alone else []
            environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
            if comparison.one_processor:
                command = ["taskset", "-c", "0", *command]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
            runs[library].append(json.loads(done.stdout.splitlines()[-1]))
            say(f"{comparison.label}, {library}: {runs[library][-1]['seconds']:.3f} s")
        difference = max(difference, largest_difference(scratch))
    median = {
        key: {library: statistics.median(run[key] for run in measured) for library, measured in runs.items()}
        for key in ("seconds", "peak_bytes")
    }
    return {
        "items": len(inputs),
        "runs": runs,
        "speed_ratio": median["seconds"]["fastembed"] / median["seconds"]["onnxembed"],
        "memory_ratio": median["peak_bytes"]["onnxembed"] / median["peak_bytes"]["fastembed"],
        "largest_difference": difference,
        "least_speed": comparison.least_speed,
        "most_memory": comparison.most_memory,
        "bound": comparison.bound,
    }


def largest_difference(scratch: Path) -> float:
    """The largest difference between the two libraries' results; infinite when their shapes differ."""
    import numpy as np

    ours, theirs = (np.load(scratch / f"{library}.npz") for library in ("onnxembed", "fastembed"))
    if ours["values"].shape != theirs["values"].shape or not np.array_equal(ours["lengths"], theirs["lengths"]):
        return float("inf")
    return float(np.abs(ours["values"] - theirs["values"]).max(initial=0.0))


def libraries(results: Mapping[str, Any]) -> list[str]:
    """A table of every library of each figure that has single inputs: rate, percentiles, memory; the best is bold."""
    head = ["what, library", "a second", "one, p50 ms", "p95", "p99", "peak MB"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * 5}"]
    for label, figure in results["figures"].items():
        rows: dict[str, list[float | None]] = {}
        if not any(run.get("single_seconds") for runs in figure.get("runs", {}).values() for run in runs):
            continue
        for library, runs in figure["runs"].items():
            alone = [seconds for run in runs for seconds in run["single_seconds"]]
            rows[f"{label}, {library}"] = [
                figure["items"] / statistics.median(run["seconds"] for run in runs),
                *(1e3 * percentile(alone, part) if alone else None for part in (0.5, 0.95, 0.99)),
                statistics.median(run["peak_bytes"] for run in runs) / 1e6,
            ]
        lines += side_table(head, rows, [",.1f", ".1f", ".1f", ".1f", ",.0f"], ["most", *["least"] * 4])[2:]
    return lines


def table(results: Mapping[str, Any]) -> str:
    """Draw the figures.

    Args:
        results: What `main` gathered.

    Returns:
        Markdown.
    """
    lines = ["| what | speed | aim | peak memory | aim | largest difference |", "|---|--:|--:|--:|--:|--:|"]
    for label, figure in results["figures"].items():
        speed, memory = figure["least_speed"], figure["most_memory"]
        lines.append(
            f"| {label} | {figure['speed_ratio']:.2f} times | {f'>= {speed:g}' if speed else ''} | "
            f"{figure['memory_ratio']:.3f} | {f'<= {memory:.3f}' if memory else ''} | "
            f"{figure['largest_difference']:.1e} |"
        )
    return "\n".join([*lines, "", *libraries(results)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("kind", choices=COMPARISONS)
    parser.add_argument("--only", help="part of a label")
    parser.add_argument("--quick", action="store_true", help="a smoke run on few inputs; its figures mean nothing")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    peers = os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))
    if not Path(peers).is_file():
        parser.error(f"{peers} is not there; `make bench` sets it up, or name an interpreter in ONNXEMBED_PEERS")
    random.seed(0)
    started = time.monotonic()
    comparisons = [one for one in COMPARISONS[chosen.kind] if not chosen.only or chosen.only in one.label]
    if chosen.quick:  # one of each model
        comparisons = [one for one in comparisons if one.singles or not one.model]
    results: dict[str, Any] = {"machine": describe_machine(), "figures": {}}
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as folder:
        scratch = Path(folder)
        models = make_models({one.model for one in comparisons if one.model}, scratch, peers)
        for one in comparisons:
            model = models[one.model] if one.model else None
            results["figures"][one.label] = measure(one, model, peers, scratch, quick=chosen.quick)
    print(table(results))
    output = chosen.output
    if output is None and not chosen.quick and not chosen.only:
        output = RESULTS / f"{chosen.kind}-{slug(results['machine']['cpu'])}.json"
    if output is not None:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

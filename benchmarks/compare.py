"""Compare a kind of model with fastembed, in one run: ``python -m benchmarks.compare sparse`` (``rerank``, ``image``).

Every measurement is a process of its own, the two libraries take turns, ratios are made of medians, and the results of
both are compared number by number. The interpreter of the other library is found as in ``benchmarks.dense``.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.dense import TOKENIZER_FILES, say
from benchmarks.machine import describe_machine, slug
from benchmarks.texts import as_written, queries

HERE = Path(__file__).parent
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Comparison:
    """One figure.

    Attributes:
        label: What it is called.
        task: A task of ``benchmarks.tasks``.
        inputs: Makes the inputs, given the scratch folder.
        model: Name of the folder that both load, or ``None``.
        ours: Options of our call.
        theirs: Options of the other library's call.
        one_processor: Whether both are held to one processor.
        least_speed: How many times the speed of the other is aimed at.
        most_memory: What part of the other's peak memory is aimed at, where that is a figure.
        rounds: Runs of each.
        bound: Largest difference between any two numbers.
    """

    label: str
    task: str
    inputs: Callable[[Path], Sequence[Any]]
    model: str | None
    least_speed: float | None
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    one_processor: bool = False
    most_memory: float | None = None
    rounds: int = 3
    bound: float = 1e-4


def paragraphs(_: Path) -> list[str]:
    """20,000 short paragraphs of 28 words, as a collection has them: the same words come again and again."""
    words = " ".join(as_written(5_000)).split()
    starts = [start for offset in (0, 9, 18) for start in range(offset, len(words) - 28, 28)]
    return [" ".join(words[start : start + 28]) for start in starts[:20_000]]


def mixed(count: int) -> Callable[[Path], list[str]]:
    """Texts as people wrote them: most are short, a few fill the model's limit."""
    return lambda _: as_written(count)


def full_length(_: Path) -> list[str]:
    """256 texts that all fill 128 tokens."""
    words = " ".join(as_written(2_000)).split()
    return [" ".join(words[start : start + 128]) for start in range(0, 256 * 128, 128)]


def questions(_: Path) -> list[str]:
    """64 short questions."""
    return queries(64)


def seeds(_: Path) -> list[int]:
    """Documents of 200 random vectors each, by the seed of each."""
    return list(range(100))


def photographs(scratch: Path) -> list[str]:
    """200 JPEGs of 1024 x 768 that compress as photographs do."""
    import numpy as np
    from PIL import Image

    folder = scratch / "photographs"
    if not folder.is_dir():
        folder.mkdir()
        draw = np.random.default_rng(0)
        for number in range(200):
            coarse = draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((1024, 768), Image.Resampling.BICUBIC)
            noise = draw.integers(-12, 13, (768, 1024, 1))
            pixels = np.clip(np.asarray(picture).astype(int) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)
    return [str(path) for path in sorted(folder.iterdir())]


COMPARISONS: Mapping[str, Sequence[Comparison]] = {
    "sparse": (
        Comparison(
            "BM25, compatible, one processor", "bm25", paragraphs, "bm25", 8, one_processor=True, rounds=5, bound=1e-12
        ),
        Comparison(
            "BM25, compatible, two processes", "bm25", paragraphs, "bm25", None, ours={"parallel": 2}, bound=1e-12
        ),
        Comparison("SPLADE, mixed lengths, default batch", "splade", mixed(192), "splade", 10, rounds=2),
        Comparison(
            "SPLADE, 256 texts of 128 tokens", "splade", full_length, "splade", None, most_memory=1 / 20, rounds=2
        ),
        Comparison("BM42, mixed lengths, default batch", "bm42", mixed(256), "bm42", 10, rounds=2),
    ),
    "rerank": (
        Comparison("rerank 100 mixed documents, default batch", "rerank", mixed(100), "cross-encoder", 12),
        Comparison(
            "rerank 100 mixed documents, batch 16", "rerank", mixed(100), "cross-encoder", 4, theirs={"batch_size": 16}
        ),
        Comparison(
            "ColBERT, 256 mixed documents, default batch", "colbert-documents", mixed(256), "colbert", 10, rounds=2
        ),
        Comparison("ColBERT, 64 queries", "colbert-queries", questions, "colbert", 5, rounds=5),
        Comparison("MUVERA, documents of 200 vectors", "muvera", seeds, None, 20, rounds=5, bound=1e-3),
    ),
    "image": (
        Comparison("CLIP ViT-B/32, 200 JPEGs of 1024 x 768", "images", photographs, "image", 1.25, bound=1e-3),
        # One level of 255, before the picture is divided by the standard deviation.
        Comparison("decoding and transforming alone", "preprocessing", photographs, "image", 2.5, bound=0.016),
    ),
}
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
    file = scratch / "inputs.json"
    file.write_text(json.dumps(inputs), encoding="utf-8")
    runs: dict[str, list[dict[str, Any]]] = {"onnxembed": [], "fastembed": []}
    difference = 0.0
    for _ in range(1 if quick else comparison.rounds):
        for library, python, options in (
            ("onnxembed", sys.executable, comparison.ours),
            ("fastembed", peers, comparison.theirs),
        ):
            if sum(run["seconds"] for run in runs[library]) > ENOUGH_SECONDS:
                continue
            command = [python, "-P", str(HERE / "tasks.py"), comparison.task, "--library", library]
            command += [] if folder is None else ["--folder", folder]
            command += ["--inputs", str(file), "--results", str(scratch / f"{library}.npz")]
            command += ["--options", json.dumps(dict(options))]
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
    return "\n".join(lines)


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

"""Compare dense text embedding with fastembed, in one run, on the same weights, texts and machine.

``python -m benchmarks.dense`` runs in the environment of onnxembed. The other library lives in an environment of its
own: the interpreter named by ``ONNXEMBED_PEERS``, or ``peers/bin/python`` inside the present environment. Every
measurement is a process of its own, the two libraries take turns, and ratios are made of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, slug
from benchmarks.report import other_figures, throughput_figures, to_markdown
from benchmarks.texts import WORKLOADS, queries
from benchmarks.worker import MAX_LENGTH, MODEL

WORKER = Path(__file__).with_name("worker.py")
RESULTS = Path(__file__).with_name("results")
TOKENIZER_FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        texts: Number of texts.
        batch_sizes: Batch sizes of both libraries; 0 is their default.
        rounds: Runs of each library at each batch size.
        enough_seconds: A batch size that has taken this long in total is not run again.
        imports: Imports of each library.
        colds: Cold starts of each library.
        query_pairs: Pairs of processes that answer queries; where memory happens to lie moves a process by a tenth.
        query_turns: Turns of ten queries in each pair.
    """

    texts: int
    batch_sizes: tuple[int, ...]
    rounds: int
    enough_seconds: float
    imports: int
    colds: int
    query_pairs: int
    query_turns: int


FULL = Effort(400, (0, 32, 16, 8, 4, 1), rounds=5, enough_seconds=20, imports=7, colds=5, query_pairs=6, query_turns=5)
QUICK = Effort(24, (0, 16, 1), rounds=1, enough_seconds=1, imports=1, colds=1, query_pairs=2, query_turns=1)


@dataclass(frozen=True)
class Contender:
    """One side of the comparison.

    Attributes:
        name: What it is called in the results.
        library: What is imported.
        python: The interpreter that has it.
        model: Folder with the ONNX file; ``None`` for the weights of the installed package.
    """

    name: str
    library: str
    python: str
    model: str | None

    def command(self, measurement: str, *options: str) -> list[str]:
        """The command line of one measurement."""
        model = () if self.model is None else ("--model", self.model)
        return [self.python, "-P", str(WORKER), measurement, "--library", self.library, *model, *options]

    def measure(self, measurement: str, *options: str) -> dict[str, Any]:
        """Run one measurement in a new process."""
        done = subprocess.run(self.command(measurement, *options), stdout=subprocess.PIPE, check=True, text=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def make_shared_model(folder: Path) -> None:
    """Make the folder that both libraries load: the published weights as ONNX, with the published tokenizer.

    Args:
        folder: Where to make it. The graph ends in the token vectors, as exported ones do, and both libraries pool.
    """
    from onnxembed.compile import compile_model
    from onnxembed.hub.locate import locate
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.spec import PoolingType
    from onnxembed.text.known import dense_registry

    source = locate(dense_registry.find(MODEL), StoreSettings(local_files_only=True)).path
    folder.mkdir(parents=True)
    compile_model(source, folder / "model.onnx", pooling=PoolingType.DISABLED)
    for name in TOKENIZER_FILES:
        shutil.copy(source / name, folder / name)


def measure_bulk(
    contenders: Sequence[Contender], effort: Effort, texts: Path, scratch: Path
) -> tuple[dict[str, Any], float]:
    """Time all texts at every batch size, and compare the vectors of every run with those of the first.

    Args:
        contenders: The sides; those that load weights run at their default batch size only.
        effort: How often.
        texts: File with the texts.
        scratch: Where vectors are put meanwhile.

    Returns:
        Seconds and peak memory by name and batch size, and the largest difference between any two numbers.
    """
    import numpy as np

    bulk: dict[str, dict[str, dict[str, list[float]]]] = {contender.name: {} for contender in contenders}
    first: Any = None
    difference = 0.0
    for _ in range(effort.rounds):
        for size in effort.batch_sizes:
            for contender in contenders:
                if size and contender.model is None:
                    continue
                runs = bulk[contender.name].setdefault(str(size or "default"), {"seconds": [], "peak_bytes": []})
                if sum(runs["seconds"]) > effort.enough_seconds:
                    continue
                options = ("--texts", str(texts), "--vectors", str(scratch / "vectors.npy"), "--batch-size", str(size))
                result = contender.measure("bulk", *options)
                runs["seconds"].append(result["seconds"])
                runs["peak_bytes"].append(result["peak_bytes"] or 0)
                vectors = np.load(scratch / "vectors.npy")
                first = vectors if first is None else first
                difference = max(difference, float(np.abs(vectors - first).max()))
                say(f"{contender.name}, batch size {size or 'default'}: {result['seconds']:.2f} s")
    return bulk, difference


def measure_imports(contenders: Sequence[Contender], times: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Import each library in new processes, in turns; the first of each, which may compile bytecode, does not count."""
    full: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    bare: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(times + 1):
        for contender in contenders:
            result = contender.measure("import")
            if number:
                full[contender.name].append(result["seconds"])
                bare[contender.name].append(result["bare_seconds"])
    return full, bare


def measure_colds(contenders: Sequence[Contender], times: int) -> dict[str, Any]:
    """Start a process, load the model, embed a text: seconds to the first vector, the interpreter's start included."""
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(times + 1):
        for contender in contenders:
            started = time.monotonic()
            result = contender.measure("cold")
            if number:  # the first may compile the model
                seconds[contender.name].append(result["at"] - started)
    return seconds


def measure_queries(contenders: Sequence[Contender], pairs: int, turns: int) -> dict[str, Any]:
    """Embed single queries in two processes that wait for each other, ten queries a turn; then in two new processes."""
    asked = queries(pairs * turns * 11)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for pair in range(pairs):
        order = contenders[::-1] if pair % 2 else contenders
        _alternate(order, asked[pair * turns * 11 : (pair + 1) * turns * 11], seconds)
    return seconds


def _alternate(contenders: Sequence[Contender], asked: Sequence[str], seconds: dict[str, list[float]]) -> None:
    """Let one process of each side answer all queries, eleven at a time, of which ten count."""
    with ExitStack() as stack:
        servers = []
        for contender in contenders:
            command = contender.command("queries")
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            servers.append(stack.enter_context(server))
        for server in servers:
            _answer(server)
        for start in range(0, len(asked), 11):
            for contender, server in zip(contenders, servers, strict=True):
                time.sleep(0.02)  # the other one's threads come to rest
                seconds[contender.name] += _answer(server, asked[start : start + 11])


def _answer(server: subprocess.Popen[str], question: Sequence[str] | None = None) -> Any:
    """Exchange one line with a waiting process."""
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("the process has no pipes")
    if question is not None:
        server.stdin.write(json.dumps(question) + "\n")
        server.stdin.flush()
    line = server.stdout.readline()
    if not line:
        raise RuntimeError(f"a worker ended with exit code {server.wait()}")
    return json.loads(line)


def describe_texts(workload: str, texts: Sequence[str]) -> dict[str, Any]:
    """Tell what is embedded: the lengths, and a hash that says whether two runs had the same texts."""
    from onnxembed import TextEmbedding

    model = TextEmbedding(MODEL, max_length=MAX_LENGTH, lazy_load=True)
    counts = [model.token_count(text) for text in texts]
    return {
        "workload": workload,
        "count": len(texts),
        "sha256": sha256("\0".join(texts).encode()).hexdigest(),
        "tokens": {
            "smallest": min(counts),
            "largest": max(counts),
            "median": statistics.median(counts),
            "mean": round(statistics.fmean(counts), 1),
            "sum": sum(counts),
        },
    }


def run(effort: Effort, workload: str, peers: str, scratch: Path) -> dict[str, Any]:
    """Measure everything.

    Args:
        effort: How much.
        workload: Which texts.
        peers: The interpreter that has the other library.
        scratch: A folder for files meanwhile.

    Returns:
        All measurements, as plain data.
    """
    machine = describe_machine()
    texts = WORKLOADS[workload](effort.texts)
    texts_file = scratch / "texts.json"
    texts_file.write_text(json.dumps(texts), encoding="utf-8")
    say("making the ONNX file that both load")
    make_shared_model(scratch / "model")
    ours = Contender("onnxembed", "onnxembed", sys.executable, str(scratch / "model"))
    weights = Contender("onnxembed from safetensors", "onnxembed", sys.executable, None)
    theirs = Contender("fastembed", "fastembed", peers, str(scratch / "model"))
    results: dict[str, Any] = {
        "model": MODEL,
        "max_length": MAX_LENGTH,
        "machine": machine,
        "versions": {contender.name: contender.measure("facts") for contender in (ours, theirs)},
        "texts": describe_texts(workload, texts),
    }
    say("imports")
    results["import_seconds"], results["bare_import_seconds"] = measure_imports((ours, theirs), effort.imports)
    say("first vectors of new processes")
    results["cold_seconds"] = measure_colds((ours, theirs, weights), effort.colds)
    say("single queries")
    results["query_seconds"] = measure_queries((ours, theirs), effort.query_pairs, effort.query_turns)
    results["bulk"], results["largest_difference"] = measure_bulk((ours, weights, theirs), effort, texts_file, scratch)
    return results


def say(message: str) -> None:
    """Tell a person what is going on."""
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dense", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run on few texts; its figures mean nothing")
    parser.add_argument("--texts", choices=WORKLOADS, default="as-written", help="lengths of the texts")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    peers = os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))
    if not Path(peers).is_file():
        parser.error(f"{peers} is not there; `make bench` sets it up, or name an interpreter in ONNXEMBED_PEERS")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        results = run(QUICK if chosen.quick else FULL, chosen.texts, peers, Path(scratch))
    figures = [*throughput_figures(results), *other_figures(results)]
    results["figures"] = [{"label": figure.label, "result": figure.result, "met": figure.met} for figure in figures]
    print(to_markdown(results, figures))
    suffix = "" if chosen.texts == "as-written" else f"-{chosen.texts}"
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"dense-{slug(results['machine']['cpu'])}{suffix}.json"
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

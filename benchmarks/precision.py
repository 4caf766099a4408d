"""Compare precision="int8" with fp32 and with fastembed's best, in one run, on the real all-MiniLM-L6-v2.

``python -m benchmarks.precision [--cranfield FOLDER]``: three processes (ours in fp32, ours in int8, fastembed with one
text at a time) take turns over the same texts, once with one thread and one processor each, once with two threads;
then over single queries. With one processor, seconds are those that the process computed, which others on the machine
disturb least; with two they are the clock's. Ratios are of the least times, of queries of the twentieth from below.
Also: cosines, what neighbours change, files, memory, and with the Cranfield collection nDCG@10 of dense search and of
dense fused with BM25.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cranfield import CANDIDATES, Collection, ndcg, read_collection
from benchmarks.dense import make_shared_model, say
from benchmarks.machine import describe_machine, slug
from benchmarks.precision_worker import MAX_LENGTH, MODEL
from benchmarks.report import percentile
from benchmarks.texts import WORKLOADS, queries
from benchmarks.waiting import Worker

WORKER = Path(__file__).with_name("precision_worker.py")
RESULTS = Path(__file__).with_name("results")
QUERY_TOKENS = 7
ALONE = 60
RANK_CONSTANT = 60
QUIET = 0.05
"""Of all times of a side the twentieth from below counts: what else the machine does only makes times longer."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        texts: Number of texts.
        rounds: Turns of each side over all texts, by the number of threads.
        query_rounds: Turns of each side of ten queries.
    """

    texts: int
    rounds: Mapping[int, int]
    query_rounds: int


FULL = Effort(texts=400, rounds={1: 3, 2: 1}, query_rounds=30)
QUICK = Effort(texts=16, rounds={1: 1, 2: 1}, query_rounds=1)


@contextmanager
def workers(peers: str, folder: Path, threads: int) -> Iterator[list[Worker]]:
    """Three processes, loaded one after another."""
    sides: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("fp32", sys.executable, "onnxembed", {}),
        ("int8", sys.executable, "onnxembed", {}),
        ("fastembed", peers, "fastembed", {"batch_size": 1}),
    )
    with ExitStack() as stack:
        opened = []
        for name, python, library, options in sides:
            precision = name if library == "onnxembed" else "fp32"
            command = [python, "-P", str(WORKER), "--library", library, "--precision", precision]
            worker = Worker(name, [*command, "--model", str(folder), "--threads", str(threads)], options)
            stack.callback(worker.close)
            opened.append(worker)
        yield opened


def measure(
    opened: Sequence[Worker], texts: Sequence[str], rounds: int, query_rounds: int, scratch: Path
) -> dict[str, Any]:
    """Let all sides embed the texts, and queries, in turns."""
    bulk: dict[str, Any] = {worker.name: {"seconds": [], "processor_seconds": []} for worker in opened}
    asked: dict[str, Any] = {worker.name: {"seconds": [], "processor_seconds": []} for worker in opened}
    for number in range(rounds):
        for worker in opened if number % 2 else opened[::-1]:
            got = worker.ask("embed", texts, vectors=str(scratch / f"{worker.name}.npy"))
            for key, values in bulk[worker.name].items():
                values.append(got[key])
        say("  ".join(f"{name} {runs['processor_seconds'][-1]:.2f} s" for name, runs in bulk.items()))
    short = short_queries(query_rounds * 10)
    for number in range(query_rounds):
        for worker in opened if number % 2 else opened[::-1]:
            time.sleep(0.02)  # the others' threads come to rest
            got = worker.ask("queries", short[number * 10 : number * 10 + 10])
            for key, values in asked[worker.name].items():
                values += got[key][1:]  # the first one wakes a process that was idle
    return {
        "opened": {worker.name: worker.opened for worker in opened},
        "bulk": bulk,
        "queries": asked,
        "load_average_after": round(os.getloadavg()[0], 2),
    }


def short_queries(count: int) -> list[str]:
    """Texts of seven tokens, [CLS] and [SEP] among them."""
    from onnxembed import TextEmbedding

    model = TextEmbedding(MODEL, lazy_load=True)
    found = [text for text in queries(4000, QUERY_TOKENS - 2) if model.token_count(text) == QUERY_TOKENS]
    return [found[number % len(found)] for number in range(count)]


def closeness(worker: Worker, texts: Sequence[str], scratch: Path) -> dict[str, float]:
    """Cosines of the vectors that are there with fp32's, and what order, batch and neighbours change."""
    import numpy as np

    exact, near = (np.load(scratch / f"{name}.npy") for name in ("fp32", "int8"))
    cosines = (exact * near).sum(axis=1)

    def again(texts: Sequence[str], **options: Any) -> Any:
        worker.ask("embed", texts, vectors=str(scratch / "again.npy"), options=options)
        return np.load(scratch / "again.npy")

    changes = {
        "alone": max(
            float(np.abs(again([text]) - vector).max()) for text, vector in zip(texts[:ALONE], near, strict=False)
        ),
        "reversed": float(np.abs(again(texts[::-1])[::-1] - near).max()),
        "batch_size=3": float(np.abs(again(texts, batch_size=3) - near).max()),
    }
    return {"cosine_mean": float(cosines.mean()), "cosine_least": float(cosines.min()), **changes}


def file_bytes() -> dict[str, int]:
    """Sizes of the graphs of both precisions, made anew, their constants with them."""
    from onnxembed.compile import compile_model
    from onnxembed.compile.rewrite.int8.quantize import quantize_graph
    from onnxembed.hub.locate import locate
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.spec import PoolingType
    from onnxembed.text.known import dense_registry

    source = locate(dense_registry.find(MODEL), StoreSettings(local_files_only=True)).path
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        full, rounded = Path(scratch, "full.onnx"), Path(scratch, "int8.onnx")
        compile_model(source, full, pooling=PoolingType.MEAN)
        quantize_graph(full, rounded, single_file=True)
        return {"fp32": full.stat().st_size, "int8": rounded.stat().st_size}


def search_quality(collection: Collection) -> dict[str, dict[str, float]]:
    """nDCG@10 of dense search in both precisions, and of each fused with BM25 by reciprocal ranks."""
    import numpy as np

    from onnxembed import SparseIndex, SparseTextEmbedding, TextEmbedding

    numbers = list(collection.documents)
    documents, questions = list(collection.documents.values()), list(collection.questions.values())
    words = SparseTextEmbedding("Qdrant/bm25").fit(documents)
    index = SparseIndex(words.embed(documents))
    by_words = [index.search(query, CANDIDATES, idf=True)[0] for query in words.query_embed(questions)]
    figures: dict[str, dict[str, float]] = {}
    for precision in ("fp32", "int8"):
        model = TextEmbedding(MODEL, precision=precision, threads=1)
        vectors, asked = np.array(list(model.embed(documents))), np.array(list(model.query_embed(questions)))
        dense = [np.argsort(-(vectors @ query), kind="stable")[:CANDIDATES].tolist() for query in asked]
        both = [fused(*pair) for pair in zip(dense, by_words, strict=True)]
        figures[precision] = {
            name: round(_quality(collection, [[numbers[place] for place in found] for found in places]), 4)
            for name, places in (("dense", dense), ("fused", both))
        }
        say(f"Cranfield, {precision}: {figures[precision]}")
    return figures


def _quality(collection: Collection, rankings: Sequence[Sequence[str]]) -> float:
    return ndcg(dict(zip(collection.questions, rankings, strict=True)), collection.relevant)


def fused(*rankings: Sequence[int]) -> list[int]:
    """Join rankings by reciprocal ranks (Cormack et al. 2009)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, found in enumerate(ranking):
            scores[found] = scores.get(found, 0.0) + 1 / (RANK_CONSTANT + place + 1)
    return sorted(scores, key=lambda found: (-scores[found], found))


def figures(results: Mapping[str, Any]) -> dict[str, Any]:
    """The compared numbers."""

    def of(part: str, threads: str, name: str) -> float:
        kind = "processor_seconds" if threads == "1" else "seconds"
        return percentile(results["threads"][threads][part][name][kind], QUIET)

    made: dict[str, Any] = {}
    for threads in results["threads"]:
        opened = results["threads"][threads]["opened"]
        made[threads] = {
            "texts_per_second": {n: results["texts"] / of("bulk", threads, n) for n in ("fp32", "int8", "fastembed")},
            "query_ms": {n: 1e3 * of("queries", threads, n) for n in ("fp32", "int8", "fastembed")},
            "grown_mb": {
                kind: {
                    name: (opened[name]["resident_after"][kind] - opened[name]["resident_before"][kind]) / 1e6
                    for name in ("fp32", "int8")
                }
                for kind in ("all", "own")
            },
        }
    return made


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw the table, the machine above it."""
    machine, made = results["machine"], results["figures"]
    flags = [flag for flag in machine["cpu_flags"] if flag.startswith(("avx", "amx", "neon", "sve", "asimddp"))]
    lines = [
        f"{machine['cpu']} ({', '.join(flags)}), {machine['cores']} processors, load {machine['load_average_before']} "
        f"before the run; onnxruntime {results['onnxruntime']}; {results['texts']} texts ({results['workload']}):",
        "",
        "|  | fp32 | int8 | fastembed, batch_size=1 | int8 to fp32 | int8 to fastembed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for threads, values in made.items():
        speed, query = values["texts_per_second"], values["query_ms"]
        count = "one thread" if threads == "1" else f"{threads} threads"
        lines.append(_row(f"texts/s, {count}", speed, ".1f", "x"))
        lines.append(_row(f"query of {QUERY_TOKENS} tokens, ms, {count}", query, ".2f", "x"))
    grown, size = made["1"]["grown_mb"], results["file_bytes"]
    megabytes = {name: count / 1e6 for name, count in size.items()}
    lines.append(_row("file, MB", megabytes, ".1f", "x"))
    lines.append(_row("resident memory grown by the graph and a text, MB", grown["all"], ".1f", "x"))
    lines.append(_row("of it not mapped from files, MB", grown["own"], ".1f", "x"))
    near = results["closeness"]
    lines.append(f"| cosine to fp32, mean |  | {near['cosine_mean']:.4f} |  |  |  |")
    lines.append(f"| cosine to fp32, least |  | {near['cosine_least']:.4f} |  |  |  |")
    most = max(near["alone"], near["reversed"], near["batch_size=3"])
    lines.append(f"| changed by neighbours, order or batch, at most |  | {most:.0e} |  |  |  |")
    for name in results.get("cranfield", {}).get("fp32", {}):
        one, other = (results["cranfield"][precision][name] for precision in ("fp32", "int8"))
        lines.append(f"| nDCG@10, Cranfield, {name} | {one:.4f} | {other:.4f} |  | {other - one:+.4f} |  |")
    return "\n".join(lines) + "\n"


def _row(label: str, values: Mapping[str, float], form: str, unit: str) -> str:
    cells = [format(values[name], form) if name in values else "" for name in ("fp32", "int8", "fastembed")]
    ratios = [f"{values['int8'] / values[name]:.2f}{unit}" if name in values else "" for name in ("fp32", "fastembed")]
    return f"| {' | '.join([label, *cells, *ratios])} |"


def run(effort: Effort, workload: str, peers: str, scratch: Path, cranfield: Path | None) -> dict[str, Any]:
    """Measure everything."""
    from importlib.metadata import version

    machine = describe_machine()
    texts = WORKLOADS[workload](effort.texts)
    make_shared_model(scratch / "model")
    results: dict[str, Any] = {
        "model": MODEL,
        "max_length": MAX_LENGTH,
        "machine": machine,
        "onnxruntime": version("onnxruntime"),
        "workload": workload,
        "texts": len(texts),
        "threads": {},
    }
    for threads in (1, 2):
        say(f"threads: {threads}")
        if threads == 1:
            with workers(peers, scratch / "model", threads):
                time.sleep(3)  # the first start may make and keep a graph, whose digest is remembered once it is old
            with workers(peers, scratch / "model", threads):
                pass
        with workers(peers, scratch / "model", threads) as opened:
            rounds = effort.rounds[threads]
            results["threads"][str(threads)] = measure(opened, texts, rounds, effort.query_rounds, scratch)
            if threads == 1:
                results["closeness"] = closeness(opened[1], texts, scratch)
    results["file_bytes"] = file_bytes()
    if cranfield is not None:
        results["cranfield"] = search_quality(read_collection(cranfield))
    results["figures"] = figures(results)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run on few texts; its figures mean nothing")
    parser.add_argument("--texts", choices=WORKLOADS, default="as-written", help="lengths of the texts")
    parser.add_argument("--cranfield", type=Path, metavar="FOLDER", help="folder of the collection, for nDCG@10")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    chosen = parser.parse_args(arguments)
    peers = os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))
    if not Path(peers).is_file():
        parser.error(f"{peers} is not there; `make bench` sets it up, or name an interpreter in ONNXEMBED_PEERS")
    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        effort = QUICK if chosen.quick else FULL
        results = run(effort, chosen.texts, peers, Path(scratch), chosen.cranfield)
    print(to_markdown(results))
    output = chosen.output
    if output is None and not chosen.quick:
        suffix = "" if chosen.texts == "as-written" else f"-{chosen.texts}"
        output = RESULTS / f"precision-{slug(results['machine']['cpu'])}{suffix}.json"
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

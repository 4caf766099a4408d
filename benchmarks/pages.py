"""Parts of the pages that are made from the measurements of more than one benchmark, or of one in other words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import compare, suite_report

Results = Mapping[str, Any]


def dense(results: Results) -> str:
    """Dense embedding beside other libraries."""
    return (
        '`python -m benchmarks.suite`, part of `make bench`: all sides in one run, taking turns. "short" are texts of '
        f'12 words, "mixed" docstrings as people wrote them; in parentheses the number of texts.\n\n'
        f"{suite_report.to_markdown(results)}\n"
        "![Texts a second by mix of lengths, a bar for each library](figures/throughput.png)\n\n"
        "![50th, 95th and 99th percentile of a query, a bar for each library](figures/latency.png)\n\n"
        "![Peak memory over mixed texts, and of the first vector, a bar for each library](figures/memory.png)\n\n"
        "![Texts a second with one and with two processors, a bar for each library](figures/scaling.png)\n"
    )


def kinds(*all_results: Results) -> str:
    """The other kinds of models beside fastembed."""
    lines = [
        "| what (`python -m benchmarks.compare sparse`, `rerank`, `image`) | speed | peak memory | faster |",
        "|---|--:|--:|---|",
    ]
    for results in all_results:
        for label, figure in results["figures"].items():
            speed = figure["speed_ratio"]
            who = "onnxembed" if speed > 1 else "fastembed"
            lines.append(f"| {label} | {speed:.1f} times | {figure['memory_ratio']:.2f} | {who} |")
    figures = {label: figure for results in all_results for label, figure in results["figures"].items()}
    listed = compare.libraries({"figures": figures})
    if len(listed) > 2:
        lines += [
            "",
            "Of every library, with percentiles of one input alone: a question, ten documents, a picture:",
            "",
        ]
        lines += listed
    return "\n".join(lines) + "\n"


def quality(results: Results) -> str:
    """Search on the Cranfield collection."""
    lines = [
        f"| {results['measure']}, {results['documents']:,} documents, {results['questions']} questions |  |",
        "|---|--:|",
    ]
    for where, found in results.items():
        if isinstance(found, dict):
            lines += [f"| {where}, {name} | {value:.3f} |" for name, value in found.items()]
    return "\n".join(lines) + "\n"


WAYS = {
    "dense": ("dense", "dense"),
    "BM25": ("BM25", "BM25"),
    "`EnsembleRetriever`, `QueryFusionRetriever` over both, ten deep": ("EnsembleRetriever", "QueryFusionRetriever"),
    "`QdrantVectorStore` in hybrid mode": ("QdrantVectorStore",) * 2,
    "the same, BM25 with the mean length measured": ("QdrantVectorStore, mean length measured",) * 2,
    "`OnnxHybridRetriever`, sparse vectors in memory": ("OnnxHybridRetriever",) * 2,
    "`OnnxHybridRetriever.in_qdrant`": ("OnnxHybridRetriever.in_qdrant",) * 2,
    "`OnnxHybridRetriever` over a store whose BM25 has the default mean length": (
        "OnnxHybridRetriever over such a QdrantVectorStore",
    )
    * 2,
}
"""Ways to fuse, as the page calls them, by their names in ``benchmarks.hybrid`` for LangChain and LlamaIndex."""


def hybrid(results: Results) -> str:
    """Ways to fuse, through both frameworks."""
    lines = ["| nDCG@10 | LangChain | LlamaIndex |", "|---|---|---|"]
    for said, (chain, index) in WAYS.items():
        lines.append(f"| {said} | {results['LangChain'][chain]:.3f} | {results['LlamaIndex'][index]:.3f} |")
    return "\n".join(lines) + "\n"


def billion(precision: Results, dense: Results) -> str:
    """Arithmetic for a billion chunks from the speed of one thread in both precisions, measured in one run."""
    speed, tokens = precision["figures"]["1"]["texts_per_second"], dense["texts"]["tokens"]["mean"]
    machine = precision["machine"]
    hours = {name: 1e9 / speed[name] / 3600 for name in ("fp32", "int8")}
    rows = {
        f"core hours, {tokens:.0f} tokens each": {name: f"{value:,.0f}" for name, value in hours.items()},
        "hours on 64 cores": {name: f"{value / 64:,.1f}" for name, value in hours.items()},
        "hours on 1,000 cores": {name: f"{value / 1000:,.1f}" for name, value in hours.items()},
        "core hours, 256 tokens each, at least": {n: f"{value * 256 / tokens:,.0f}" for n, value in hours.items()},
        "on GPUs": dict.fromkeys(hours, "not measured"),
    }
    lines = [
        f"Measured with all-MiniLM-L6-v2 on one core of {machine['cpu']} ({', '.join(machine['cpu_flags'])}), texts of "
        f"{tokens:.1f} tokens on average, load {machine['load_average_before']} before the run: {speed['fp32']:.1f} "
        f"texts/s in fp32, {speed['fp32'] * tokens:,.0f} tokens per second; {speed['int8']:.1f} with "
        '`precision="int8"` (`python -m benchmarks.precision`).',
        "",
        "| a billion chunks | fp32 | int8 |",
        "|---|--:|--:|",
        *(f"| {label} | {row['fp32']} | {row['int8']} |" for label, row in rows.items()),
        "",
        "Cost = core hours × price of a core hour: at a price of *p* per core and hour, "
        f"{tokens:.0f} tokens cost {hours['fp32']:,.0f} *p* in fp32 and {hours['int8']:,.0f} *p* in int8.",
    ]
    return "\n".join(lines) + "\n"


def readme(results: Results, *others: Results) -> str:
    """The README's table: mixed and short texts, a query, memory, the first vector; then the other kinds in a line."""
    lines, texts = suite_report.short_table(results), results["texts"]
    ratios = [(label, figure["speed_ratio"]) for other in others for label, figure in other["figures"].items()]
    said = ", ".join(f"{label} {ratio:.1f}" for label, ratio in ratios if "default batch" in label)
    verdict = suite_report.verdict(results)
    threads = results["threads"]
    return (
        f"{results['model']} on {suite_report.machine_line(results['machine'])}, {threads} threads for every "
        f"side, in one run ({texts['mixed']} mixed texts, {texts['short']} short ones; "
        "[docs/numbers.md](docs/numbers.md)):\n\n"
        + "\n".join(lines)
        + f"\n\n{verdict[0].upper()}{verdict[1:]} Other kinds, times fastembed's speed: {said}.\n\n"
        "![Texts a second by mix of lengths, a bar for each library](docs/figures/throughput.png)\n"
    )

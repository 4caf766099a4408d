"""What the pages say of speed, memory and quality, made from the measurements kept in ``benchmarks/results``.

python scripts/numbers_page.py           rewrite the marked parts of the pages, single figures, and the plots
python scripts/numbers_page.py --check   fail when one of them is not that of the measurements

A part whose measurements are not there stays as it is, and is named.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import (  # noqa: E402
    actors,
    compare,
    installed,
    memory,
    plots,
    products,
    serverless,
    sizes,
    suite_report,
)

RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ROOT / "docs" / "figures"
MACHINE = "amd-epyc"
"""The machine whose figures the pages quote."""
KINDS = ("sparse", "rerank", "image")
EVERYWHERE = ("cranfield", "hybrid", "installed")
"""Measurements that do not depend on the machine."""

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A marked part of a page.

    Attributes:
        page: File of the page.
        mark: Its name in the comments around it.
        files: Names of the measurements.
        make: From these to Markdown.
    """

    page: str
    mark: str
    files: tuple[str, ...]
    make: Callable[..., str]


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


PARTS = (
    Part("docs/numbers.md", "dense", ("suite",), dense),
    Part("docs/numbers.md", "products", ("products",), products.to_markdown),
    Part("docs/numbers.md", "memory", ("memory",), memory.to_markdown),
    Part("docs/numbers.md", "kinds", KINDS, kinds),
    Part("docs/numbers.md", "quality", ("cranfield",), quality),
    Part("docs/choosing.md", "sizes", ("sizes",), sizes.to_markdown),
    Part("docs/installing.md", "installed", ("installed",), installed.to_markdown),
    Part("docs/serverless.md", "starts", ("serverless",), serverless.to_markdown),
    Part("docs/cluster.md", "actors", ("actors",), actors.to_markdown),
    Part("docs/cluster.md", "tested", ("actors",), actors.tested),
    Part("docs/cluster.md", "billion", ("precision", "dense"), billion),
    Part("docs/hybrid.md", "hybrid", ("hybrid",), hybrid),
    Part("README.md", "numbers", ("suite", *KINDS), readme),
)


@dataclass(frozen=True)
class Figure:
    """A single figure in a sentence of a page.

    Attributes:
        page: File of the page.
        pattern: Finds it once; its one group is the figure.
        file: Name of the measurements.
        make: From these to the figure.
    """

    page: str
    pattern: str
    file: str
    make: Callable[[Results], str]


def megabytes(results: Results) -> str:
    """Of onnxembed with all that it requires."""
    return f"{results['rows'][0]['megabytes']:.0f}"


def times_as_fast(results: Results) -> str:
    """Int8 by fp32, the mean of one and two threads."""
    speeds = [found["texts_per_second"] for found in results["figures"].values()]
    return f"{statistics.fmean(speed['int8'] / speed['fp32'] for speed in speeds):.1f}"


SINGLE = (
    Figure("README.md", r"two small packages for BM25: (\d+) MB on disk", "installed", megabytes),
    Figure("docs/choosing.md", r"makes all-MiniLM-L6-v2 about ([\d.]+) times as fast", "precision", times_as_fast),
)


def kept(name: str) -> Path:
    """The file of measurements."""
    return RESULTS / (f"{name}.json" if name in EVERYWHERE else f"{name}-{MACHINE}.json")


def fresh_page(text: str, part: Part) -> str | None:
    """A page with one part made anew; ``None`` where it has no place for it."""
    marked = re.compile(rf"(<!-- {part.mark}:begin -->\n).*?(<!-- {part.mark}:end -->)", re.DOTALL)
    if not marked.search(text):
        return None
    files = [kept(name) for name in part.files]
    if not all(file.is_file() for file in files):
        return text
    made = part.make(*(json.loads(file.read_text(encoding="utf-8")) for file in files))
    return marked.sub(lambda marks: marks[1] + made + marks[2], text)


def fresh_figure(text: str, figure: Figure) -> str | None:
    """A page with one figure of a sentence made anew; ``None`` where it has no such sentence."""
    found = re.search(figure.pattern, text)
    if not found:
        return None
    if not kept(figure.file).is_file():
        return text
    made = figure.make(json.loads(kept(figure.file).read_text(encoding="utf-8")))
    return text[: found.start(1)] + made + text[found.end(1) :]


def plots_differ() -> bool:
    """Whether a plot was not drawn from the measurements that are there."""
    source = kept("suite")
    if not source.is_file():
        return False
    drawn = [FIGURES / f"{name}.png" for name in plots.NAMES]
    return any(not file.is_file() or plots.source_of(file) != plots.digest(source) for file in drawn)


def rewritten(page: str, place: str, check: bool, fresh: Callable[[str, Any], str | None], of: Part | Figure) -> int:
    """Check or rewrite one place of a page; the exit status."""
    file = ROOT / page
    text = file.read_text(encoding="utf-8")
    made = fresh(text, of)
    if made is None:
        sys.stderr.write(f"{page} has no place for it: {place}\n")
        return 1
    if check and made != text:
        sys.stderr.write(f"{page} differs from the measurements: run python scripts/numbers_page.py\n")
        return 1
    if made != text:
        file.write_text(made, encoding="utf-8")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Check or rewrite all parts.

    Args:
        arguments: Of the command line.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    status = 0
    for part in PARTS:
        status |= rewritten(part.page, f"the marks {part.mark}:begin and {part.mark}:end", check, fresh_page, part)
        missing = [kept(name).name for name in part.files if not kept(name).is_file()]
        if missing:
            sys.stderr.write(f"{part.page}, {part.mark}: stays as it is, not measured: {', '.join(missing)}\n")
    for figure in SINGLE:
        status |= rewritten(figure.page, figure.pattern, check, fresh_figure, figure)
    if plots_differ():
        if check:
            sys.stderr.write("docs/figures differs from the measurements: run python scripts/numbers_page.py\n")
            status = 1
        else:
            source = kept("suite")
            plots.draw(json.loads(source.read_text(encoding="utf-8")), plots.digest(source), FIGURES)
    return status


if __name__ == "__main__":
    sys.exit(main())

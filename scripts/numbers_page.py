"""What the pages say of speed, memory and quality, made from the measurements kept in ``benchmarks/results``.

python scripts/numbers_page.py           rewrite the marked parts of the pages and the plots of docs/figures
python scripts/numbers_page.py --check   fail when one of them is not that of the measurements

A part whose measurements are not there stays as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import memory, plots, products, sizes, suite_report  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ROOT / "docs" / "figures"
MACHINE = "amd-epyc"
"""The machine whose figures the pages quote."""
KINDS = ("sparse", "rerank", "image")

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
        "![Texts a second by mix and library](figures/throughput.svg)\n\n"
        "![Latency of queries by library](figures/latency.svg)\n"
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
        "![Texts a second by mix and library](docs/figures/throughput.svg)\n"
    )


PARTS = (
    Part("docs/numbers.md", "dense", ("suite",), dense),
    Part("docs/numbers.md", "products", ("products",), products.to_markdown),
    Part("docs/numbers.md", "memory", ("memory",), memory.to_markdown),
    Part("docs/numbers.md", "kinds", KINDS, kinds),
    Part("docs/numbers.md", "quality", ("cranfield",), quality),
    Part("docs/choosing.md", "sizes", ("sizes",), sizes.to_markdown),
    Part("README.md", "numbers", ("suite", *KINDS), readme),
)


def kept(name: str) -> Path:
    """The file of measurements; quality does not depend on the machine."""
    return RESULTS / (f"{name}.json" if name == "cranfield" else f"{name}-{MACHINE}.json")


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


def plots_differ() -> bool:
    """Whether a plot was not drawn from the measurements that are there."""
    source = kept("suite")
    if not source.is_file():
        return False
    drawn = [FIGURES / "throughput.svg", FIGURES / "latency.svg"]
    return any(not file.is_file() or plots.digest(source) not in file.read_text(encoding="utf-8") for file in drawn)


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
        page = ROOT / part.page
        text = page.read_text(encoding="utf-8")
        fresh = fresh_page(text, part)
        if fresh is None:
            sys.stderr.write(f"{part.page} has no place for it: the marks {part.mark}:begin and {part.mark}:end\n")
            status = 1
        elif check and fresh != text:
            sys.stderr.write(f"{part.page} differs from the measurements: run python scripts/numbers_page.py\n")
            status = 1
        elif fresh != text:
            page.write_text(fresh, encoding="utf-8")
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

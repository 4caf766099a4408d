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

from benchmarks import actors, installed, memory, pages, plots, products, serverless, sizes  # noqa: E402

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


PARTS = (
    Part("docs/numbers.md", "dense", ("suite",), pages.dense),
    Part("docs/numbers.md", "products", ("products",), products.to_markdown),
    Part("docs/numbers.md", "memory", ("memory",), memory.to_markdown),
    Part("docs/numbers.md", "kinds", KINDS, pages.kinds),
    Part("docs/numbers.md", "quality", ("cranfield",), pages.quality),
    Part("docs/choosing.md", "sizes", ("sizes",), sizes.to_markdown),
    Part("docs/installing.md", "installed", ("installed",), installed.to_markdown),
    Part("docs/serverless.md", "starts", ("serverless",), serverless.to_markdown),
    Part("docs/cluster.md", "actors", ("actors",), actors.to_markdown),
    Part("docs/cluster.md", "tested", ("actors",), actors.tested),
    Part("docs/cluster.md", "billion", ("precision", "dense"), pages.billion),
    Part("docs/hybrid.md", "hybrid", ("hybrid",), pages.hybrid),
    Part("README.md", "numbers", ("suite", *KINDS), pages.readme),
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


def megabytes_of(precision: str) -> Callable[[Results], str]:
    """Of the graph of all-MiniLM-L6-v2, its weights with it."""
    return lambda results: f"{results['file_bytes'][precision] / 1e6:.0f}"


SINGLE = (
    Figure("docs/memory.md", r"22 million numbers takes (\d+) MB in fp32", "precision", megabytes_of("fp32")),
    Figure("docs/memory.md", r"MB in fp32, (\d+) MB in int8", "precision", megabytes_of("int8")),
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

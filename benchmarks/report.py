"""From measurements to figures with targets, and from figures to Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One compared figure.

    Attributes:
        label: What was measured.
        ours: Our value, with its unit.
        theirs: The other library's value, with its unit.
        result: The compared number.
        target: What the number is held against.
        at_least: Whether the target is a lower bound; otherwise an upper one.
        unit: What follows the compared number: ``"x"`` when it is a ratio.
    """

    label: str
    ours: str
    theirs: str
    result: float
    target: float
    at_least: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.result >= self.target if self.at_least else self.result <= self.target

    def row(self) -> list[str]:
        """The figure as cells of a table."""
        bound = ">=" if self.at_least else "<="
        return [
            self.label,
            self.ours,
            self.theirs,
            f"{_short(self.result)}{self.unit}",
            f"{bound} {_short(self.target)}{self.unit}",
            "met" if self.met else "MISSED",
        ]


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that at least this fraction of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * fraction) - 1)]


def throughput_figures(results: dict[str, Any]) -> list[Figure]:
    """Compare speeds: the same call on both sides, and our default with the best that the other can do."""
    ours, theirs = _medians(results, "onnxembed"), _medians(results, "fastembed")
    count = results["texts"]["count"]
    best = min(theirs, key=lambda size: theirs[size])

    def figure(label: str, our: float, their: float, target: float) -> Figure:
        return Figure(label, f"{count / our:.1f}/s", f"{count / their:.1f}/s", their / our, target, at_least=True)

    figures = [figure("texts/s, both at their defaults", ours["default"], theirs["default"], 15)]
    figures += [
        figure(f"texts/s, both at batch_size={size}", ours[size], theirs[size], 5)
        for size in ("32", "16")
        if size in theirs
    ]
    label = f"texts/s, our default, their best (batch_size={best})"
    return [*figures, figure(label, ours["default"], theirs[best], 1.5)]


def other_figures(results: dict[str, Any]) -> list[Figure]:
    """Compare memory, starts, latency and the vectors themselves."""
    peak = {name: max(results["bulk"][name]["default"]["peak_bytes"]) for name in ("onnxembed", "fastembed")}
    imports = {name: median(times) for name, times in results["import_seconds"].items()}
    cold = {name: median(times) for name, times in results["cold_seconds"].items()}
    query = {name: median(times) for name, times in results["query_seconds"].items()}
    tail = {name: percentile(times, 0.95) for name, times in results["query_seconds"].items()}

    def seconds(label: str, values: dict[str, float], target: float, ours: str = "onnxembed") -> Figure:
        ratio = values[ours] / values["fastembed"]
        return Figure(label, _time(values[ours]), _time(values["fastembed"]), ratio, target)

    return [
        Figure(
            "peak memory, at their defaults",
            f"{peak['onnxembed'] / 2**20:,.0f} MiB",
            f"{peak['fastembed'] / 2**20:,.0f} MiB",
            peak["onnxembed"] / peak["fastembed"],
            0.1,
        ),
        Figure(
            "import of TextEmbedding",
            _time(imports["onnxembed"]),
            _time(imports["fastembed"]),
            imports["onnxembed"],
            0.12,
            unit=" s",
        ),
        seconds("first vector of a new process, ONNX file", cold, 0.6),
        seconds("first vector of a new process, safetensors", cold, 0.6, "onnxembed from safetensors"),
        seconds("query of 10 words, median", query, 1.05),
        seconds("query of 10 words, 95th percentile", tail, 1.05),
        Figure("largest difference of any number", "", "", results["largest_difference"], 1e-5, unit=""),
    ]


def to_markdown(results: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Everything a reader needs to judge the figures."""
    machine, texts, versions = results["machine"], results["texts"], results["versions"]
    tokens = texts["tokens"]
    lines = [
        f"# onnxembed {versions['onnxembed']['onnxembed']} and fastembed {versions['fastembed']['fastembed']}",
        "",
        f"{results['model']}, float32, the same ONNX file and a limit of {results['max_length']} tokens on both sides. "
        f"{texts['count']} texts ({texts['workload']}; {tokens['smallest']} to {tokens['largest']} tokens, "
        f"median {tokens['median']:.0f}, mean {tokens['mean']:.0f}). "
        f"{machine['cpu']} ({', '.join(machine['cpu_flags'])}), {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"ONNX Runtime {versions['onnxembed']['onnxruntime']} and {versions['fastembed']['onnxruntime']}, "
        f"Python {versions['onnxembed']['python']}; load average before: {machine['load_average_before']}.",
        "",
        *_table(["", "onnxembed", "fastembed", "result", "target", ""], [figure.row() for figure in figures]),
        "",
        *_table(
            ["batch_size", "onnxembed", "from safetensors", "fastembed", "ratio", "runs", "peak memory"],
            _batch_rows(results),
        ),
        "",
        "Times are medians of the runs, each in a new process, taken in turns; embedding only, without loading. The "
        "ratio is fastembed's time by ours. Files were in the page cache before the first run.",
    ]
    return "\n".join(lines) + "\n"


def _batch_rows(results: dict[str, Any]) -> list[list[str]]:
    bulk = results["bulk"]
    weights = _medians(results, "onnxembed from safetensors")
    ours, theirs = _medians(results, "onnxembed"), _medians(results, "fastembed")
    rows = []
    for size in theirs:
        runs = "/".join(str(len(bulk[name][size]["seconds"])) for name in ("onnxembed", "fastembed"))
        peaks = [max(bulk[name][size]["peak_bytes"]) / 2**20 for name in ("onnxembed", "fastembed")]
        rows.append(
            [
                size,
                _time(ours[size]),
                _time(weights[size]) if size in weights else "",
                _time(theirs[size]),
                f"{theirs[size] / ours[size]:.1f}x",
                runs,
                f"{peaks[0]:,.0f} / {peaks[1]:,.0f} MiB",
            ]
        )
    return rows


def _medians(results: dict[str, Any], name: str) -> dict[str, float]:
    return {size: median(runs["seconds"]) for size, runs in results["bulk"][name].items()}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def _short(number: float) -> str:
    return f"{number:.1e}" if 0 < number < 0.001 else f"{number:.2f}".rstrip("0").rstrip(".")

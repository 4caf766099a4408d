"""Plots of the results of ``benchmarks.suite``, as SVG: each names the measurements that it was drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.report import percentile
from benchmarks.suite_report import MIX_NAMES, OURS, speeds

OUR_COLOR, THEIR_COLOR = "#3f51b5", "#9e9e9e"
PARTS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def digest(results: Path) -> str:
    """What a plot says of its measurements."""
    return sha256(results.read_bytes()).hexdigest()


def draw(results: Mapping[str, Any], source: str, folder: Path) -> None:
    """Draw texts a second by mix, and the latency of queries.

    Args:
        results: Of ``benchmarks.suite``.
        source: `digest` of its file.
        folder: Where ``throughput.svg`` and ``latency.svg`` are written.
    """
    found = speeds(results)
    panels = {
        label: {name: found[mix].get(name, 0.0) for name in results["order"] if name in found[mix]}
        for mix, label in MIX_NAMES.items()
    }
    _bars(panels, "Texts a second: longer is better", source, folder / "throughput.svg")
    asked = results["query_seconds"]
    panels = {
        f"{label}, ms": {name: 1e3 * percentile(asked[name], part) for name in results["order"] if name in asked}
        for label, part in PARTS.items()
    }
    _bars(panels, "A query of ten words: shorter is better", source, folder / "latency.svg")


def _bars(panels: Mapping[str, Mapping[str, float]], title: str, source: str, file: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "onnxembed", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(1, len(panels), sharey=True)
        for axis, (label, values) in zip(axes, panels.items(), strict=True):
            names = list(values)[::-1]
            colors = [OUR_COLOR if name.startswith(OURS) else THEIR_COLOR for name in names]
            bars = axis.barh(names, [values[name] for name in names], color=colors)
            axis.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.1f}", padding=2)
            axis.set_title(label)
            axis.margins(x=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, metadata={"Date": None, "Description": source})

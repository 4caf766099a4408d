"""Plots of the results of ``benchmarks.suite``, as small PNG files: each names the measurements it was drawn from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import percentile
from benchmarks.suite_report import MIX_NAMES, OURS, speeds

NAMES = ("throughput", "latency", "memory", "scaling")
OUR_COLOR, THEIR_COLOR = "#3f51b5", "#9e9e9e"
PARTS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_COLORS = 32
"""Enough for bars and the edges of letters; a palette makes the files small."""

Panels = Mapping[str, Mapping[str, float]]


def digest(results: Path) -> str:
    """What a plot says of its measurements."""
    return sha256(results.read_bytes()).hexdigest()


def source_of(plot: Path) -> str:
    """The `digest` of the measurements that a plot was drawn from; empty where it names none."""
    from PIL import Image

    with Image.open(plot) as image:
        return str(image.info.get("Description", ""))


def panels_of(results: Mapping[str, Any]) -> dict[str, tuple[str, Panels]]:
    """Title and panels of each plot, by its name: values by side, in the order of the results."""

    def ordered(values: Mapping[str, float]) -> dict[str, float]:
        return {name: values[name] for name in results["order"] if name in values}

    found, asked = speeds(results), results["query_seconds"]
    mixed = results["bulk"]["mixed"]
    peaks = {name: runs["peak_bytes"] / 1e6 for name, runs in mixed.items()}
    cold = {name: peak / 1e6 for name, peak in results.get("cold_peak_bytes", {}).items()}
    one = {
        name: runs.get("texts", results["texts"]["mixed"]) / median(runs["seconds"])
        for name, runs in results["one_processor"].items()
        if name in found["mixed"]
    }
    gains = {name: found["mixed"][name] / value for name, value in one.items()}
    latencies = {
        f"{label}, ms": ordered({name: 1e3 * percentile(times, part) for name, times in asked.items()})
        for label, part in PARTS.items()
    }
    return {
        "throughput": (
            "Texts a second: longer is better",
            {label: ordered(found[mix]) for mix, label in MIX_NAMES.items() if mix in found},
        ),
        "latency": ("A query of ten words: shorter is better", latencies),
        "memory": (
            "Most memory that a process held, MB: shorter is better",
            {"mixed texts": ordered(peaks), "the first vector": ordered(cold)},
        ),
        "scaling": (
            f"Mixed texts with one processor and with {results['threads']}: longer is better",
            {
                "texts/s, 1 processor": ordered(one),
                f"texts/s, {results['threads']}": ordered({name: found["mixed"][name] for name in one}),
                "times as many": ordered(gains),
            },
        ),
    }


def draw(results: Mapping[str, Any], source: str, folder: Path) -> None:
    """Draw throughput, latency, memory and scaling.

    Args:
        results: Of ``benchmarks.suite``.
        source: `digest` of its file.
        folder: Where the files are written, ``NAMES`` with the ending ``.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, all_panels) in panels_of(results).items():
        panels = {label: values for label, values in all_panels.items() if values}
        (folder / f"{name}.png").write_bytes(_bars(panels, title, source))


def _bars(panels: Panels, title: str, source: str) -> bytes:
    """The same bytes for the same values, with the same matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from PIL import Image, PngImagePlugin

    with mpl.rc_context({**mpl.rcParamsDefault, "font.size": 9}):
        sides = max((len(values) for values in panels.values()), default=1)
        figure = Figure(figsize=(11, 1.2 + 0.26 * sides), dpi=100, layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (label, values) in zip(axes, panels.items(), strict=True):
            names = list(values)[::-1]
            colors = [OUR_COLOR if name.startswith(OURS) else THEIR_COLOR for name in names]
            bars = axis.barh(names, [values[name] for name in names], color=colors)
            axis.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2f}", padding=2)
            axis.set_title(label)
            axis.margins(x=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", metadata={"Software": None})
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Description", source)
    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLORS).save(small, format="PNG", optimize=True, pnginfo=facts)
    return small.getvalue()

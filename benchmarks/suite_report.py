"""From the measurements of ``benchmarks.suite`` to Markdown: the fastest of each line stands in bold, ours or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.report import percentile

OURS = "onnxembed"
PYTORCH = "sentence-transformers, PyTorch"
AIM = 1.9
MIX_NAMES = {"mixed": "mixed", "short": "short", "full": "512 tokens", "giant": "a giant among short"}


def speeds(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Texts a second, by mix and side: of the median of the runs."""
    return {
        mix: {name: runs.get("texts", results["texts"][mix]) / median(runs["seconds"]) for name, runs in sides.items()}
        for mix, sides in results["bulk"].items()
    }


def fewer(results: Mapping[str, Any]) -> str:
    """Which sides embedded fewer texts than the others, since they are slow; empty where none did."""
    embedded: dict[str, list[str]] = {}
    for mix, sides in results["bulk"].items():
        for name, runs in sides.items():
            if runs.get("texts", results["texts"][mix]) < results["texts"][mix]:
                embedded.setdefault(name, []).append(f"{runs['texts']} of {MIX_NAMES[mix]}")
    if not embedded:
        return ""
    parts = [f"{name} {', '.join(counts)}" for name, counts in embedded.items()]
    return (
        f" Each side has {results['side_seconds']:g} s for a mix; those that are too slow for all texts embed fewer, "
        f"a mix of the same kind: {'; '.join(parts)}."
    )


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine, and how busy it was."""
    flags = [flag for flag in machine["cpu_flags"] if flag.startswith(("avx", "amx", "neon", "sve"))]
    return (
        f"{machine['cpu']} ({', '.join(flags)}), {machine['cores']} processors, load "
        f"{machine['load_average_before']} before the run"
    )


def table(
    head: Sequence[str], rows: Mapping[str, Sequence[float | None]], form: Sequence[str], best: Sequence[str]
) -> list[str]:
    """A table with a row for each side.

    Args:
        head: Names of the columns, the first of them that of the sides.
        rows: Values by side; ``None`` where there is none.
        form: How the values of each column are written.
        best: For each column ``"most"`` or ``"least"``, what is written in bold, or ``""``.

    Returns:
        Lines of Markdown.
    """
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    winners: list[float | None] = []
    for place, kind in enumerate(best):
        values = [row[place] for row in rows.values()]
        present = [value for value in values if value is not None]
        choose: Callable[[list[float]], float] = max if kind == "most" else min
        winners.append(choose(present) if kind and present else None)
    for name, row in rows.items():
        cells = []
        for value, written, winner in zip(row, form, winners, strict=True):
            text = "" if value is None else format(value, written)
            cells.append(f"**{text}**" if value is not None and value == winner else text)
        lines.append(f"| {' | '.join([name, *cells])} |")
    return lines


def throughput(results: Mapping[str, Any]) -> list[str]:
    """Texts a second by mix, and what could not be measured."""
    found = speeds(results)
    measured = {name for sides in found.values() for name in sides}
    order = [name for name in results["order"] if name in measured]
    rows = {name: [found.get(mix, {}).get(name) for mix in MIX_NAMES] for name in order}
    head = ["texts/s", *(f"{label} ({results['texts'][mix]})" for mix, label in MIX_NAMES.items())]
    lines = table(head, rows, [",.0f"] * len(MIX_NAMES), ["most"] * len(MIX_NAMES))
    for name, why in results["missing"].items():
        if name not in measured:
            lines.append(f"| {name} | {why} |{' |' * (len(MIX_NAMES) - 1)}")
    return lines


COLUMNS = ("query ms, p50", "p95", "p99", "peak MB, mixed", "import s", "first vector s", "least cosine to PyTorch")
FORMS = (".1f", ".1f", ".1f", ",.0f", ".2f", ".2f", ".5f")


def measures(results: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Latency, memory, starts and agreement of each side, as `COLUMNS` names them."""
    rows: dict[str, list[float | None]] = {}
    for name in results["order"]:
        asked = results["query_seconds"].get(name)
        imports, colds = (results[key].get(name) for key in ("import_seconds", "cold_seconds"))
        runs = results["bulk"].get("mixed", {}).get(name)
        if not runs:
            continue
        rows[name] = [
            *(1e3 * percentile(asked, part) if asked else None for part in (0.5, 0.95, 0.99)),
            runs["peak_bytes"] / 1e6,
            median(imports) if imports else None,
            median(colds) if colds else None,
            results["least_cosine"].get(name),
        ]
    return rows


def others(results: Mapping[str, Any]) -> list[str]:
    """A table of latency, memory, starts and agreement, and where another library has less than ours in fp32."""
    rows = measures(results)
    ahead = []
    for place, (column, form) in enumerate(zip(COLUMNS[:-1], FORMS, strict=False)):
        ours = rows.get(OURS, [None] * len(COLUMNS))[place]
        found = {name: row[place] for name, row in rows.items() if not name.startswith(OURS)}
        rivals = {name: value for name, value in found.items() if value is not None}
        if ours is None or not rivals:
            continue
        best = min(rivals, key=lambda name: rivals[name])
        if rivals[best] < ours:
            ahead.append(f"{column}: {best} ({rivals[best]:{form}}, ours {ours:{form}})")
    said = (
        f"Less than ours in fp32 has {'; '.join(ahead)}." if ahead else "No other library has less than ours in fp32."
    )
    return [*table(["", *COLUMNS], rows, FORMS, ["least"] * 6 + [""]), "", said]


def scaling(results: Mapping[str, Any]) -> list[str]:
    """Mixed texts a second with one processor and one thread, and with the whole budget."""
    rows: dict[str, list[float | None]] = {}
    two = speeds(results).get("mixed", {})
    for name in results["order"]:
        runs = results["one_processor"].get(name)
        if runs and name in two:
            one = runs.get("texts", results["texts"]["mixed"]) / median(runs["seconds"])
            rows[name] = [one, two[name], two[name] / one]
    count = results["threads"]
    head = ["mixed texts/s", "1 processor", f"{count} processors", "gain"]
    return table(head, rows, [".1f", ".1f", ".2f"], ["most", "most", "most"])


def verdict(results: Mapping[str, Any]) -> str:
    """One sentence on each mix where another library is faster than our fp32, and the ratios where none is."""
    parts = []
    for mix, found in speeds(results).items():
        rivals = {name: speed for name, speed in found.items() if not name.startswith(OURS)}
        if OURS not in found or not rivals:
            continue
        best = max(rivals, key=lambda name: rivals[name])
        ratio = found[OURS] / rivals[best]
        faster = "is faster" if ratio < 1 else "comes next"
        parts.append(f"{MIX_NAMES[mix]}: {best} {faster}, ours in fp32 has {ratio:.2f} times its speed")
    return "; ".join(parts) + "." + aim(results)


def aim(results: Mapping[str, Any]) -> str:
    """How many times PyTorch's speed ours has over mixed texts, and what is aimed at; empty where it was not there."""
    found = speeds(results).get("mixed", {})
    if OURS not in found or PYTORCH not in found:
        return ""
    return f" Mixed texts take {PYTORCH} {found[OURS] / found[PYTORCH]:.2f} times as long as ours in fp32 (aim: {AIM})."


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw all tables."""
    versions = ", ".join(dict.fromkeys(f"{name.split(',')[0]} {value}" for name, value in results["versions"].items()))
    lines = [
        f"{results['model']}, the same weights, {results['threads']} threads for every side, limit "
        f"{results['max_length']} tokens; medians. {machine_line(results['machine'])}. {versions}.",
        "",
        *throughput(results),
        "",
        f"Bold is the fastest. {verdict(results)[0].upper()}{verdict(results)[1:]}{fewer(results)}",
        "",
        *others(results),
        "",
        *scaling(results),
    ]
    return "\n".join(lines) + "\n"


def short_table(results: Mapping[str, Any]) -> list[str]:
    """What decides most choices, of every side: mixed and short texts, a query, memory, the first vector."""
    found = speeds(results)
    rows: dict[str, list[float | None]] = {}
    for name in results["order"]:
        runs = results["bulk"]["mixed"].get(name)
        if not runs:
            continue
        asked, colds = results["query_seconds"].get(name), results["cold_seconds"].get(name)
        rows[name] = [
            found["mixed"].get(name),
            found["short"].get(name),
            1e3 * percentile(asked, 0.5) if asked else None,
            runs["peak_bytes"] / 1e6,
            median(colds) if colds else None,
        ]
    head = ["", "mixed texts/s", "short texts/s", "query ms", "peak MB", "first vector s"]
    return table(head, rows, [",.0f", ",.0f", ".1f", ",.0f", ".2f"], ["most", "most", "least", "least", "least"])

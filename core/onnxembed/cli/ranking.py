"""A ranking as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_SHOWN = 100
"""Characters of a text that are shown."""


def ranked_lines(rows: list[tuple[float, list[Any]]]) -> Iterator[str]:
    """Write a ranking: place, score, id and the beginning of the text."""
    cells = [("rank", "score", "id", "text")]
    for rank, (score, told) in enumerate(rows, 1):
        text = " ".join(told[1].split()) if len(told) > 1 else ""
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        cells.append((str(rank), f"{score:.4f}", str(told[0]), shown))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for place, value, name, text in cells:
        line = f"{place.rjust(widths[0])}  {value.rjust(widths[1])}  {name.ljust(widths[2])}  {text}"
        yield line.rstrip()

"""The plot of a calibration as SVG: points over a logarithmic axis, written as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log2
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _MARGIN = 760, 440, 60
_COLOURS = ("#1f5fa8", "#c2571a", "#2f7d32", "#7b3fa0", "#5a5a5a")
_STEPS = 5
_LINE = 13


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a plot.

    Attributes:
        x: Above 0; the axis is logarithmic.
        y: At most 1.
        label: What it is.
        group: Points of a group have one colour.
    """

    x: float
    y: float
    label: str
    group: str


def scatter(points: Sequence[Point], title: str) -> str:
    """Draw points.

    Args:
        points: One or more.
        title: Stands above.

    Returns:
        The text of an SVG file.
    """
    return "\n".join(_elements(points, title)) + "\n"


def _elements(points: Sequence[Point], title: str) -> Iterator[str]:
    logs = [log2(point.x) for point in points]
    left, right = min(logs) - 0.5, max(logs) + 1.5  # the labels of the last points need room
    least = max(0.0, floor(10 * min(point.y for point in points)) / 10 - 0.1)
    groups = list(dict.fromkeys(point.group for point in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log2(x) - left) / (right - left)
        up = (y - least) / (1 - least)
        return _MARGIN + across * (_WIDTH - 2 * _MARGIN), _HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    yield _text(_MARGIN, _MARGIN / 2, title, size=14)
    for step in range(_STEPS + 1):
        share = least + (1 - least) * step / _STEPS
        _, y = place(points[0].x, share)
        yield f'<path d="M{_MARGIN} {y:.1f}H{_WIDTH - _MARGIN}" stroke="#dddddd"/>'
        yield _text(_MARGIN - 8, y + 4, f"{share:.2f}", anchor="end")
    for value in sorted({point.x for point in points}):
        x, _ = place(value, 1)
        yield _text(x, _HEIGHT - _MARGIN + 18, f"{value:g}", anchor="middle")
    labels: list[tuple[float, float]] = []
    for point in points:
        x, y = place(point.x, point.y)
        colour = _COLOURS[groups.index(point.group) % len(_COLOURS)]
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        line = y - 5
        while any(x == across and abs(line - down) < _LINE for across, down in labels):
            line += _LINE
        labels.append((x, line))
        yield _text(x + 7, line, point.label, colour=colour)
    yield "</svg>"


def _text(x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", colour: str = "#222222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )

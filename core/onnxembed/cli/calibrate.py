"""Measure each precision on your own texts, and recommend one.

For a dense model: cosine with fp32, overlap of the ten nearest texts, texts per second, memory, bytes of a vector. Each
precision runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.cli.model_options import add_model, add_source, source_of
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from onnxembed.text.calibration import Calibration, Row

_HEADS = ("precision", "output", "cosine", "least", "top 10", "rescored", "texts/s", "MB", "bytes")
_WORDS = 2
_JSON_LINES = (".jsonl", ".ndjson")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the texts, the bound, and the form of the output."""
    add_model(parser)
    parser.add_argument("file", metavar="FILE", help="texts: one on each line, or JSON on each line of a .jsonl file")
    parser.add_argument("--field", default="text", metavar="KEY", help="the key of the text in objects of a .jsonl")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="most texts, evenly spread over the file")
    parser.add_argument("--overlap", type=float, default=0.95, metavar="SHARE", help="of the nearest ten, at least")
    parser.add_argument("--threads", type=int, metavar="N", help="processors that the model uses")
    parser.add_argument("--plot", metavar="FILE", help="write a plot as SVG")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_source(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a table, or JSON; write the plot."""
    if not 0 < arguments.overlap <= 1:
        raise InputError(f"--overlap {arguments.overlap:g}: expected a share above 0, at most 1")
    if arguments.plot is not None:
        _check_plot(Path(arguments.plot))
    texts = spread(texts_of(Path(arguments.file), arguments.field), arguments.limit)
    from onnxembed.text.calibration import calibrate

    options = {
        "threads": arguments.threads,
        **source_of(arguments),
        "cache_dir": arguments.cache_dir,
        "local_files_only": arguments.offline,
    }
    found = calibrate(arguments.name, texts, options, arguments.overlap)
    if arguments.plot is not None:
        _write_plot(Path(arguments.plot), arguments.name, found)
    if arguments.json:
        print(json.dumps({"model": arguments.name, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(arguments.name, found)))


def texts_of(file: Path, field: str) -> list[str]:
    """Read the texts of a file; empty lines are none.

    Args:
        file: Text, or JSON on each line where its name says so: strings, or objects with the text under a key.
        field: That key.

    Returns:
        The texts.

    Raises:
        InputError: If the file cannot be read, or a line has no text.
    """
    try:
        # Other characters that end lines elsewhere, such as U+2028, are part of texts, and of JSON strings.
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as UTF-8 text: {error}") from None
    if file.suffix.lower() not in _JSON_LINES:
        return [line for line in lines if line.strip()]
    return [_text_of(line, f"{file}, line {number}", field) for number, line in enumerate(lines, 1) if line.strip()]


def _text_of(line: str, where: str, field: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is no JSON: {error}") from None
    text = value.get(field) if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise InputError(f"{where}: expected a string, or an object with a string under {field!r}; --field names it")
    return text


def spread(texts: Sequence[str], limit: int) -> list[str]:
    """Take at most ``limit`` texts, evenly from all."""
    if limit < 1:
        raise InputError(f"--limit {limit}: expected 1 or more")
    count = min(limit, len(texts))
    return [texts[position * len(texts) // count] for position in range(count)]


def _lines(name: str, found: Calibration) -> Iterator[str]:
    yield f"{name}, {found.texts} texts"
    table = [_HEADS, *map(_cells, found.rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        aligned = (
            cell.ljust(width) if place < _WORDS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        yield f"  {'  '.join(aligned)}"
    yield from (f"{precision} is not to be had: {reason}" for precision, reason in found.refused)
    best = found.recommended
    yield f'recommended: precision="{best.precision}", output_precision="{best.output_precision}"'
    yield f"  {best.reason}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.precision,
        row.output_precision,
        f"{row.cosine_mean:.4f}",
        f"{row.cosine_least:.4f}",
        f"{row.overlap:.3f}",
        "" if row.overlap_rescored is None else f"{row.overlap_rescored:.3f}",
        f"{row.texts_per_second:.1f}",
        "" if row.memory_mb is None else f"{row.memory_mb:.0f}",
        str(row.bytes_per_vector),
    )


def _check_plot(file: Path) -> None:
    """Refuse a file that cannot be written before minutes are spent on what it shows."""
    reason = "it is a folder" if file.is_dir() else None if file.parent.is_dir() else f"{file.parent} is no folder"
    if reason is not None:
        raise InputError(f"--plot {file} cannot be written: {reason}")


def _write_plot(file: Path, name: str, found: Calibration) -> None:
    from onnxembed.text.calibration_plot import Point, scatter

    points = [
        Point(row.bytes_per_vector, row.overlap, f"{row.precision} {row.output_precision}", row.precision)
        for row in found.rows
    ]
    title = f"{name}: overlap of the nearest ten with fp32, by bytes of a vector"
    try:
        file.write_text(scatter(points, title), "utf-8")
    except OSError as error:
        raise InputError(f"--plot {file} cannot be written: {error}") from None
    print(f"plot: {file}", file=sys.stderr)

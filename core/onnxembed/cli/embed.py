"""Embed the rows of a file: JSON on each line, Parquet, or lines of text, into Parquet, NumPy's arrays or JSON lines.

Rows are read, embedded and written one after another, in bounded memory. What is done is kept beside the output; the
same command goes on there after an interruption. Status 0: all rows; 1: an error; 3: rows were passed over; 130:
interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.cli.model_options import (
    add_computing,
    add_model,
    add_model_path,
    add_running,
    add_source,
    computing_of,
    kinds_of_vectors,
    lasting_name,
    limits_of,
    opened,
    running_of,
    shows_progress,
    source_of,
)
from onnxembed.cli.rows import SKIPPED, add_rows, rows_of
from onnxembed.cli.vectors.embedding import INPUT_TYPES, Call
from onnxembed.errors import InputError
from onnxembed.runtime.progress import framework_shows

if TYPE_CHECKING:
    from onnxembed.cli.vectors.run import Outcome

STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the rows, the output, and how the model runs."""
    add_model(parser)
    add_rows(parser, "rows to embed; for an image model paths of pictures")
    output = parser.add_argument_group("the output")
    output.add_argument(
        "-o",
        "--output",
        default=STDOUT,
        metavar="FILE",
        help=".parquet, .npy or .jsonl; without it, JSON lines on standard output, which cannot be gone on with",
    )
    output.add_argument("--no-text", dest="text", action="store_false", help="keep ids and vectors only")
    output.add_argument("--restart", action="store_true", help="drop what an earlier run has left, and begin again")
    output.add_argument("--json", action="store_true", help="print what was done as a JSON object")
    add_computing(parser, kinds_of_vectors())
    parser.add_argument(
        "--input-type", choices=INPUT_TYPES, default="document", help="what the rows are; none: texts as they are"
    )
    parser.add_argument(
        "--output-precision", default="float32", metavar="NAME", help="numbers that vectors are kept in"
    )
    parser.add_argument(
        "--ranges", metavar="FILE", help="a .npy of (2, dim), with which int8 and uint8 vectors are made"
    )
    add_model_path(parser)
    add_source(parser)
    add_running(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed, and say on standard error what was done."""
    source = rows_of(arguments)
    output = None if arguments.output == STDOUT else Path(arguments.output)
    if output is None and (arguments.restart or arguments.json):
        raise InputError("--restart and --json go with an output file; pass --output FILE")
    from onnxembed.cli.vectors.record import Making
    from onnxembed.cli.vectors.run import Run

    ranges = _ranges(arguments.output_precision, arguments.ranges)
    chosen = {**computing_of(arguments), **source_of(arguments)}
    kind, model = opened(arguments.name, arguments.kind, {**chosen, **running_of(arguments)})
    if kind == "rerank":
        raise InputError(f"{arguments.name} is a reranker, which has no vectors; use `onnxembed rerank`")
    call = Call(kind, arguments.input_type, arguments.output_precision, ranges, limits_of(arguments))
    process = Run(model, call, source, arguments.on_error == "skip", shows_progress(arguments))
    if output is None:
        with framework_shows():
            outcome = process.to_stdout(arguments.text)
    else:
        making = Making(
            model=lasting_name(arguments.name),
            kind=kind,
            fingerprint=model.fingerprint,
            input_type=arguments.input_type,
            output_precision=arguments.output_precision,
            ranges=ranges,
            options=chosen,
            field=arguments.field,
            id_field=arguments.id_field,
            text=arguments.text,
        )
        with framework_shows():
            outcome = process.to_file(output, making, restart=arguments.restart)
    _tell(arguments, outcome)
    return SKIPPED if outcome.skipped else 0


def _ranges(precision: str, file: str | None) -> list[list[float]] | None:
    """Read the ranges that a precision needs; those of all rows would only be known after the last one."""
    from onnxembed.api.output_precision import STEPPED, parse_output_precision, refuse_ranges

    refuse_ranges(parse_output_precision(precision), file)
    if precision not in STEPPED:
        return None
    if file is None:
        raise InputError(
            f"--output-precision {precision} needs --ranges FILE, since vectors are written before the last one is "
            "known: numpy.save what onnxembed.quantization_ranges measures on some of your vectors"
        )
    import numpy as np

    from onnxembed.api.quantization import Output

    try:
        ranges = Output.read(precision, np.load(file)).ranges
    except (OSError, ValueError) as error:
        raise InputError(f"--ranges {file} cannot be read: {error}") from None
    return None if ranges is None else ranges.tolist()


def _tell(arguments: argparse.Namespace, outcome: Outcome) -> None:
    """Say what was done: nothing but rows that were passed over where vectors go to standard output."""
    for reason in outcome.reasons:
        print(f"onnxembed embed: passed over: {reason}", file=sys.stderr)
    if outcome.skipped:
        print(f"onnxembed embed: {outcome.skipped} rows were passed over in all", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"output": arguments.output, "model": arguments.name, **asdict(outcome)}, indent=2))
    elif arguments.output != STDOUT and not arguments.quiet:
        before = f", {outcome.begun_at} of them before" if outcome.begun_at else ""
        print(f"{arguments.output}: {outcome.rows} rows{before}, {outcome.seconds:.1f} seconds", file=sys.stderr)

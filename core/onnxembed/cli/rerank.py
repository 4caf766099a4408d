"""Sort the rows of a file by how well they answer a query, with a reranker or a late-interaction model.

Status 0: all rows were used; 1: an error; 3: rows were passed over.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from onnxembed.cli.model_options import (
    add_computing,
    add_model,
    add_model_path,
    add_running,
    add_source,
    computing_of,
    limits_of,
    opened,
    running_of,
    source_of,
)
from onnxembed.cli.ranking import ranked_lines
from onnxembed.cli.rows import SKIPPED, Row, add_rows, rows_of, stopped
from onnxembed.errors import InputError

KINDS = ("rerank", "late_interaction")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the query, the rows, and what is shown."""
    add_model(parser)
    parser.add_argument("--query", required=True, metavar="TEXT", help="what the rows are to answer")
    add_rows(parser, "rows to sort")
    parser.add_argument("--top-k", type=int, metavar="N", help="most rows to show; all by default")
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="the least score to show")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_computing(parser, KINDS)
    add_model_path(parser)
    add_source(parser)
    add_running(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    source = rows_of(arguments)
    kind, model = opened(arguments.name, arguments.kind, _options(arguments))
    if kind not in KINDS:
        raise InputError(f"{arguments.name} is a {kind} model, which ranks nothing; pass a reranker")
    rows: list[Row] = []
    skipped = 0
    for row in source.rows():
        if isinstance(row, Row):
            rows.append(row)
        elif arguments.on_error == "stop":
            raise stopped(row.reason)
        else:
            skipped += 1
            print(f"onnxembed rerank: passed over: {row.reason}", file=sys.stderr)
    texts = [row.text for row in rows]
    found = model.rank(arguments.query, texts, arguments.top_k, arguments.threshold, **limits_of(arguments))
    if arguments.json:
        results = [
            {"rank": rank, "score": hit.score, "id": rows[hit.index].id, "text": hit.document}
            for rank, hit in enumerate(found, 1)
        ]
        told = {"model": arguments.name, "query": arguments.query, "results": results}
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        print("\n".join(ranked_lines([(hit.score, [rows[hit.index].id, hit.document]) for hit in found])))
    return SKIPPED if skipped else 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {**computing_of(arguments), **source_of(arguments), **running_of(arguments)}

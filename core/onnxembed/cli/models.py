"""List the known models: kind, name, dimension, size in GB, licence."""

from __future__ import annotations

import argparse
import json
from typing import Any

import onnxembed

KINDS = {
    "dense": "TextEmbedding",
    "sparse": "SparseTextEmbedding",
    "late_interaction": "LateInteractionTextEmbedding",
    "rerank": "TextCrossEncoder",
    "image": "ImageEmbedding",
    "multimodal": "LateInteractionMultimodalEmbedding",
}
"""The kinds of models and the class of each."""
COLUMNS = ("kind", "model", "dim", "size_in_GB", "license")
_NUMBERS = ("dim", "size_in_GB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the filters and the form of the output."""
    parser.add_argument("name", nargs="?", default="", help="only models whose names hold this, in any case")
    parser.add_argument("--kind", choices=KINDS, help="only models of this kind")
    parser.add_argument("--dim", type=int, metavar="N", help="only models whose vectors have N dimensions")
    parser.add_argument("--max-size", type=float, metavar="GB", help="only models whose files take at most this")
    parser.add_argument("--license", metavar="NAME", help="only models under this licence, such as mit")
    parser.add_argument("--json", action="store_true", help="print a JSON array of objects")


def run(arguments: argparse.Namespace) -> None:
    """Print a table, or JSON."""
    kinds = [arguments.kind] if arguments.kind else list(KINDS)
    models = [model for kind in kinds for model in _known(kind) if _wanted(model, arguments)]
    print(json.dumps(models, indent=2, ensure_ascii=False) if arguments.json else _table(models))


def _known(kind: str) -> list[dict[str, Any]]:
    entries = getattr(onnxembed, KINDS[kind]).list_supported_models()
    return [{"kind": kind, **{column: entry.get(column) for column in COLUMNS[1:]}} for entry in entries]


def _wanted(model: dict[str, Any], arguments: argparse.Namespace) -> bool:
    return (
        arguments.name.lower() in model["model"].lower()
        and arguments.dim in (None, model["dim"])
        and (arguments.max_size is None or model["size_in_GB"] <= arguments.max_size)
        and (arguments.license is None or arguments.license.lower() == model["license"].lower())
    )


def _table(models: list[dict[str, Any]]) -> str:
    """Columns of equal width, numbers on the right."""
    rows = [
        COLUMNS,
        *(tuple("" if model[column] is None else str(model[column]) for column in COLUMNS) for model in models),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)

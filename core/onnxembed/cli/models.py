"""List the known models: kind, name, dimension, size in GB, licence, languages."""

from __future__ import annotations

import argparse
import json
from typing import Any

import onnxembed
from onnxembed.api.inputs import check_count, check_number
from onnxembed.catalog.languages import MANY, NAMED, languages
from onnxembed.errors import InputError

KINDS = {
    "dense": "TextEmbedding",
    "sparse": "SparseTextEmbedding",
    "late_interaction": "LateInteractionTextEmbedding",
    "rerank": "TextCrossEncoder",
    "image": "ImageEmbedding",
    "multimodal": "LateInteractionMultimodalEmbedding",
}
"""The kinds of models and the class of each."""
COLUMNS = ("kind", "model", "dim", "size_in_GB", "license", "languages")
_NUMBERS = ("dim", "size_in_GB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the filters and the form of the output."""
    parser.add_argument("name", nargs="?", default="", help="only models whose names hold this, in any case")
    parser.add_argument("--kind", choices=KINDS, help="only models of this kind")
    parser.add_argument("--dim", type=int, metavar="N", help="only models whose vectors have N dimensions")
    parser.add_argument("--max-size", type=float, metavar="GB", help="only models whose files take at most this")
    parser.add_argument("--license", metavar="NAME", help="only models under this licence, such as mit")
    parser.add_argument(
        "--language", metavar="NAME", help="only models that read this, such as german, multilingual ones included"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array of objects")


def run(arguments: argparse.Namespace) -> None:
    """Print a table, or JSON."""
    if arguments.dim is not None:
        check_count(arguments.dim, "dim", 1)
    if arguments.max_size is not None:
        check_number(arguments.max_size, "max_size", 0, float("inf"))
    if arguments.language is not None and arguments.language.lower() not in NAMED:
        raise InputError(
            f"--language {arguments.language}: the table names {', '.join(NAMED)}; ask for {MANY} models of another one"
        )
    kinds = [arguments.kind] if arguments.kind else list(KINDS)
    models = [model for kind in kinds for model in _known(kind) if _wanted(model, arguments)]
    print(json.dumps(models, indent=2, ensure_ascii=False) if arguments.json else _table(models))


def _known(kind: str) -> list[dict[str, Any]]:
    entries = getattr(onnxembed, KINDS[kind]).list_supported_models()
    return [
        {"kind": kind, **{column: entry.get(column) for column in COLUMNS[1:-1]}, "languages": _languages(entry)}
        for entry in entries
    ]


def _languages(entry: dict[str, Any]) -> list[str]:
    return list(languages(str(entry.get("description") or "")))


def _wanted(model: dict[str, Any], arguments: argparse.Namespace) -> bool:
    return (
        arguments.name.lower() in model["model"].lower()
        and arguments.dim in (None, model["dim"])
        and (arguments.max_size is None or model["size_in_GB"] <= arguments.max_size)
        and (arguments.language is None or not {arguments.language.lower(), MANY}.isdisjoint(model["languages"]))
        and (arguments.license is None or arguments.license.lower() == model["license"].lower())
    )


def _table(models: list[dict[str, Any]]) -> str:
    from onnxembed.cli.table import table

    return table(COLUMNS, [tuple(_cell(model[column]) for column in COLUMNS) for model in models], _NUMBERS)


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)

"""Find the rows of an embedded file that answer questions best; every row is looked at.

The file says which model has made it, and with which options; the questions are embedded in the same way. Dense vectors
are compared by their cosine, sparse ones by the dot product, several vectors of a text by MaxSim.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.cli.model_options import M3, add_model_path, add_places, opened, running_of
from onnxembed.cli.ranking import ranked_lines
from onnxembed.cli.rows import STDIN, TEXT, BadRow, Source
from onnxembed.errors import InputError
from onnxembed.runtime.progress import framework_shows

if TYPE_CHECKING:
    from onnxembed.cli.vectors.nearest import Hit, Scorer
    from onnxembed.cli.vectors.record import Record
    from onnxembed.cli.vectors.stored import Stored

_COSINE = "cosine"
_WAYS = ("dense", "sparse", "colbert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file, the questions, and what is shown."""
    parser.add_argument("file", metavar="FILE", help="a .parquet, .npy or .jsonl that `onnxembed embed` has made")
    parser.add_argument("questions", nargs="+", metavar="QUESTION", help="texts; - for lines of standard input")
    parser.add_argument("--top-k", type=int, default=10, metavar="N", help="most rows for each question")
    parser.add_argument("--json", action="store_true", help="print a JSON array, one object for each question")
    parser.add_argument(
        "--similarity", choices=(_COSINE, "dot"), help="how dense vectors are compared; cosine by default"
    )
    parser.add_argument("--by", choices=_WAYS, help="which vectors of an m3 model are compared; dense by default")
    parser.add_argument("--model", metavar="MODEL", help="the same model at another place, or under another name")
    parser.add_argument("--text-model", metavar="MODEL", help="for files of pictures: the text half of the model")
    parser.add_argument("--threads", type=int, metavar="N", help="processors that the model uses")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, or cuda:1 for one by its number")
    add_model_path(parser)
    add_places(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a table for each question, or JSON."""
    if arguments.top_k < 1:
        raise InputError(f"--top-k {arguments.top_k}: expected 1 or more")
    questions = list(_questions(arguments.questions))
    if not questions:
        raise InputError("standard input has no question; pass one on each line")
    from onnxembed.cli.vectors.nearest import best
    from onnxembed.cli.vectors.stored import stored

    file = stored(Path(arguments.file))
    with framework_shows():
        scorer = _scorer(arguments, file, questions)
    found = best(file, scorer, len(questions), arguments.top_k)
    told = file.told([hit.position for hits in found for hit in hits])
    if arguments.json:
        print(json.dumps(_as_json(questions, found, told), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_table(questions, found, told)))


def _questions(words: list[str]) -> Iterator[str]:
    for word in words:
        if word != STDIN:
            yield word
            continue
        for row in Source(None, TEXT, "text", None).rows():
            if isinstance(row, BadRow):
                raise InputError(row.reason)
            if row.text:
                yield row.text


def _scorer(arguments: argparse.Namespace, file: Stored, questions: list[str]) -> Scorer:
    """Embed the questions as the file was, and choose how they are compared."""
    from onnxembed.cli.vectors import nearest

    record = file.record
    kind = record.making.kind
    way = _way(arguments, kind)
    if arguments.similarity is not None and way != "dense":
        raise InputError(f"--similarity {arguments.similarity}: only dense vectors are compared by it; leave it out")
    model = _text_half(arguments, record) if arguments.text_model is not None else _model(arguments, record)
    precision, ranges = record.making.output_precision, record.making.ranges
    if kind == M3:
        results = [getattr(result, way) for result in model.embed(questions)]
    elif kind == "multimodal":
        results = list(model.embed_query(questions))
    elif kind == "image" and arguments.text_model is None:
        results = list(model.embed(questions))
    else:
        results = list(model.query_embed(questions))
    names = [column.name for column in record.columns]
    if way == "sparse":
        rare = getattr(model, "requires_idf", False)
        return nearest.Sparse(results, nearest.frequencies(file, results) if rare else None)
    if way == "colbert":
        return nearest.Tokens("colbert" if "colbert" in names else "vectors", results, precision, ranges)
    column = "dense" if "dense" in names else "vector"
    return nearest.Dense(column, nearest.stacked(results), precision, ranges, arguments.similarity or _COSINE)


def _way(arguments: argparse.Namespace, kind: str) -> str:
    """Which kind of vectors is compared."""
    if kind == M3:
        return str(arguments.by or "dense")
    if arguments.by is not None:
        raise InputError(f"--by {arguments.by}: the file has the vectors of one kind, {kind}; leave it out")
    return {"sparse": "sparse", "late_interaction": "colbert", "multimodal": "colbert"}.get(kind, "dense")


def _model(arguments: argparse.Namespace, record: Record) -> Any:
    """Open the model that has made the file; an `InputError` if it is another one by now."""
    making = record.making
    name = arguments.model or making.model
    found = opened(name, making.kind, {**making.options, **running_of(arguments)})[1]
    if found.fingerprint != making.fingerprint:
        raise InputError(
            f"{arguments.file} was made with {making.model} (fingerprint {making.fingerprint}); {name} has the "
            f"fingerprint {found.fingerprint}, so its vectors are not comparable. Pass the same model with --model, or "
            "embed the file again"
        )
    return found


def _text_half(arguments: argparse.Namespace, record: Record) -> Any:
    """Open the model of texts whose vectors lie in the space of the pictures'."""
    making = record.making
    if making.kind != "image":
        raise InputError(f"--text-model goes with files of pictures; {arguments.file} holds {making.kind} vectors")
    from onnxembed import ImageEmbedding

    ImageEmbedding.image_half(arguments.text_model, making.model)
    return opened(arguments.text_model, "dense", running_of(arguments))[1]


def _as_json(questions: list[str], found: list[list[Hit]], told: dict[int, list[Any]]) -> list[dict[str, object]]:
    return [
        {
            "question": question,
            "results": [
                {"rank": rank, "score": hit.score, **dict(zip(("id", "text"), told[hit.position], strict=False))}
                for rank, hit in enumerate(hits, 1)
            ],
        }
        for question, hits in zip(questions, found, strict=True)
    ]


def _table(questions: list[str], found: list[list[Hit]], told: dict[int, list[Any]]) -> Iterator[str]:
    for number, (question, hits) in enumerate(zip(questions, found, strict=True)):
        if len(questions) > 1:
            yield from ([""] if number else [])
            yield question
        yield from ranked_lines([(hit.score, told[hit.position]) for hit in hits])

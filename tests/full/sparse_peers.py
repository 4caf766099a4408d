"""Run by `test_sparse_peers` in the environment of the peers: what fastembed makes of texts with small sparse models.

Usage: ``python -m tests.full.sparse_peers FOLDER``; writes one folder a model and ``vectors.json`` there.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fixtures.sparse_models import FOLDERS, make_texts

TEXTS = make_texts(400, seed=77)


def main(folder: Path) -> None:
    """Write the models and the vectors.

    Args:
        folder: Where to.
    """
    from fastembed import SparseTextEmbedding

    warnings.simplefilter("ignore", DeprecationWarning)
    vectors = {}
    for kind, (name, write) in FOLDERS.items():
        model = SparseTextEmbedding(name, specific_model_path=str(write(folder / kind)))
        vectors[kind] = {"embed": _entries(model.embed(TEXTS)), "query": _entries(model.query_embed(TEXTS))}
    if (folder / "bm42-minilm").is_dir():  # the real weights, which the test has compiled
        model = SparseTextEmbedding(FOLDERS["bm42"][0], specific_model_path=str(folder / "bm42-minilm"))
        vectors["bm42-minilm"] = {"embed": _entries(model.embed(TEXTS)), "query": _entries(model.query_embed(TEXTS))}
    (folder / "vectors.json").write_text(json.dumps(vectors), encoding="utf-8")


def _entries(embeddings: Iterable[Any]) -> list[list[list[float]]]:
    """Ids and values of each vector, by id."""
    pairs = [
        sorted(zip(one.indices.tolist(), one.values.tolist(), strict=True), key=lambda pair: pair[0])
        for one in embeddings
    ]
    return [[[key for key, _ in one], [value for _, value in one]] for one in pairs]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

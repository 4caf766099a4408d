"""Make ``sparse_fastembed.json`` with fastembed 0.9.1: sparse vectors of the small models for the fixtures' texts.

Usage: ``python -m tests.golden.make_sparse`` from the root of the repository, in an environment with fastembed. Vectors
of the first texts are kept whole, of the others the number of entries, the sum of ids, and the sum of values.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastembed import SparseTextEmbedding

from tests.fixtures.sparse_models import FOLDERS, TEXTS

GOLDEN = Path(__file__).with_name("sparse_fastembed.json")
WHOLE = 40


def vectors(embeddings: Any) -> dict[str, Any]:
    """Sort the entries of vectors by id; keep what the file has room for.

    Args:
        embeddings: fastembed's vectors.

    Returns:
        Whole vectors, as lists of ids and of values, and digests of the others.
    """
    entries = [
        sorted((int(key), float(value)) for key, value in zip(one.indices, one.values, strict=True))
        for one in embeddings
    ]
    return {
        "whole": [[[key for key, _ in one], [round(value, 7) for _, value in one]] for one in entries[:WHOLE]],
        "digests": [
            [len(one), sum(key for key, _ in one), round(sum(value for _, value in one), 6)] for one in entries[WHOLE:]
        ],
    }


def main() -> None:
    """Write the golden file."""
    warnings.simplefilter("ignore", DeprecationWarning)
    models: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        for kind, (name, write) in FOLDERS.items():
            if kind == "splade_misspelt":
                continue
            folder = write(Path(root) / kind)
            model = SparseTextEmbedding(name, specific_model_path=str(folder), threads=1)
            models[kind] = {
                "embed": vectors(model.embed(TEXTS)),
                "query": vectors(model.query_embed(TEXTS)),
                "token_count": model.token_count(TEXTS),
            }
            if kind == "splade":
                models[kind].pop("query")  # the same
    made_with = {name: version(name) for name in ("fastembed", "onnxruntime", "tokenizers", "numpy")}
    content = {"made_with": made_with, "texts": len(TEXTS), "models": models}
    GOLDEN.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

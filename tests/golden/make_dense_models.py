"""Make ``fastembed_dense_models.json``: what fastembed 0.9.1 says of its dense text models, in the terms used here.

Usage: ``python tests/golden/make_dense_models.py MODELS.json``, where ``MODELS.json`` lists fastembed's registries as
``{"models": [{"type": "text", "model": ..., "hf_repo": ..., "postprocess": {...}, ...}, ...]}``. It shares no code with
the catalogue, so that a mistake in the one is not a mistake in the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("fastembed_dense_models.json")

POOLING = {
    "cls_if_3d_else_identity": "CLS",
    "identity": "DISABLED",
    "mean": "MEAN",
    "last_token": "LAST_TOKEN",
    # A sum and a mean point the same way, and these vectors are scaled to length 1.
    "sum_of_known_tokens": "MEAN",
}
OUTPUT: dict[str, int | str] = {
    "index 0": 0,
    "index 1": 1,
    "pooler_output": "pooler_output",
    "safetensors:embeddings": 0,
}


def facts(entry: dict[str, Any]) -> dict[str, Any]:
    """Translate one entry.

    Args:
        entry: The entry of a dense text model.

    Returns:
        Its facts under the names of the golden file.
    """
    after = entry["postprocess"]
    return {
        "name": entry["model"],
        "hf": entry["hf_repo"],
        "file": entry["model_file"],
        "extra": entry["additional_files"],
        "dim": entry["dim"],
        "licence": entry["license"],
        "size_in_gb": entry["size_gb"],
        "max_tokens": entry["max_tokens_described"],
        "year": entry["year"],
        "pooling": POOLING[after["pooling"]],
        "normalize": after["normalize"],
        "output": OUTPUT[after["output"]],
        "static": after["output"].startswith("safetensors:"),
        "pad_to_max_length": after.get("padding") == "fixed to max_length",
        "tasks": entry["tasks"] or {},
        "default_task": after.get("default_task"),
        "query_task": after.get("query_task"),
        "passage_task": after.get("passage_task"),
    }


def main(listing: Path) -> None:
    """Write the golden file.

    Args:
        listing: The listing of the registries.
    """
    entries = json.loads(listing.read_text(encoding="utf-8"))["models"]
    rows = [facts(entry) for entry in entries if entry["type"] == "text"]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

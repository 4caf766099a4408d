"""Make ``quantized.json``: digests of what sentence-transformers 6.2's ``quantize_embeddings`` gives.

Usage: ``python -m tests.golden.make_quantized``, with sentence-transformers installed.
"""

from __future__ import annotations

import json
from pathlib import Path

from sentence_transformers.util.quantization import quantize_embeddings

from tests.fixtures.quantized_vectors import PRECISIONS, digest, taken, ways

GOLDEN = Path(__file__).with_name("quantized.json")


def main() -> None:
    """Write the file."""
    found: dict[str, dict[str, str]] = {}
    for way, (vectors, given) in ways().items():
        renamed = {"calibration": "calibration_embeddings"}
        arguments = {renamed.get(name, name): value for name, value in given.items()}
        found[way] = {
            precision: digest(quantize_embeddings(vectors, precision, **taken(precision, arguments)))
            for precision in PRECISIONS
        }
    GOLDEN.write_text(json.dumps({"sentence-transformers": "6.2.0", "digests": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

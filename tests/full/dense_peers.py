"""Run by `test_dense_peers` in the environment of the peers: texts, and what the peers make of them.

Usage: ``python -m tests.full.dense_peers FOLDER``; writes ``texts.json`` and ``vectors.npz`` there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.texts import as_written, log_uniform
from tests.golden.make_dense import MINILM, export_minilm, minilm_folder

LIMITS = (256, 512)


def main(folder: Path) -> None:
    """Write both files.

    Args:
        folder: Where to.
    """
    from fastembed import TextEmbedding
    from sentence_transformers import SentenceTransformer

    texts = [*as_written(199), *log_uniform(200, seed=1), ""]
    vectors: dict[str, Any] = {}
    reference = SentenceTransformer(str(minilm_folder()), device="cpu")
    for limit in LIMITS:
        reference.max_seq_length = limit
        vectors[f"sentence_transformers_{limit}"] = reference.encode(texts, batch_size=16)
        with tempfile.TemporaryDirectory() as exported:
            export_minilm(Path(exported), limit)
            peer = TextEmbedding(MINILM, specific_model_path=exported, cuda=False)
            # One text at a time is by far its fastest, and takes little memory.
            vectors[f"fastembed_{limit}"] = np.stack(list(peer.embed(texts, batch_size=1)))
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    np.savez(folder / "vectors.npz", **vectors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

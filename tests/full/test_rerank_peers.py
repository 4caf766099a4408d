"""Two cross-encoders exported from transformers, against transformers and fastembed run side by side."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.rerank.model import TextCrossEncoder

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BOUND = 1e-5
NAMES = {"bert": "Xenova/ms-marco-MiniLM-L-6-v2", "roberta": "BAAI/bge-reranker-base"}


@dataclass(frozen=True)
class Peers:
    folder: Path
    pairs: list[tuple[str, str]]
    scores: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    folder = tmp_path_factory.mktemp("rerank-peers")
    done = subprocess.run(
        [python, "-m", "tests.full.rerank_peers", folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    pairs = [(query, document) for query, document in json.loads((folder / "pairs.json").read_text(encoding="utf-8"))]
    with np.load(folder / "scores.npz") as scores:
        return Peers(folder, pairs, dict(scores))


def opened(peers: Peers, name: str, **options: Any) -> TextCrossEncoder:
    return TextCrossEncoder(NAMES[name], specific_model_path=peers.folder / name, **options)


def largest(ours: list[float], theirs: np.ndarray) -> float:
    assert len(ours) == len(theirs)
    assert np.ptp(theirs) > 0.1
    return float(np.abs(np.array(ours) - theirs).max())


def test_transformers_with_one_label(peers: Peers) -> None:
    scores = list(opened(peers, "bert").rerank_pairs(peers.pairs))
    assert largest(scores, peers.scores["transformers_bert"][:, 0]) <= BOUND


def test_transformers_with_two_labels(peers: Peers) -> None:
    logits = peers.scores["transformers_roberta"]
    model = opened(peers, "roberta")
    assert largest(list(model.rerank_pairs(peers.pairs)), logits[:, 1] - logits[:, 0]) <= BOUND
    softmax = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert largest(list(model.rerank_pairs(peers.pairs, activation="sigmoid")), softmax) <= BOUND


@pytest.mark.parametrize(("batch_size", "parallel", "token_budget"), [(64, None, None), (1, 2, 1), (16, 0, 20_000)])
def test_fastembed(peers: Peers, batch_size: int, parallel: int | None, token_budget: int | None) -> None:
    order = list(range(len(peers.pairs)))
    random.Random(batch_size).shuffle(order)
    model = opened(peers, "bert", **({} if token_budget is None else {"token_budget": token_budget}))
    scores = list(model.rerank_pairs((peers.pairs[i] for i in order), batch_size=batch_size, parallel=parallel))
    assert largest(scores, peers.scores["fastembed_bert"][order]) <= BOUND

"""Both multimodal kinds against fastembed run side by side, and the memory of text queries at ColPali's input shape."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
from tests.full.multimodal_peers import KINDS, TEXTS, page_pictures

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BOUND = 1e-5
LESS_MEMORY = 5


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the models and the vectors of fastembed."""
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    folder = tmp_path_factory.mktemp("peers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "tests.full.multimodal_peers", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize(("batch_size", "token_budget"), [(1, None), (5, 100_000), (64, 100_000), (256, None)])
def test_vectors_of_fastembed(name: str, batch_size: int, token_budget: int | None, peers: Path) -> None:
    model = LateInteractionMultimodalEmbedding(KINDS[name], specific_model_path=peers / name, token_budget=token_budget)
    with np.load(peers / "vectors.npz") as loaded:
        vectors = dict(loaded)
    for side, items, embed in (
        ("texts", list(TEXTS), model.embed_text),
        ("images", page_pictures(), model.embed_image),
    ):
        order = list(range(len(items)))
        random.Random(batch_size).shuffle(order)
        found = embed([items[position] for position in order], batch_size)
        for number, rows in zip(order, found, strict=True):
            expected = vectors[f"{name}_{side}_{number}"]
            assert rows.dtype == np.float32
            assert rows.shape == expected.shape
            assert np.abs(rows - expected).max() <= BOUND


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read where Linux tells it")
def test_text_queries_take_a_fifth_of_the_memory(peers: Path) -> None:
    theirs = json.loads((peers / "told.json").read_text(encoding="utf-8"))["added_megabytes"]
    code = (
        "import sys; from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding as M; "
        "from tests.full.multimodal_peers import COLPALI, added_by_queries; "
        "print(added_by_queries(M(COLPALI, specific_model_path=sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, peers / "colpali"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = float(done.stdout)
    assert theirs > 500  # 256 pictures of 3 x 448 x 448 float32 are 616 MB
    assert ours <= theirs / LESS_MEMORY

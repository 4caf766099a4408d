"""The six sparse models on 400 texts of many languages, against fastembed run side by side on the same folders."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.sparse.embedding import SparseTextEmbedding
from tests.fixtures.sparse_models import FOLDERS
from tests.full.sparse_peers import TEXTS

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder with the models, and fastembed's vectors."""
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    folder = tmp_path_factory.mktemp("peers")
    done = subprocess.run(
        [python, "-m", "tests.full.sparse_peers", folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, json.loads((folder / "vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("way", ["embed", "query"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_ids_and_values_of_fastembed(kind: str, way: str, peers: tuple[Path, dict[str, Any]]) -> None:
    folder, vectors = peers
    options: dict[str, Any] = {"compatible": True} if kind == "bm25" else {}
    model = SparseTextEmbedding(FOLDERS[kind][0], specific_model_path=folder / kind, **options)
    embed = model.embed if way == "embed" else model.query_embed
    for vector, (ids, values) in zip(embed(TEXTS, batch_size=64), vectors[kind][way], strict=True):
        assert vector.indices.tolist() == ids
        assert np.abs(vector.values - values).max(initial=0) <= 1e-5

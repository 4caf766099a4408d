"""The six sparse models on 400 texts of many languages, against fastembed run side by side on the same folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.compile import compile_model
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from onnxembed.sparse.languages import stop_words
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.spec import GraphHead
from onnxembed.text.known import dense_registry
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
    _compile_minilm(folder / "bm42-minilm")
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


def _compile_minilm(folder: Path) -> None:
    """The real all-MiniLM-L6-v2 as the graph with attentions that fastembed asks for."""
    minilm = locate(
        dense_registry.find("sentence-transformers/all-MiniLM-L6-v2"), StoreSettings(local_files_only=True)
    ).path
    folder.mkdir()
    compile_model(minilm, folder / "model.onnx", head=GraphHead.ATTENTIONS)
    for name in ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(minilm / name, folder / name)
    (folder / "stopwords.txt").write_text("\n".join(stop_words("english")), encoding="utf-8")


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


@pytest.mark.parametrize("way", ["embed", "query"])
def test_bm42_on_real_weights(way: str, peers: tuple[Path, dict[str, Any]]) -> None:
    folder, vectors = peers
    limit = json.loads((folder / "bm42-minilm" / "tokenizer_config.json").read_text())["model_max_length"]
    same = SparseTextEmbedding(FOLDERS["bm42"][0], specific_model_path=folder / "bm42-minilm", max_length=limit)
    embed = same.embed if way == "embed" else same.query_embed
    for vector, (ids, values) in zip(embed(TEXTS), vectors["bm42-minilm"][way], strict=True):
        assert vector.indices.tolist() == ids
        assert np.abs(vector.values - values).max(initial=0) <= 1e-5

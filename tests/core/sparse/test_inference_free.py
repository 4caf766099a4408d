"""Inference-free models: queries are looked up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from onnxembed.errors import ModelError, TextTooLongError
from onnxembed.sparse.model import SparseTextEmbedding
from tests.fixtures.dense_tokenizers import MAPPED_TOKEN, SPECIAL_TOKENS, VOCABULARY
from tests.fixtures.sparse_models import TEXTS, write_inference_free

NAME = "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inference_free(tmp_path_factory.mktemp("inference-free"))


def table_of(folder: Path) -> dict[str, float]:
    table: dict[str, float] = json.loads((folder / "idf.json").read_text(encoding="utf-8"))
    return table


def test_each_token_of_a_query_has_its_own_weight_once(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder, lazy_load=True)
    (vector,) = model.query_embed("hello WORLD hello quick!")
    table = table_of(folder)
    expected = {VOCABULARY.index(token): table[token] for token in ("hello", "world", "quick", "!")}
    assert vector.as_dict() == pytest.approx(expected)
    assert vector.indices.tolist() == sorted(expected)


def test_tokens_without_a_weight_and_special_tokens_have_none(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder, lazy_load=True)
    vectors = list(model.query_embed(["fox", "", "привет", f"hello [MASK] {MAPPED_TOKEN}"]))
    assert [len(vector) for vector in vectors] == [0, 0, 0, 1]
    assert vectors[3].indices.tolist() == [VOCABULARY.index("hello")]


def test_queries_load_no_weights(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder, max_length=31, lazy_load=True)
    assert len(list(model.query_embed(TEXTS[:20], batch_size=3, parallel=2))) == 20
    assert not model.loaded
    assert len(list(model.embed(TEXTS[:2]))) == 2
    assert model.loaded


def test_special_tokens_never_count_in_documents(folder: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=folder)
    special = set(range(len(SPECIAL_TOKENS))) | {len(VOCABULARY)}
    found = {index for vector in model.embed(TEXTS[:60]) for index in vector.indices.tolist()}
    assert not found & special
    assert len(found) > 60


def test_long_queries_are_cut_or_refused(folder: Path) -> None:
    cut = SparseTextEmbedding(NAME, specific_model_path=folder, max_length=4, lazy_load=True)
    assert [len(vector) for vector in cut.query_embed(["hello world quick brown"])] == [2]
    strict = SparseTextEmbedding(NAME, specific_model_path=folder, max_length=4, truncate=False, lazy_load=True)
    with pytest.raises(TextTooLongError, match="text 1 has 6 tokens"):
        list(strict.query_embed(["hello", "hello world quick brown"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"hello": "heavy"}', "weight of 'hello' is 'heavy'"),
        ('{"hello": true}', "weight of 'hello' is True"),
        ('{"hello": NaN}', "weight of 'hello' is nan"),
        ('{"no such token": 1.0}', "no weight for any token"),
        ("[1, 2]", "holds a JSON list"),
        ('{"hello": 1', "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_wrong_tables_are_refused(content: str, message: str, tmp_path: Path) -> None:
    write_inference_free(tmp_path)
    model = SparseTextEmbedding(NAME, specific_model_path=tmp_path, lazy_load=True)
    (tmp_path / "idf.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        model.query_embed("hello")


def test_table_is_read_as_utf_8(tmp_path: Path) -> None:
    write_inference_free(tmp_path)
    (tmp_path / "idf.json").write_bytes('{"東": 4.5, "hello": 2}'.encode())
    model = SparseTextEmbedding(NAME, specific_model_path=tmp_path)
    (vector,) = model.query_embed("hello 東京")
    assert vector.as_dict() == {VOCABULARY.index("東"): 4.5, VOCABULARY.index("hello"): 2.0}
    assert np.isfinite(next(model.embed("hello")).values).all()

"""What the stages of sparse models say beyond the rows: sums outside a graph, tables of queries, refusals, options."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import SparseTextEmbedding
from onnxembed.compile import compile_model
from onnxembed.errors import InputError, ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.sparse.spec import SparseKind
from onnxembed.sparse.splade import Pruning, SpladeWeigher
from onnxembed.spec import GraphHead, ModelSource
from onnxembed.text.graph import PaddedTokens
from tests.fixtures.model_rows import Row, all_rows, write_row, write_safetensors

TEXTS = ["the quick fox", "", "a vector is a list of numbers"]


def row_folder(name: str, folder: Path) -> Path:
    row = next(param.values[0] for param in all_rows("sparse") if param.id == name)
    assert isinstance(row, Row)
    return write_row(row, folder)


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_weights_are_added_up_outside_a_graph() -> None:
    logits = np.array([[[1, -1, 0.5], [2, 3, -4], [9, 9, 9]]], np.float32)
    padded = PaddedTokens(np.zeros((1, 3), np.int64), np.array([[1, 1, 0]]), None, [])
    for count in (1, 2):
        (vector,) = SpladeWeigher("logits", Pruning(), count, summed=True).weigh(logits, padded)
        weights = np.maximum(logits[0, :2].astype(np.float64), 0)
        for _ in range(count):
            weights = np.log1p(weights)
        assert vector.indices.tolist() == [0, 1, 2]
        assert vector.values == pytest.approx(weights.sum(axis=0), abs=1e-6)


def test_the_sum_in_a_graph_knows_no_padding(tmp_path: Path) -> None:
    model = SparseTextEmbedding(row_folder("splade-bert-sum", tmp_path / "m"))
    alone = [next(model.embed(text)).as_dict() for text in TEXTS]
    together = [vector.as_dict() for vector in model.embed([*TEXTS, "fox " * 40])]
    assert together[:3] == [pytest.approx(vector, rel=1e-6) for vector in alone]


def test_how_many_entries_are_kept_is_the_callers(tmp_path: Path) -> None:
    folder = row_folder("splade-bert", tmp_path / "m")
    model, more = SparseTextEmbedding(folder), SparseTextEmbedding(folder, top_k=30)
    assert len(next(model.embed("fox"))) == 24
    assert len(next(more.embed("fox"))) == 30
    assert model.fingerprint != more.fingerprint


def test_queries_need_no_weights(tmp_path: Path) -> None:
    folder = row_folder("splade-bert-router", tmp_path / "m")
    model = SparseTextEmbedding(folder, lazy_load=True)
    assert model.kind is SparseKind.SPLADE
    assert len(next(model.query_embed("fox fox"))) >= 1
    assert not model.loaded


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    folder = row_folder("splade-bert-router", tmp_path / "m")
    table = folder / "query_0_SparseStaticEmbedding"
    write_safetensors(table / "model.safetensors", {"weight": np.ones(3, np.float32)})
    with pytest.raises(ModelError, match=r"weight of the shape \[3\]; expected one finite number for each of"):
        SparseTextEmbedding(folder)
    (table / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match=r"query_0_SparseStaticEmbedding holds no model.safetensors"):
        SparseTextEmbedding(folder)


@pytest.mark.parametrize(
    ("file", "entries", "message"),
    [
        ("1_SpladePooling/config.json", {"pooling_strategy": "mean"}, "pooling_strategy is 'mean'"),
        ("1_SpladePooling/config.json", {"activation_function": "gelu"}, "activation_function is 'gelu'"),
        ("sentence_bert_config.json", {"transformer_task": "feature-extraction"}, "transformer_task is"),
        ("config_sentence_transformers.json", {"max_active_dims": 0}, "max_active_dims is 0"),
    ],
)
def test_what_is_not_known_is_refused(file: str, entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = row_folder("splade-bert", tmp_path / "m")
    change(folder / file, **entries)
    with pytest.raises(ModelError, match=message):
        SparseTextEmbedding(folder)


def test_other_orders_of_stages_are_refused(tmp_path: Path) -> None:
    folder = row_folder("splade-bert", tmp_path / "m")
    stages = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*stages, stages[1]]))
    with pytest.raises(UnsupportedModelError, match="lists the stages Transformer, SpladePooling, SpladePooling"):
        SparseTextEmbedding(folder)


def test_a_graph_beside_the_stages_serves(tmp_path: Path) -> None:
    folder = row_folder("splade-bert", tmp_path / "m")
    expected = [vector.as_dict() for vector in SparseTextEmbedding(folder).embed(TEXTS)]
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    compile_model(folder, other / "model.onnx", head=GraphHead.VOCABULARY_MAXIMUM)
    (other / "model.safetensors").unlink()
    vectors = [vector.as_dict() for vector in SparseTextEmbedding(other).embed(TEXTS)]
    assert vectors == [pytest.approx(vector, abs=1e-6) for vector in expected]


def test_an_auto_encoder_has_its_own_kind_and_options(tmp_path: Path) -> None:
    folder = row_folder("csr-bert", tmp_path / "m")
    model = SparseTextEmbedding(folder)
    assert (model.kind, model.max_length) == (SparseKind.AUTO_ENCODER, 64)
    assert model.token_count("the fox") == 4
    assert len(next(SparseTextEmbedding(folder, top_k=3).embed("fox"))) <= 3
    with pytest.raises(InputError, match="known by its own files alone"):
        SparseTextEmbedding.add_custom_model("a/b", "AUTO_ENCODER", sources=ModelSource(hf="a/b"))
    write_safetensors(
        folder / "2_SparseAutoEncoder" / "model.safetensors",
        {name: np.ones(2, np.float32) for name in ("encoder.weight", "pre_bias", "latent_bias")},
    )
    with pytest.raises(ModelError, match="expected finite ones of"):
        SparseTextEmbedding(folder)


def test_the_default_prompt_is_that_of_embed_alone(tmp_path: Path) -> None:
    folder = row_folder("splade-bert", tmp_path / "m")
    plain = SparseTextEmbedding(shutil.copytree(folder, tmp_path / "plain"))
    prompts = {"query": "find ", "document": "text ", "other": "some "}
    change(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name="other")
    model = SparseTextEmbedding(folder)
    for call, prompt in ((model.embed, "some "), (model.passage_embed, "text "), (model.query_embed, "find ")):
        assert next(call("fox")).as_dict() == pytest.approx(next(plain.embed(f"{prompt}fox")).as_dict(), abs=1e-6)
    assert model.fingerprint != plain.fingerprint

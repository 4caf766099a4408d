"""An ingestion pipeline embeds again what would get other vectors, and nothing else."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import TextNode

from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding, OnnxMuveraEmbedding
from onnxembed import TextEmbedding
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.text_models import REAL_MODEL, small_clip, small_model

NODES = [TextNode(text="A violin has four strings.", id_="1")]


def key(embedding: OnnxEmbedding | OnnxMuveraEmbedding) -> str:
    return get_transformation_hash(NODES, embedding)


@pytest.mark.parametrize(
    "running",
    [
        {"embed_batch_size": 3},
        {"threads": 1},
        {"device": "cpu"},
        {"lazy_load": False},
        {"batch_size": 2},
        {"parallel": 2},
        {"num_workers": 2},
        {"token_budget": 64},
        {"local_files_only": True},
        {"providers": ["CPUExecutionProvider"]},
        {"session_options": {"log_severity_level": 3}},
        {"enable_cpu_mem_arena": False},
    ],
    ids=str,
)
def test_how_it_runs_changes_no_hash(running: dict[str, Any]) -> None:
    assert key(OnnxEmbedding(model_name=small_model(), **running)) == key(OnnxEmbedding(model_name=small_model()))


def test_where_files_are_changes_no_hash(tmp_path: Path) -> None:
    moved = shutil.copytree(small_model(), tmp_path / "elsewhere")
    here = key(OnnxEmbedding(model_name=small_model()))
    assert key(OnnxEmbedding(model_name=str(moved), cache_dir=tmp_path)) == here


@pytest.mark.parametrize(
    "choice", [{"text_instruction": "passage: "}, {"dimensions": 8}, {"max_length": 16}, {"normalize": True}], ids=str
)
def test_what_changes_vectors_changes_the_hash(choice: dict[str, Any]) -> None:
    assert key(OnnxEmbedding(model_name=small_model(), **choice)) != key(OnnxEmbedding(model_name=small_model()))


def test_other_weights_in_the_same_place_change_the_hash(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, seed=1)
    before = key(OnnxEmbedding(model_name=str(tmp_path)))
    write_bert_folder(tmp_path, seed=2)
    assert key(OnnxEmbedding(model_name=str(tmp_path))) != before


def test_muvera_counts_its_own_settings() -> None:
    def muvera(**options: Any) -> OnnxMuveraEmbedding:
        return OnnxMuveraEmbedding(model_name=REAL_MODEL, dense=True, **options)

    assert key(muvera(threads=1)) == key(muvera())
    assert key(muvera(random_seed=1)) != key(muvera())


def test_the_image_half_makes_no_vector_of_a_text() -> None:
    text, image = small_clip()
    first, second = (
        OnnxMultiModalEmbedding(model_path=text, image_model_path=image, image_batch_size=n) for n in (1, 2)
    )
    assert key(first) == key(second)


def test_a_dictionary_needs_no_files_and_is_plain(tmp_path: Path) -> None:
    embedding = OnnxEmbedding(cache_dir=tmp_path / "empty", local_files_only=True, threads=3)
    data = embedding.to_dict()
    assert json.loads(json.dumps(data)) == data == json.loads(embedding.to_json())
    assert OnnxEmbedding.from_dict(data) == embedding
    assert "'threads': 3" in repr(data)
    assert f"{data}" == repr(data) == repr(dict(data))
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data), copy.copy(data)):
        assert type(other) is dict
        assert other == data
    assert not (tmp_path / "empty").exists()


def test_a_pipeline_embeds_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    embedded: list[str] = []
    work = TextEmbedding.embed_to_array

    def counted(self: Any, texts: list[str], *args: Any, **kwargs: Any) -> Any:
        embedded.extend(texts)
        return work(self, texts, *args, **kwargs)

    monkeypatch.setattr(TextEmbedding, "embed_to_array", counted)
    write_bert_folder(tmp_path, seed=1)
    cache = IngestionCache()

    def run(**options: Any) -> list[float] | None:
        pipeline = IngestionPipeline(
            transformations=[OnnxEmbedding(model_name=str(tmp_path), **options)], cache=cache, disable_cache=False
        )
        (node,) = pipeline.run(nodes=[TextNode(text="A violin has four strings.", id_="1")])
        return node.embedding

    first = run()
    assert run(embed_batch_size=7, threads=1, device="cpu", cache_dir=str(tmp_path), lazy_load=False) == first
    assert len(embedded) == 1
    write_bert_folder(tmp_path, seed=2)
    assert run() != first
    assert len(embedded) == 2

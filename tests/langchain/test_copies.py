"""Copies share the engine, and pickles carry settings alone."""

from __future__ import annotations

import copy
import pickle
import uuid
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from langchain_onnxembed import OnnxEmbeddings
from onnxembed import ModelSource, TextEmbedding
from tests.fixtures.text_models import PROMPTS, small_model


@pytest.fixture
def embeddings() -> OnnxEmbeddings:
    embeddings = OnnxEmbeddings(model=small_model(), query_prompt=PROMPTS[0], document_prompt=PROMPTS[1])
    embeddings.embed_query("loaded now")
    return embeddings


def embed_elsewhere(embeddings: OnnxEmbeddings) -> list[float]:
    return embeddings.embed_query("Paris")


def test_pickle_carries_settings_alone(embeddings: OnnxEmbeddings) -> None:
    engine = embeddings.engine
    data = pickle.dumps(embeddings)
    assert len(data) < 10_000
    assert embeddings.engine is engine
    again = pickle.loads(data)
    assert again == embeddings
    assert again.model_fields_set == embeddings.model_fields_set
    assert again.embed_query("Paris") == embeddings.embed_query("Paris")


def test_works_in_another_process(embeddings: OnnxEmbeddings) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(embed_elsewhere, embeddings).result(timeout=60)
    assert there == pytest.approx(embeddings.embed_query("Paris"), abs=1e-6)


def test_a_model_of_ones_own_works_in_another_process() -> None:
    name = f"own/{uuid.uuid4()}"
    TextEmbedding.add_custom_model(name, "MEAN", True, ModelSource(hf="own/model"), dim=32)
    embeddings = OnnxEmbeddings(model=name, model_path=small_model())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(embed_elsewhere, embeddings).result(timeout=60)
    assert there == pytest.approx(embeddings.embed_query("Paris"), abs=1e-6)


def test_copies_share_the_engine(embeddings: OnnxEmbeddings) -> None:
    for other in (copy.copy(embeddings), copy.deepcopy(embeddings), embeddings.model_copy(deep=True)):
        assert other == embeddings
        assert other.engine is embeddings.engine


def test_equality_is_that_of_the_settings(embeddings: OnnxEmbeddings) -> None:
    unused = OnnxEmbeddings(model=small_model(), query_prompt=PROMPTS[0], document_prompt=PROMPTS[1])
    assert unused == embeddings
    assert unused != unused.model_copy(update={"batch_size": 3})
    assert unused != "something else"


def test_from_engine_uses_it_and_knows_its_settings() -> None:
    engine = TextEmbedding(small_model(), dim=8, cuda="cpu", passage_prompt=PROMPTS[1], lazy_load=True)
    embeddings = OnnxEmbeddings.from_engine(engine)
    assert embeddings.engine is engine
    assert (embeddings.model, embeddings.dimensions, embeddings.document_prompt) == (small_model(), 8, PROMPTS[1])
    assert embeddings.embed_documents(["Paris"]) == [vector.tolist() for vector in engine.passage_embed(["Paris"])]
    again = pickle.loads(pickle.dumps(embeddings))
    assert again.embed_documents(["Paris"]) == embeddings.embed_documents(["Paris"])
    assert again.cache_namespace == embeddings.cache_namespace


def test_eager_loading_happens_in_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    construct = TextEmbedding.__init__

    def watch(self: TextEmbedding, **options: Any) -> None:
        asked.append(options["lazy_load"])
        construct(self, **options)

    monkeypatch.setattr(TextEmbedding, "__init__", watch)
    eager = OnnxEmbeddings(model=small_model(), lazy_load=False)
    assert asked == [False]
    again = pickle.loads(pickle.dumps(eager))
    assert again.embed_query("Paris") == eager.embed_query("Paris")
    assert asked == [False]


def test_cache_namespace_changes_with_what_changes_a_vector(embeddings: OnnxEmbeddings) -> None:
    same = embeddings.model_copy(update={"batch_size": 3, "parallel": 2, "lazy_load": False, "threads": 1})
    assert same.cache_namespace == embeddings.cache_namespace
    changes = {"document_prompt": "", "query_prompt": "", "dimensions": 8, "max_length": 16, "normalize": False}
    others = {embeddings.model_copy(update={name: value}).cache_namespace for name, value in changes.items()}
    assert len(others) == len(changes)
    assert embeddings.cache_namespace not in others
    assert embeddings.cache_namespace.isalnum()

"""Dictionaries hold every setting, pickles carry settings alone, copies share the engine."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.llama_debug import LlamaDebugHandler
from llama_index.core.storage.kvstore import SimpleKVStore

from langchain_onnxembed import OnnxEmbeddings
from llama_index.embeddings.onnxembed import OnnxEmbedding
from onnxembed import TextEmbedding
from tests.fixtures.text_models import PROMPTS, small_model


class StoreWithLock(SimpleKVStore):
    """A store that cannot be pickled, as those that hold a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


@pytest.fixture
def embedding() -> OnnxEmbedding:
    embedding = OnnxEmbedding(
        model_name=small_model(), query_instruction=PROMPTS[0], num_workers=2, providers=[("CPUExecutionProvider", {})]
    )
    embedding.get_query_embedding("loaded now")
    return embedding


def test_dictionary_round_trip(embedding: OnnxEmbedding) -> None:
    data = embedding.to_dict()
    assert data["query_instruction"] == PROMPTS[0]
    assert data["class_name"] == "OnnxEmbedding"
    again = OnnxEmbedding.from_dict(data)
    assert again.to_dict() == data
    assert again == embedding
    through_json = OnnxEmbedding.from_json(embedding.to_json())
    assert through_json.to_dict() == data
    assert OnnxEmbedding(**embedding.model_dump()) == embedding
    assert through_json.get_query_embedding("Paris") == embedding.get_query_embedding("Paris")


def test_the_cache_is_no_setting(embedding: OnnxEmbedding) -> None:
    plain = embedding.to_dict()
    embedding.embeddings_cache = SimpleKVStore()
    assert embedding.to_dict() == plain
    assert json.loads(embedding.to_json())["model_name"] == small_model()


def test_pickle_carries_settings_alone(embedding: OnnxEmbedding) -> None:
    engine = embedding.engine
    data = pickle.dumps(embedding)
    assert len(data) < 10_000
    assert embedding.engine is engine
    again = pickle.loads(data)
    assert again == embedding
    assert again.get_query_embedding("Paris") == embedding.get_query_embedding("Paris")


def test_pickle_leaves_the_live_object_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    store = StoreWithLock()
    handler = LlamaDebugHandler(print_trace_on_end=False)
    handler.lock = threading.Lock()  # type: ignore[attr-defined]
    manager = CallbackManager([handler])
    embedding = OnnxEmbedding(model_name=small_model(), embeddings_cache=store, callback_manager=manager)
    again = pickle.loads(pickle.dumps(embedding))
    assert embedding.embeddings_cache is store
    assert embedding.callback_manager is manager
    assert again.embeddings_cache is None
    assert again.callback_manager.handlers == []
    told = [record.getMessage().split()[0] for record in caplog.records if record.name == "onnxembed.llamaindex"]
    assert sorted(told) == ["callback_manager", "embeddings_cache"]
    assert len(again.get_text_embedding("Paris")) == embedding.dimension


def test_pickle_keeps_a_cache_that_pickles() -> None:
    embedding = OnnxEmbedding(model_name=small_model(), embeddings_cache=SimpleKVStore())
    vector = embedding.get_text_embedding("Paris")
    again = pickle.loads(pickle.dumps(embedding))
    assert again.embeddings_cache.to_dict() == embedding.embeddings_cache.to_dict()
    assert again.get_text_embedding("Paris") == vector


def test_copies_share_the_engine(embedding: OnnxEmbedding) -> None:
    for other in (copy.copy(embedding), copy.deepcopy(embedding), embedding.model_copy()):
        assert other == embedding
        assert other.engine is embedding.engine


def test_frameworks_share_one_set_of_weights(tmp_path: Path) -> None:
    ours = OnnxEmbedding(model_name=small_model(), cache_dir=tmp_path, max_length=33)
    theirs = OnnxEmbeddings(model=small_model(), cache_dir=tmp_path, max_length=33, batch_size=7)
    others = OnnxEmbeddings(model=small_model(), cache_dir=tmp_path, max_length=34)
    assert not theirs.engine.loaded
    vector = ours.get_query_embedding("Paris")
    assert theirs.engine.loaded
    assert theirs.embed_query("Paris") == vector
    assert not others.engine.loaded


def test_changing_a_field_changes_the_vectors(embedding: OnnxEmbedding) -> None:
    before = embedding.get_query_embedding("Paris")
    embedding.query_instruction = "another: "
    assert embedding.get_query_embedding("Paris") != before
    assert embedding.model_copy(update={"query_instruction": PROMPTS[0]}).get_query_embedding("Paris") == before


def test_from_engine_uses_it_and_knows_its_settings() -> None:
    engine = TextEmbedding(small_model(), dim=8, cuda="cpu", passage_prompt=PROMPTS[1], lazy_load=True)
    embedding = OnnxEmbedding.from_engine(engine)
    assert embedding.engine is engine
    assert (embedding.device, embedding.dimensions, embedding.text_instruction) == ("cpu", 8, PROMPTS[1])
    again = OnnxEmbedding.from_dict(embedding.to_dict())
    expected = next(iter(engine.passage_embed("Paris"))).tolist()
    assert embedding.get_text_embedding("Paris") == again.get_text_embedding("Paris") == expected


def test_callback_manager_stays_assignable(embedding: OnnxEmbedding) -> None:
    manager = CallbackManager([])
    embedding.callback_manager = manager
    assert embedding.callback_manager is manager
    other: Any = OnnxEmbedding(model_name=small_model(), callback_manager=None)  # type: ignore[arg-type]
    assert other.callback_manager.handlers == []

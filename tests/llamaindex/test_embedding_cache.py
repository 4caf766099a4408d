"""The framework's cache of vectors no longer mixes queries, documents, models and settings."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.embeddings.onnxembed.cache import RoleCache
from onnxembed import TextEmbedding
from tests.fixtures.text_models import PROMPTS, small_model


@pytest.fixture
def bare() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=small_model(), query_instruction=PROMPTS[0], text_instruction=PROMPTS[1])


@pytest.fixture
def cached(bare: OnnxEmbedding) -> OnnxEmbedding:
    return bare.model_copy(update={"embeddings_cache": SimpleKVStore()})


@pytest.fixture
def inferences(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which texts the engine sees, and as what."""
    seen: list[tuple[str, str]] = []
    work = TextEmbedding.embed_to_array

    def note(self: TextEmbedding, texts: list[str], *args: Any, input_type: Any, **kwargs: Any) -> Any:
        seen.extend((input_type, text) for text in texts)
        return work(self, texts, *args, input_type=input_type, **kwargs)

    monkeypatch.setattr(TextEmbedding, "embed_to_array", note)
    return seen


@pytest.mark.parametrize("order", [("text", "query"), ("query", "text")])
async def test_each_role_has_its_own_vectors(
    bare: OnnxEmbedding, cached: OnnxEmbedding, order: tuple[str, str]
) -> None:
    expected = {"text": bare.get_text_embedding("Paris"), "query": bare.get_query_embedding("Paris")}
    assert expected["text"] != expected["query"]
    for _ in range(2):
        for role in order:
            assert getattr(cached, f"get_{role}_embedding")("Paris") == expected[role]
            assert await getattr(cached, f"aget_{role}_embedding")("Paris") == expected[role]
        assert cached.get_text_embedding_batch(["Paris"]) == [expected["text"]]
        assert await cached.aget_text_embedding_batch(["Paris"]) == [expected["text"]]
        assert cached.get_agg_embedding_from_queries(["Paris"]) == expected["query"]


async def test_each_text_is_embedded_once_a_role(cached: OnnxEmbedding, inferences: list[tuple[str, str]]) -> None:
    cached.get_query_embedding("Paris")
    await cached.aget_query_embedding("Paris")
    await cached.aget_text_embedding("Paris")
    cached.get_text_embedding_batch(["Paris", "Rome"])
    await cached.aget_text_embedding_batch(["Rome", "Paris"])
    assert inferences == [("query", "Paris"), ("document", "Paris"), ("document", "Rome")]


def test_models_and_settings_share_a_store_without_mixing(cached: OnnxEmbedding) -> None:
    other = OnnxEmbedding(model_name=small_model(), dimensions=8, embeddings_cache=cached.embeddings_cache)
    assert len(cached.get_text_embedding("Paris")) == cached.dimension
    assert len(other.get_text_embedding("Paris")) == 8
    assert len(cached.get_text_embedding("Paris")) == cached.dimension
    assert len(cached.embeddings_cache.to_dict()) == 2


def test_equal_settings_share_the_vectors(cached: OnnxEmbedding, inferences: list[tuple[str, str]]) -> None:
    cached.get_text_embedding("Paris")
    again = OnnxEmbedding.from_dict(
        {**cached.to_dict(), "embed_batch_size": 3}, embeddings_cache=cached.embeddings_cache
    )
    again.get_text_embedding("Paris")
    assert inferences == [("document", "Paris")]


def test_the_users_store_stays_theirs(cached: OnnxEmbedding) -> None:
    store = cached.embeddings_cache
    cached.get_text_embedding("Paris")
    assert cached.embeddings_cache is store
    replacement = SimpleKVStore()
    cached.embeddings_cache = replacement
    cached.get_query_embedding("Paris")
    assert [name.rsplit("-", 1)[1] for name in replacement.to_dict()] == ["query"]


def test_only_stores_are_taken() -> None:
    with pytest.raises(TypeError, match="BaseKVStore"):
        OnnxEmbedding(model_name=small_model(), embeddings_cache={})


async def test_every_operation_stays_in_one_collection() -> None:
    store = SimpleKVStore()
    store.put("a", {"x": "elsewhere"}, collection="embeddings")
    view = RoleCache(store, "f00d", "query")
    assert view.collection == "embeddings-f00d-query"
    view.put("a", {"x": 1}, collection="embeddings")
    await view.aput("b", {"x": 2}, collection="embeddings")
    view.put_all([("c", {"x": 3})])
    await view.aput_all([("d", {"x": 4})])
    assert view.get("a", collection="embeddings") == {"x": 1}
    assert await view.aget("b") == {"x": 2}
    assert view.get_all() == await view.aget_all() == {key: {"x": n} for n, key in enumerate("abcd", 1)}
    assert view.delete("a")
    assert not await view.adelete("a")
    assert store.get("a", collection="embeddings") == {"x": "elsewhere"}

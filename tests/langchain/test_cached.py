"""LangChain's cache of vectors over ours."""

from __future__ import annotations

from pathlib import Path

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.stores import InMemoryByteStore

from langchain_onnxembed import OnnxEmbeddings
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.text_models import PROMPTS, small_model


def cached(embeddings: OnnxEmbeddings, store: InMemoryByteStore) -> CacheBackedEmbeddings:
    return CacheBackedEmbeddings.from_bytes_store(
        embeddings, store, namespace=embeddings.cache_namespace, key_encoder="sha256"
    )


def test_second_time_comes_from_the_store() -> None:
    store = InMemoryByteStore()
    embeddings = OnnxEmbeddings(model=small_model(), document_prompt=PROMPTS[1])
    vectors = cached(embeddings, store).embed_documents(["Paris", "Rome"])
    assert vectors == embeddings.embed_documents(["Paris", "Rome"])
    assert len(list(store.yield_keys())) == 2

    # The same settings elsewhere, without the model: only the store can answer.
    again = embeddings.model_copy(update={"batch_size": 7})
    store_only = cached(again, store)
    again.model_path = "/nonexistent"
    assert store_only.embed_documents(["Rome", "Paris"]) == vectors[::-1]


def test_two_settings_do_not_mix() -> None:
    store = InMemoryByteStore()
    prompted = OnnxEmbeddings(model=small_model(), document_prompt=PROMPTS[1])
    bare = OnnxEmbeddings(model=small_model(), document_prompt="")
    first = cached(prompted, store).embed_documents(["Paris"])
    second = cached(bare, store).embed_documents(["Paris"])
    assert first == prompted.embed_documents(["Paris"])
    assert second == bare.embed_documents(["Paris"])
    assert first != second


async def test_async() -> None:
    store = InMemoryByteStore()
    embeddings = OnnxEmbeddings(model=small_model())
    assert await cached(embeddings, store).aembed_documents(["Paris"]) == embeddings.embed_documents(["Paris"])


def test_other_weights_in_the_same_place_do_not_mix(tmp_path: Path) -> None:
    store = InMemoryByteStore()
    write_bert_folder(tmp_path, seed=1)
    first = cached(OnnxEmbeddings(model=str(tmp_path)), store).embed_documents(["Paris"])
    write_bert_folder(tmp_path, seed=2)
    other = OnnxEmbeddings(model=str(tmp_path))
    assert cached(other, store).embed_documents(["Paris"]) == other.embed_documents(["Paris"]) != first


def test_how_it_runs_keeps_the_cache() -> None:
    plain = OnnxEmbeddings(model=small_model()).cache_namespace
    assert OnnxEmbeddings(model=small_model(), threads=1, batch_size=2, device="cpu").cache_namespace == plain

"""Indexes, stores, pipelines and splitters of the framework with our embedding in them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.node_parser import SemanticSplitterNodeParser, SentenceSplitter
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index.embeddings.onnxembed import OnnxEmbedding
from onnxembed import TextEmbedding
from tests.fixtures.text_models import PROMPTS, REAL_MODEL, small_model

# The framework's store always asks for one, and the local stand-in for the server has none.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

PASSAGES = [
    "A bicycle has two wheels and is moved by pedals.",
    "Bread is baked from flour, water and yeast.",
    "The moon turns around the earth in about a month.",
    "A violin has four strings and is played with a bow.",
]


def simple(dimension: int) -> BasePydanticVectorStore:
    return SimpleVectorStore()


def chroma(dimension: int) -> BasePydanticVectorStore:
    import chromadb
    from chromadb.config import Settings as ChromaSettings
    from llama_index.vector_stores.chroma import ChromaVectorStore

    client = chromadb.EphemeralClient(ChromaSettings(anonymized_telemetry=False, is_persistent=False))
    # Ephemeral clients of one process share their collections.
    return ChromaVectorStore(chroma_collection=client.create_collection(f"test-{uuid.uuid4()}"))


def faiss(dimension: int) -> BasePydanticVectorStore:
    import faiss as library
    from llama_index.vector_stores.faiss import FaissVectorStore

    return FaissVectorStore(faiss_index=library.IndexFlatIP(dimension))


def qdrant(dimension: int) -> BasePydanticVectorStore:
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    return QdrantVectorStore(client=QdrantClient(":memory:"), collection_name="test")


def async_qdrant(dimension: int) -> BasePydanticVectorStore:
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import AsyncQdrantClient

    return QdrantVectorStore(aclient=AsyncQdrantClient(":memory:"), collection_name="test")


MakeStore = Callable[[int], BasePydanticVectorStore]


def real_embedding() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=REAL_MODEL, local_files_only=True)


@pytest.fixture
def embedding() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=small_model(), query_instruction=PROMPTS[0], text_instruction=PROMPTS[1])


@pytest.fixture
def global_settings() -> Iterator[Any]:
    before = Settings._embed_model, Settings._callback_manager
    yield Settings
    Settings._embed_model, Settings._callback_manager = before


@pytest.mark.parametrize("make_store", [simple, chroma, faiss, qdrant])
def test_finds_by_meaning(make_store: MakeStore, global_settings: Any) -> None:
    embedding = real_embedding()
    global_settings.embed_model = embedding
    storage = StorageContext.from_defaults(vector_store=make_store(embedding.dimension))
    index = VectorStoreIndex([TextNode(text=text) for text in PASSAGES], storage_context=storage)
    retriever = index.as_retriever(similarity_top_k=1)
    for query, number in [("How do I make a loaf?", 1), ("astronomy", 2), ("orchestra", 3)]:
        assert [hit.node.get_content() for hit in retriever.retrieve(query)] == [PASSAGES[number]]


@pytest.mark.parametrize("make_store", [simple, chroma, faiss, async_qdrant])
async def test_finds_by_meaning_async(make_store: MakeStore) -> None:
    embedding = real_embedding()
    storage = StorageContext.from_defaults(vector_store=make_store(embedding.dimension))
    nodes = [TextNode(text=text) for text in PASSAGES]
    index = VectorStoreIndex([], storage_context=storage, embed_model=embedding, use_async=True)
    await index.ainsert_nodes(nodes)
    hits = await index.as_retriever(similarity_top_k=1).aretrieve("How do I make a loaf?")
    assert [hit.node.get_content() for hit in hits] == [PASSAGES[1]]


@pytest.mark.parametrize("make_store", [simple, qdrant])
def test_retrievers_ask_the_query_side(make_store: MakeStore, embedding: OnnxEmbedding) -> None:
    storage = StorageContext.from_defaults(vector_store=make_store(embedding.dimension))
    index = VectorStoreIndex([TextNode(text="Paris")], storage_context=storage, embed_model=embedding)
    (hit,) = index.as_retriever(similarity_top_k=1).retrieve("Paris")
    query, text = embedding.get_query_embedding("Paris"), embedding.get_text_embedding("Paris")
    expected = float(np.dot(query, text) / np.linalg.norm(query) / np.linalg.norm(text))
    assert expected < 0.9999
    assert hit.score == pytest.approx(expected, abs=1e-5)


def test_global_settings_take_it_and_give_it_their_callbacks(embedding: OnnxEmbedding, global_settings: Any) -> None:
    manager = CallbackManager([])
    global_settings.callback_manager = manager
    global_settings.embed_model = embedding
    assert global_settings.embed_model is embedding
    assert embedding.callback_manager is manager


def pipeline(embedding: OnnxEmbedding, **options: Any) -> IngestionPipeline:
    # The splitter's own tokenizer cannot be unpickled in a worker without the network.
    splitter = SentenceSplitter(chunk_size=64, chunk_overlap=0, tokenizer=str.split)
    return IngestionPipeline(transformations=[splitter, embedding], **options)


def documents() -> list[Document]:
    return [Document(text=text, doc_id=str(number)) for number, text in enumerate(PASSAGES)]


def expected_vectors(embedding: OnnxEmbedding) -> list[Any]:
    return [pytest.approx(vector, abs=1e-6) for vector in embedding.get_text_embedding_batch(PASSAGES)]


async def test_pipeline(embedding: OnnxEmbedding) -> None:
    expected = expected_vectors(embedding)
    assert [node.embedding for node in pipeline(embedding).run(documents=documents())] == expected
    assert [node.embedding for node in await pipeline(embedding).arun(documents=documents())] == expected


def test_pipeline_cache_saves_the_work(embedding: OnnxEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = IngestionCache()
    first = pipeline(embedding, cache=cache).run(documents=documents())
    expected = expected_vectors(embedding)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the cache should have answered")

    monkeypatch.setattr(TextEmbedding, "embed_to_array", refuse)
    again = OnnxEmbedding.from_dict(embedding.to_dict())
    second = pipeline(again, cache=cache).run(documents=documents())
    assert [node.embedding for node in first] == [node.embedding for node in second] == expected


def test_pipeline_in_spawned_workers(embedding: OnnxEmbedding) -> None:
    expected = expected_vectors(embedding)
    nodes = pipeline(embedding).run(documents=documents(), num_workers=2)
    assert [node.embedding for node in nodes] == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks by default")
async def test_pipeline_in_forked_workers(embedding: OnnxEmbedding) -> None:
    # The parent's engine is loaded and its threads have run: the state that a fork inherits broken.
    await embedding.aget_text_embedding_batch(PASSAGES)
    expected = expected_vectors(embedding)
    nodes = await pipeline(embedding).arun(documents=documents(), num_workers=2)
    assert [node.embedding for node in nodes] == expected


async def test_pipeline_feeds_a_store(embedding: OnnxEmbedding) -> None:
    store = SimpleVectorStore()
    nodes = await pipeline(embedding, vector_store=store).arun(documents=documents())
    assert sorted(store.data.embedding_dict) == sorted(node.node_id for node in nodes)


async def test_semantic_splitter_splits_where_the_subject_changes() -> None:
    bread = "Bread is baked from flour and water. Yeast makes the dough rise. A baker kneads the dough. "
    moon = "The moon turns around the earth. Its light is that of the sun. Astronauts have walked on the moon."
    splitter = SemanticSplitterNodeParser(
        embed_model=real_embedding(), buffer_size=1, breakpoint_percentile_threshold=80
    )
    for nodes in (
        splitter.get_nodes_from_documents([Document(text=bread + moon)]),
        await splitter.aget_nodes_from_documents([Document(text=bread + moon)]),
    ):
        texts = [node.get_content() for node in nodes]
        assert len(texts) == 2
        assert "baker" in texts[0]
        assert "Astronauts" in texts[1]

"""The tests that LangChain gives for vector stores and retrievers, over our embeddings; and searches by meaning."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from langchain_onnxembed import OnnxEmbeddings
from tests.fixtures.text_models import PROMPTS, REAL_MODEL, small_model

PASSAGES = [
    "A bicycle has two wheels and is moved by pedals.",
    "Bread is baked from flour, water and yeast.",
    "The moon turns around the earth in about a month.",
    "A violin has four strings and is played with a bow.",
]


def small_embeddings() -> OnnxEmbeddings:
    return OnnxEmbeddings(model=small_model(), query_prompt=PROMPTS[0], document_prompt=PROMPTS[1])


def in_memory(embeddings: Embeddings) -> VectorStore:
    return InMemoryVectorStore(embeddings)


def chroma(embeddings: Embeddings) -> VectorStore:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    client = chromadb.EphemeralClient(ChromaSettings(anonymized_telemetry=False, is_persistent=False))
    # Ephemeral clients of one process share their collections.
    return Chroma(client=client, collection_name=f"test-{uuid.uuid4()}", embedding_function=embeddings)


def qdrant(embeddings: Embeddings) -> VectorStore:
    return QdrantVectorStore.from_texts([], embedding=embeddings, location=":memory:", collection_name="test")


class StoreOverOurs(VectorStoreIntegrationTests):
    """The standard store tests with our embeddings."""

    __test__ = False

    @staticmethod
    def get_embeddings() -> Embeddings:
        # Without prompts: the tests expect a text to be its own best answer.
        return OnnxEmbeddings(model=small_model(), query_prompt="", document_prompt="")


class TestInMemoryStore(StoreOverOurs):
    """The store that LangChain brings."""

    __test__ = True

    @pytest.fixture
    def vectorstore(self) -> VectorStore:
        return in_memory(self.get_embeddings())


class TestChromaStore(StoreOverOurs):
    """Chroma in this process."""

    __test__ = True

    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:
        store = chroma(self.get_embeddings())
        yield store
        assert isinstance(store, Chroma)
        store.delete_collection()


class RetrieverOverOurs(RetrieversIntegrationTests):
    """The standard retriever tests with our embeddings."""

    __test__ = False
    make_store: Callable[[Embeddings], VectorStore]

    @property
    def retriever_constructor(self) -> Any:
        store = type(self).make_store(small_embeddings())
        store.add_texts(PASSAGES)

        def make(k: int = 2) -> BaseRetriever:
            return store.as_retriever(search_kwargs={"k": k})

        return make

    @property
    def retriever_query_example(self) -> str:
        return "music"


class TestInMemoryRetriever(RetrieverOverOurs):
    """The store that LangChain brings."""

    __test__ = True
    make_store = staticmethod(in_memory)


class TestChromaRetriever(RetrieverOverOurs):
    """Chroma in this process."""

    __test__ = True
    make_store = staticmethod(chroma)


@pytest.mark.parametrize("make_store", [in_memory, chroma, qdrant])
def test_finds_by_meaning(make_store: Callable[[Embeddings], VectorStore]) -> None:
    store = make_store(OnnxEmbeddings(model=REAL_MODEL, local_files_only=True))
    store.add_texts(PASSAGES, metadatas=[{"number": number} for number in range(len(PASSAGES))])

    def best(query: str) -> Document:
        return store.similarity_search(query, k=1)[0]

    assert best("How do I make a loaf?").metadata["number"] == 1
    assert best("astronomy").metadata["number"] == 2
    assert best("orchestra").page_content == PASSAGES[3]


@pytest.mark.parametrize("make_store", [in_memory, chroma, qdrant])
async def test_finds_by_meaning_async(make_store: Callable[[Embeddings], VectorStore]) -> None:
    store = make_store(OnnxEmbeddings(model=REAL_MODEL, local_files_only=True))
    await store.aadd_texts(PASSAGES)
    found = await store.as_retriever(search_kwargs={"k": 1}).ainvoke("How do I make a loaf?")
    assert [document.page_content for document in found] == [PASSAGES[1]]


@pytest.mark.parametrize("make_store", [in_memory, qdrant])
def test_stores_ask_the_query_side(make_store: Callable[[Embeddings], VectorStore]) -> None:
    embeddings = small_embeddings()
    store = make_store(embeddings)
    store.add_texts(["Paris"])
    ((_, score),) = store.similarity_search_with_score("Paris", k=1)
    embed = embeddings.engine.embed_to_array
    sides = [embed(["Paris"], input_type="query")[0], embed(["Paris"], input_type="document")[0]]
    expected = float(np.dot(*sides) / np.linalg.norm(sides[0]) / np.linalg.norm(sides[1]))
    assert expected < 0.9999
    assert score == pytest.approx(expected, abs=1e-5)

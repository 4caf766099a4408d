"""Dense and sparse retrieval fused, over any store and in Qdrant."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_chroma import Chroma
from langchain_core.callbacks import BaseCallbackHandler, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import Field
from qdrant_client import QdrantClient, models

from langchain_onnxembed import (
    OnnxEmbeddings,
    OnnxHybridRetriever,
    OnnxLateInteractionRerank,
    OnnxSparse,
    OnnxSparseRetriever,
)
from onnxembed import SparseTextEmbedding, reciprocal_rank_fusion
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL, small_model

DOCUMENTS = [
    Document(text, id=str(uuid.UUID(int=number)), metadata={"number": number, "even": number % 2 == 0})
    for number, text in enumerate(PASSAGES)
]
QUESTION = "XR-7000 bread ingredients"


def embeddings() -> OnnxEmbeddings:
    return OnnxEmbeddings(model=REAL_MODEL)


def in_memory() -> VectorStore:
    return InMemoryVectorStore(embeddings())


def chroma() -> VectorStore:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    client = chromadb.EphemeralClient(ChromaSettings(anonymized_telemetry=False, is_persistent=False))
    return Chroma(client=client, collection_name=f"test-{uuid.uuid4()}", embedding_function=embeddings())


def qdrant() -> VectorStore:
    return QdrantVectorStore.from_texts([], embedding=embeddings(), location=":memory:", collection_name="test")


def hybrid_qdrant(documents: Sequence[Document] = (), **params: Any) -> QdrantVectorStore:
    sparse = OnnxSparse(avg_len=5.0)
    return QdrantVectorStore.from_documents(
        list(documents),
        embedding=embeddings(),
        sparse_embedding=sparse,
        sparse_vector_params=params.get("sparse_vector_params", sparse.sparse_vector_params()),
        retrieval_mode=RetrievalMode.HYBRID,
        location=":memory:",
        ids=[str(document.id) for document in documents],
    )


def numbers(documents: Sequence[Document]) -> list[int]:
    return [document.metadata["number"] for document in documents]


def told(scored: Sequence[tuple[Document, float]]) -> list[tuple[int, Any]]:
    return [(one.metadata["number"], score) for one, score in scored]


def nearly(scored: Sequence[tuple[Document, float]]) -> list[tuple[int, Any]]:
    return [(number, pytest.approx(score)) for number, score in told(scored)]


STORES: list[Callable[[], VectorStore]] = [in_memory, chroma, qdrant]


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return OnnxHybridRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        made = OnnxHybridRetriever.from_documents(DOCUMENTS, InMemoryVectorStore(OnnxEmbeddings(model=small_model())))
        return {"vectorstore": made.vectorstore, "sparse": made.sparse}

    @property
    def retriever_query_example(self) -> str:
        return "wheels, yeast and strings"


@pytest.mark.parametrize("make", STORES)
async def test_fuses_what_both_sides_find(make: Callable[[], VectorStore]) -> None:
    store = make()
    retriever = OnnxHybridRetriever.from_documents(DOCUMENTS, store, k=4)
    dense = numbers(store.similarity_search(QUESTION, k=6))
    sparse = numbers(OnnxSparseRetriever.from_documents(DOCUMENTS, k=6).invoke(QUESTION))
    expected = reciprocal_rank_fusion([dense, sparse])[:4]
    scored = retriever.similarity_search_with_score(QUESTION)
    assert [(found.metadata["number"], score) for found, score in scored] == expected
    assert await retriever.asimilarity_search_with_score(QUESTION) == scored
    assert retriever.invoke(QUESTION) == await retriever.ainvoke(QUESTION) == [found for found, _ in scored]
    assert numbers(retriever.invoke(QUESTION, k=2)) == [number for number, _ in expected[:2]]


async def test_depth_constant_and_weights() -> None:
    store = in_memory()
    retriever = OnnxHybridRetriever.from_documents(
        DOCUMENTS, store, k=3, fetch_k=2, rank_constant=1, weights=(0.25, 0.75), include_scores=True
    )
    dense = numbers(store.similarity_search(QUESTION, k=3))
    sparse = numbers(OnnxSparseRetriever.from_documents(DOCUMENTS, k=3).invoke(QUESTION))
    expected = reciprocal_rank_fusion([dense, sparse], weights=[0.25, 0.75], rank_constant=1)[:3]
    found = retriever.invoke(QUESTION)
    assert [(one.metadata["number"], one.metadata["relevance_score"]) for one in found] == expected
    assert numbers(
        OnnxHybridRetriever(vectorstore=store, sparse=retriever.sparse, weights=(0, 1)).invoke(QUESTION)
    ) == (numbers(OnnxSparseRetriever.from_documents(DOCUMENTS).invoke(QUESTION)))


async def test_in_qdrant() -> None:
    """The same by Qdrant's own query, by two of its searches, and beside memory."""
    store = hybrid_qdrant(DOCUMENTS)
    inside = OnnxHybridRetriever(vectorstore=store, k=5)
    beside = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory(), OnnxSparse(avg_len=5.0), k=5)
    expected = nearly(beside.similarity_search_with_score(QUESTION))
    for scored in (
        inside.similarity_search_with_score(QUESTION),
        await inside.asimilarity_search_with_score(QUESTION),
    ):
        assert told(scored) == expected
    twice = OnnxHybridRetriever(vectorstore=store, weights=(0.3, 0.7), k=5).similarity_search_with_score(QUESTION)
    alone = OnnxHybridRetriever(vectorstore=in_memory(), sparse=beside.sparse, weights=(0.3, 0.7), k=5)
    alone.vectorstore.add_documents(DOCUMENTS)
    assert told(twice) == told(alone.similarity_search_with_score(QUESTION))


def test_a_collection_is_made_with_the_mean_length_of_its_documents() -> None:
    client = QdrantClient(":memory:")
    retriever = OnnxHybridRetriever.in_qdrant(DOCUMENTS, embeddings(), client=client)
    beside = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory())
    assert retriever.vectorstore.sparse_embeddings.avg_len == beside.sparse.embedding.statistics.avg_len  # type: ignore[attr-defined]
    assert told(retriever.similarity_search_with_score(QUESTION)) == nearly(
        beside.similarity_search_with_score(QUESTION)
    )
    with pytest.raises(InputError, match="there is a collection 'hybrid' already"):
        OnnxHybridRetriever.in_qdrant(DOCUMENTS, embeddings(), client=client)
    given = OnnxSparse(avg_len=5.0)
    other = OnnxHybridRetriever.in_qdrant(DOCUMENTS, embeddings(), given, client=client, collection_name="other")
    assert other.vectorstore.sparse_embeddings is given  # type: ignore[attr-defined]


def test_qdrant_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = hybrid_qdrant(DOCUMENTS)
    asked: list[dict[str, Any]] = []
    query_points = QdrantClient.query_points

    def noted(self: QdrantClient, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return query_points(self, *args, **kwargs)

    monkeypatch.setattr(QdrantClient, "query_points", noted)
    OnnxHybridRetriever(vectorstore=store, k=3, fetch_k=40, rank_constant=20).invoke("wheels")
    (request,) = asked
    assert request["query"] == models.RrfQuery(rrf=models.Rrf(k=21))
    assert [one.limit for one in request["prefetch"]] == [40, 40]
    assert request["limit"] == 3


def test_fields_that_change_count() -> None:
    retriever = OnnxHybridRetriever(vectorstore=hybrid_qdrant(DOCUMENTS), k=6)
    before = retriever.similarity_search_with_score("yeast")
    retriever.rank_constant = 0
    after = retriever.similarity_search_with_score("yeast")
    assert after[0][1] > before[0][1]


@pytest.mark.parametrize("make", [*STORES, hybrid_qdrant])
async def test_filters_reach_both_sides(make: Callable[[], VectorStore]) -> None:
    retriever = OnnxHybridRetriever.from_documents(DOCUMENTS, make(), k=6)
    for found in (
        retriever.invoke("wheels violin", filter={"even": True}),
        await retriever.ainvoke("wheels violin", filter={"even": True}),
    ):
        assert sorted(numbers(found)) == [0, 2, 4]
    always = retriever.model_copy(update={"filter": {"number": 3}})
    assert numbers(always.invoke("wheels violin")) == [3]


def test_filters_of_the_store() -> None:
    by_function = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory(), k=6)
    assert sorted(numbers(by_function.invoke("wheels", filter=lambda one: one.metadata["number"] < 2))) == [0, 1]
    pair = ({"number": {"$lt": 2}}, lambda one: one.metadata["number"] < 2)
    in_chroma = OnnxHybridRetriever.from_documents(DOCUMENTS, chroma(), k=6)
    assert sorted(numbers(in_chroma.invoke("wheels", filter=pair))) == [0, 1]
    with pytest.raises(InputTypeError, match=r"filter has 'number': \{'\$lt': 2\}.*only compares metadata"):
        in_chroma.invoke("wheels", filter=pair[0])
    with pytest.raises(InputTypeError, match=r"filter has '\$and'"):
        in_chroma.invoke("wheels", filter={"$and": []})
    with pytest.raises(InputTypeError, match="filter is str, expected a mapping of metadata, a function"):
        in_chroma.invoke("wheels", filter="number")
    even = models.Filter(must=[models.FieldCondition(key="metadata.even", match=models.MatchValue(value=True))])
    in_qdrant = OnnxHybridRetriever(vectorstore=hybrid_qdrant(DOCUMENTS), k=6)
    assert sorted(numbers(in_qdrant.invoke("wheels", filter=even))) == [0, 2, 4]
    with pytest.raises(InputTypeError, match="filter is function, expected a mapping of metadata, or a qdrant_client"):
        in_qdrant.invoke("wheels", filter=lambda one: True)


@pytest.mark.parametrize("make", [*STORES, hybrid_qdrant])
async def test_documents_are_added_replaced_and_deleted_on_both_sides(make: Callable[[], VectorStore]) -> None:
    retriever = OnnxHybridRetriever.from_texts(["a zeppelin"], make(), metadatas=[{"number": 0}], k=1)
    name = str(uuid.UUID(int=7))
    ids = retriever.add_documents([Document("one airship", id=name, metadata={"number": 1})])
    assert [uuid.UUID(one) for one in ids] == [uuid.UUID(name)]
    await retriever.aadd_documents([Document("a balloon", id=name, metadata={"number": 2})])
    assert numbers(retriever.invoke("balloon")) == [2]
    assert 1 not in numbers(retriever.invoke("airship", k=5))
    retriever.delete([name])
    assert numbers(retriever.invoke("balloon", k=5)) == [0]
    added = await retriever.aadd_documents([Document("a kite", metadata={"number": 3})])
    await retriever.adelete(added)
    assert numbers(await retriever.ainvoke("kite", k=5)) == [0]
    assert retriever.add_documents([]) == []


class Backwards(BaseDocumentCompressor):
    """Turns a ranking around, and tells no scores."""

    read: list[int] = Field(default_factory=list)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        self.read.append(len(documents))
        return list(reversed(documents))


async def test_reranks_the_best_of_the_fused_ranking() -> None:
    plain = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory(), k=5)
    turned = plain.model_copy(update={"reranker": Backwards(), "rerank_k": 5, "k": 2})
    before = plain.similarity_search_with_score(QUESTION)
    assert turned.similarity_search_with_score(QUESTION) == before[::-1][:2]
    assert await turned.asimilarity_search_with_score(QUESTION) == before[::-1][:2]
    assert turned.reranker.read == [5, 5]  # type: ignore[union-attr]
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, top_n=None)
    reranked = plain.model_copy(update={"reranker": reranker, "k": 3})
    expected = reranker.compress_documents(
        [one for one, _ in plain.similarity_search_with_score(QUESTION, 6)], QUESTION
    )
    scored = await reranked.asimilarity_search_with_score(QUESTION)
    assert told(scored) == nearly([(one, one.metadata["relevance_score"]) for one in expected[:3]])
    assert [one for one, _ in scored] == reranked.invoke(QUESTION)


def test_callbacks_see_the_reranker_inside_the_retriever() -> None:
    class Heard(BaseCallbackHandler):
        def __init__(self) -> None:
            self.parents: list[Any] = []

        def on_chain_start(self, serialized: Any, inputs: Any, *, parent_run_id: Any = None, **kwargs: Any) -> None:
            self.parents.append(parent_run_id)

    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True)
    retriever = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory(), reranker=reranker)
    heard = Heard()
    retriever.invoke("wheels", config={"callbacks": [heard]})
    assert len(heard.parents) == 1
    assert heard.parents[0] is not None


class WithoutIds(InMemoryVectorStore):
    """A store whose documents tell no id."""

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [Document(one.page_content, metadata=one.metadata) for one in super().similarity_search(query, k)]


def test_documents_without_ids_are_known_by_metadata_or_refused() -> None:
    store = WithoutIds(embeddings())
    retriever = OnnxHybridRetriever.from_documents(DOCUMENTS, store, k=6)
    with pytest.raises(InputError, match=r"a document of the vector store has no id.*or pass id_key="):
        retriever.invoke("wheels")
    by_number = retriever.model_copy(update={"id_key": "number"})
    expected = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory(), k=6).invoke("wheels")
    assert numbers(by_number.invoke("wheels")) == numbers(expected)
    with pytest.raises(InputError, match="has no metadata 'name', which id_key= names"):
        retriever.model_copy(update={"id_key": "name"}).invoke("wheels")


def test_a_filled_store_and_a_sparse_side_beside_it() -> None:
    store = in_memory()
    store.add_documents(DOCUMENTS)
    retriever = OnnxHybridRetriever(vectorstore=store, sparse=OnnxSparseRetriever.from_documents(DOCUMENTS))
    expected = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory()).invoke(QUESTION)
    assert retriever.invoke(QUESTION) == expected


def test_pickles() -> None:
    retriever = OnnxHybridRetriever.from_documents(DOCUMENTS, in_memory())
    assert pickle.loads(pickle.dumps(retriever)).invoke(QUESTION) == retriever.invoke(QUESTION)


def test_what_cannot_be_both_sides_is_refused() -> None:
    sparse = OnnxSparseRetriever.from_documents(DOCUMENTS)
    with pytest.raises(InputError, match="InMemoryVectorStore holds no sparse vectors: pass sparse="):
        OnnxHybridRetriever(vectorstore=in_memory())
    with pytest.raises(InputError, match=r"needs retrieval_mode=RetrievalMode\.HYBRID"):
        OnnxHybridRetriever(vectorstore=qdrant())
    with pytest.raises(InputError, match="has sparse vectors of its own; leave sparse= and id_key= out"):
        OnnxHybridRetriever(vectorstore=hybrid_qdrant(), sparse=sparse)
    with pytest.raises(InputError, match="has a sparse model of its own; leave embedding= out"):
        OnnxHybridRetriever.from_documents(DOCUMENTS, hybrid_qdrant(), SparseTextEmbedding("Qdrant/bm25"))
    with pytest.raises(InputError, match=r"does not count IDF.*sparse_vector_params=sparse.sparse_vector_params\(\)"):
        OnnxHybridRetriever(vectorstore=hybrid_qdrant(DOCUMENTS, sparse_vector_params={}))
    with pytest.raises(InputTypeError, match="sparse is SparseTextEmbedding, expected an OnnxSparseRetriever"):
        OnnxHybridRetriever(vectorstore=in_memory(), sparse=SparseTextEmbedding("Qdrant/bm25"))
    filtering = OnnxSparseRetriever.from_documents(DOCUMENTS, filter={"number": 1})
    with pytest.raises(InputError, match="sparse has a filter of its own"):
        OnnxHybridRetriever(vectorstore=in_memory(), sparse=filtering)
    with pytest.raises(InputError, match=r"weights=\[0.0, 0.0\]: expected one above 0"):
        OnnxHybridRetriever(vectorstore=in_memory(), sparse=sparse, weights=(0, 0))
    with pytest.raises(InputError, match="fetch_k"):
        OnnxHybridRetriever(vectorstore=in_memory(), sparse=sparse, fetch_k=0)


def test_ids_that_qdrant_does_not_take_are_refused_before_a_collection_is_made() -> None:
    client = QdrantClient(":memory:")
    given = [Document("one text"), Document("another text", id="my-id")]
    with pytest.raises(InputError, match="the id 'my-id' is no UUID"):
        OnnxHybridRetriever.in_qdrant(given, embeddings(), client=client)
    assert not client.collection_exists("hybrid")

"""Dense and sparse retrieval fused through LlamaIndex, over any index and in Qdrant."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from langchain_onnxembed import OnnxEmbeddings
from langchain_onnxembed import OnnxHybridRetriever as LangChainRetriever
from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank
from llama_index.retrievers.onnxembed import OnnxHybridRetriever, OnnxSparseRetriever
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import SparseTextEmbedding
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

# Collections in memory take no payload indexes, which the store makes anyway.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")

QUESTION = "XR-7000 bread ingredients"
EVEN = MetadataFilters(filters=[MetadataFilter(key="even", value="yes")])


def nodes() -> list[BaseNode]:
    return [node(text, number) for number, text in enumerate(PASSAGES)]


def node(text: str, number: int, name: str | None = None) -> TextNode:
    return TextNode(
        text=text,
        id_=str(uuid.UUID(int=number)) if name is None else name,
        metadata={"n": number, "even": "no" if number % 2 else "yes"},
        excluded_embed_metadata_keys=["n", "even"],
    )


def in_memory(given: list[BaseNode] | None = None) -> VectorStoreIndex:
    return VectorStoreIndex(given or [], embed_model=OnnxEmbedding(model_name=REAL_MODEL))


def in_chroma(given: list[BaseNode] | None = None) -> VectorStoreIndex:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    client = chromadb.EphemeralClient(ChromaSettings(anonymized_telemetry=False, is_persistent=False))
    return over(ChromaVectorStore(client.create_collection(f"test-{uuid.uuid4()}")), given)


def in_qdrant(given: list[BaseNode] | None = None, **changed: Any) -> VectorStoreIndex:
    arguments = {**OnnxSparseEmbedding(avg_len=5.0).qdrant_kwargs(), **changed}
    return over(QdrantVectorStore("test", client=QdrantClient(":memory:"), **arguments), given)


def over(store: Any, given: list[BaseNode] | None = None) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex(given or [], storage_context=context, embed_model=OnnxEmbedding(model_name=REAL_MODEL))


def numbers(found: list[NodeWithScore]) -> list[int]:
    return [one.metadata["n"] for one in found]


def scored(found: list[NodeWithScore]) -> list[tuple[int, Any]]:
    return [(one.metadata["n"], pytest.approx(one.score)) for one in found]


def expected(k: int, **changed: Any) -> list[tuple[int, Any]]:
    """What LangChain's retriever finds with the same models."""
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(OnnxEmbeddings(model=REAL_MODEL))
    metadatas = [{"n": number} for number in range(len(PASSAGES))]
    model = SparseTextEmbedding("Qdrant/bm25", avg_len=5.0)
    made = LangChainRetriever.from_texts(PASSAGES, store, model, metadatas, k=k, **changed)
    return [(one.metadata["n"], pytest.approx(score)) for one, score in made.similarity_search_with_score(QUESTION)]


@pytest.mark.parametrize("changed", [{}, {"weights": (0.3, 0.7), "rank_constant": 2, "fetch_k": 3}])
@pytest.mark.parametrize("make", [in_memory, in_chroma, in_qdrant])
async def test_finds_what_langchains_finds(make: Callable[..., VectorStoreIndex], changed: dict[str, Any]) -> None:
    model = None if make is in_qdrant else SparseTextEmbedding("Qdrant/bm25", avg_len=5.0)
    retriever = OnnxHybridRetriever.from_nodes(nodes(), make(), model, similarity_top_k=3, **changed)
    assert [(one.metadata["n"], one.score) for one in retriever.retrieve(QUESTION)] == expected(3, **changed)
    if make is not in_chroma:  # that store has no asynchronous search
        assert [(one.metadata["n"], one.score) for one in await retriever.aretrieve(QUESTION)] == expected(3, **changed)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.2, 0.8)])
async def test_in_qdrant_by_the_asynchronous_client(weights: tuple[float, float]) -> None:
    aclient = AsyncQdrantClient(":memory:")
    store = QdrantVectorStore("test", aclient=aclient, **OnnxSparseEmbedding(avg_len=5.0).qdrant_kwargs())
    index = over(store)
    retriever = OnnxHybridRetriever(index, similarity_top_k=3, weights=weights)
    await retriever.aadd_nodes(nodes())
    found = await retriever.aretrieve(QUESTION)
    assert [(one.metadata["n"], one.score) for one in found] == expected(3, weights=weights)


def test_a_collection_is_made_with_the_mean_length_of_its_nodes() -> None:
    client = QdrantClient(":memory:")
    retriever = OnnxHybridRetriever.in_qdrant(nodes(), OnnxEmbedding(model_name=REAL_MODEL), client=client)
    beside = OnnxHybridRetriever.from_nodes(nodes(), in_memory())
    assert [(one.metadata["n"], one.score) for one in retriever.retrieve(QUESTION)] == scored(beside.retrieve(QUESTION))
    given = OnnxSparseEmbedding(avg_len=5.0)
    with pytest.raises(InputError, match="there is a collection 'hybrid' already"):
        OnnxHybridRetriever.in_qdrant(nodes(), OnnxEmbedding(model_name=REAL_MODEL), given, client)
    other = OnnxHybridRetriever.in_qdrant(
        nodes(), OnnxEmbedding(model_name=REAL_MODEL), given, client, collection_name="other", similarity_top_k=3
    )
    assert [(one.metadata["n"], one.score) for one in other.retrieve(QUESTION)] == expected(3)


def test_qdrant_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index = in_qdrant(nodes())
    asked: list[dict[str, Any]] = []
    query_points = QdrantClient.query_points

    def noted(self: QdrantClient, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return query_points(self, *args, **kwargs)

    monkeypatch.setattr(QdrantClient, "query_points", noted)
    OnnxHybridRetriever(index, similarity_top_k=2, fetch_k=40, rank_constant=20, filters=EVEN).retrieve("wheels")
    (request,) = asked
    assert request["query"] == models.RrfQuery(rrf=models.Rrf(k=21))
    assert [one.limit for one in request["prefetch"]] == [40, 40]
    assert all(one.filter is not None for one in request["prefetch"])
    assert request["limit"] == 2


@pytest.mark.parametrize("make", [in_memory, in_qdrant])
async def test_filters_reach_both_sides(make: Callable[..., VectorStoreIndex]) -> None:
    retriever = OnnxHybridRetriever.from_nodes(nodes(), make(), similarity_top_k=6, filters=EVEN)
    assert sorted(numbers(retriever.retrieve("wheels violin"))) == [0, 2, 4]
    assert sorted(numbers(await retriever.aretrieve("wheels violin"))) == [0, 2, 4]


def test_filters_with_operators_reach_both_sides() -> None:
    small = MetadataFilters(filters=[MetadataFilter(key="n", value=2, operator=FilterOperator.LT)])
    for make in (in_memory, in_qdrant):
        retriever = OnnxHybridRetriever.from_nodes(nodes(), make(), similarity_top_k=6, filters=small)
        assert sorted(numbers(retriever.retrieve("wheels violin"))) == [0, 1]


@pytest.mark.parametrize("make", [in_memory, in_chroma, in_qdrant])
async def test_nodes_are_added_replaced_and_deleted_on_both_sides(make: Callable[..., VectorStoreIndex]) -> None:
    retriever = OnnxHybridRetriever.from_nodes([node("a zeppelin", 0)], make(), similarity_top_k=5)
    name = str(uuid.UUID(int=7))
    retriever.add_nodes([node("one airship", 1, name)])
    retriever.add_nodes([node("a balloon", 2, name)])
    assert numbers(retriever.retrieve("balloon")) == [2, 0]
    assert sorted(numbers(retriever.retrieve("airship"))) == [0, 2]
    retriever.delete_nodes([name])
    assert numbers(retriever.retrieve("balloon")) == [0]


async def test_nodes_are_changed_without_blocking() -> None:
    retriever = OnnxHybridRetriever.from_nodes([node("a zeppelin", 0)], in_memory(), similarity_top_k=5)
    await retriever.aadd_nodes([node("an airship", 1)])
    await retriever.aadd_nodes([node("a balloon", 1)])
    assert numbers(await retriever.aretrieve("balloon")) == [1, 0]
    await retriever.adelete_nodes([str(uuid.UUID(int=1))])
    assert numbers(await retriever.aretrieve("balloon")) == [0]


async def test_reranks_the_best_of_the_fused_ranking() -> None:
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, top_n=None)
    index, sparse = in_memory(nodes()), OnnxSparseRetriever.from_nodes(nodes())
    plain = OnnxHybridRetriever(index, sparse, similarity_top_k=5).retrieve(QUESTION)
    retriever = OnnxHybridRetriever(index, sparse, similarity_top_k=2, reranker=reranker, rerank_k=5)
    wanted = scored(reranker.postprocess_nodes(plain, QueryBundle(QUESTION))[:2])
    assert [(one.metadata["n"], one.score) for one in retriever.retrieve(QUESTION)] == wanted
    assert [(one.metadata["n"], one.score) for one in await retriever.aretrieve(QUESTION)] == wanted


async def test_beside_any_retriever() -> None:
    index, sparse = in_memory(nodes()), OnnxSparseRetriever.from_nodes(nodes())
    by_index = OnnxHybridRetriever(index, sparse, similarity_top_k=4)
    by_retriever = OnnxHybridRetriever(index.as_retriever(similarity_top_k=100), sparse, similarity_top_k=4)
    assert scored(by_retriever.retrieve(QUESTION)) == scored(by_index.retrieve(QUESTION))
    engine = RetrieverQueryEngine.from_args(by_retriever, llm=MockLLM())
    assert numbers(engine.query(QUESTION).source_nodes) == numbers(by_index.retrieve(QUESTION))
    with pytest.raises(InputError, match=r"dense finds only 2 nodes, and fetch_k is 100: make it with as_retriever\("):
        OnnxHybridRetriever(index.as_retriever(), sparse)
    with pytest.raises(InputError, match="filters= cannot be handed to a VectorIndexRetriever; pass the index"):
        OnnxHybridRetriever(index.as_retriever(similarity_top_k=100), sparse, filters=EVEN)
    with pytest.raises(InputError, match="add_nodes needs an index, and dense is a VectorIndexRetriever"):
        by_retriever.add_nodes(nodes())


def test_queries_keep_the_bundle_that_they_are_given() -> None:
    index, sparse = in_memory(nodes()), OnnxSparseRetriever.from_nodes(nodes())
    query = QueryBundle(QUESTION)
    OnnxHybridRetriever(index, sparse).retrieve(query)
    assert query.embedding is None


def test_what_cannot_be_both_sides_is_refused() -> None:
    sparse = OnnxSparseRetriever.from_nodes(nodes())
    with pytest.raises(InputError, match="there are no sparse vectors: pass sparse="):
        OnnxHybridRetriever(in_memory())
    with pytest.raises(InputError, match="needs enable_hybrid=True"):
        OnnxHybridRetriever(over(QdrantVectorStore("test", client=QdrantClient(":memory:"))))
    with pytest.raises(InputError, match="has sparse vectors of its own; leave sparse= out"):
        OnnxHybridRetriever(in_qdrant(), sparse)
    with pytest.raises(InputError, match="has a sparse model of its own; leave embedding= out"):
        OnnxHybridRetriever.from_nodes(nodes(), in_qdrant(), SparseTextEmbedding("Qdrant/bm25"))
    without = OnnxHybridRetriever(in_qdrant(nodes(), sparse_config=models.SparseVectorParams()))
    with pytest.raises(InputError, match=r"does not count IDF.*\*\*sparse\.qdrant_kwargs\(\)"):
        without.retrieve("wheels")
    with pytest.raises(InputTypeError, match="dense is str, expected a VectorStoreIndex or a retriever"):
        OnnxHybridRetriever("index", sparse)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="sparse is SparseTextEmbedding, expected an OnnxSparseRetriever"):
        OnnxHybridRetriever(in_memory(), SparseTextEmbedding("Qdrant/bm25"))  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="reranker is str, expected a node postprocessor"):
        OnnxHybridRetriever(in_memory(), sparse, reranker="rerank")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="filters is dict, expected MetadataFilters"):
        OnnxHybridRetriever(in_memory(), sparse, filters={"n": 1})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sparse has filters of its own"):
        OnnxHybridRetriever(in_memory(), OnnxSparseRetriever(filters=EVEN))
    with pytest.raises(InputError, match="rank_constant must be >= 0"):
        OnnxHybridRetriever(in_memory(), sparse, rank_constant=-1)


def test_is_a_retriever_that_finds_nothing_where_there_is_nothing() -> None:
    retriever = OnnxHybridRetriever.from_nodes([], in_memory())
    assert isinstance(retriever, BaseRetriever)
    assert retriever.retrieve("wheels") == []
    assert retriever.sparse is not None


async def test_a_collection_without_nodes_finds_none() -> None:
    retriever = OnnxHybridRetriever.in_qdrant([], OnnxEmbedding(model_name=REAL_MODEL))
    assert retriever.retrieve("anything") == []
    assert await retriever.aretrieve("anything") == []
    retriever.add_nodes(nodes())
    assert retriever.retrieve("flour")


def test_ids_that_qdrant_does_not_take_are_refused_before_a_collection_is_made() -> None:
    client = QdrantClient(":memory:")
    with pytest.raises(InputError, match="the id 'my-id' is no UUID"):
        OnnxHybridRetriever.in_qdrant(
            [TextNode(text="one", id_="my-id")], OnnxEmbedding(model_name=REAL_MODEL), client=client
        )
    assert not client.collection_exists("hybrid")


async def test_an_empty_query_is_refused() -> None:
    retriever = OnnxHybridRetriever.from_nodes(nodes(), in_memory())
    with pytest.raises(InputError, match="the query is empty"):
        retriever.retrieve("")
    with pytest.raises(InputError, match="the query is empty"):
        await retriever.aretrieve("")

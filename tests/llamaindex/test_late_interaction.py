"""Retrieval by MaxSim over token vectors that Qdrant holds, through LlamaIndex."""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import IndexNode, NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMuveraEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank
from llama_index.retrievers.onnxembed import OnnxLateInteractionRetriever
from onnxembed import LateInteractionTextEmbedding, maxsim, maxsim_top_k
from onnxembed.adapters.qdrant import Collection
from onnxembed.adapters.qdrant_points import TOKENS
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.spies import spied
from tests.fixtures.text_models import REAL_MODEL

QUERIES = ["What is baked from flour?", "How many strings has a violin?", "bicycles", "hot water"]


@pytest.fixture(scope="module")
def core() -> LateInteractionTextEmbedding:
    return LateInteractionTextEmbedding(REAL_MODEL, dense=True)


def nodes() -> list[TextNode]:
    return [TextNode(text=text, id_=f"passage-{n}", metadata={}) for n, text in enumerate(PASSAGES)]


def stored_vectors(retriever: OnnxLateInteractionRetriever) -> dict[str, models.VectorParams]:
    assert retriever.client is not None
    vectors = retriever.client.get_collection("late-interaction").config.params.vectors
    assert isinstance(vectors, dict)
    return vectors


def texts(found: list[NodeWithScore]) -> list[str]:
    return [node.text for node in found]


def exact(core: LateInteractionTextEmbedding, query: str, k: int = 6) -> tuple[list[str], list[float]]:
    best, scores = maxsim_top_k(next(core.query_embed(query)), list(core.passage_embed(PASSAGES)), k)
    return [PASSAGES[n] for n in best], scores.tolist()


def dense() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=REAL_MODEL)


def make(
    core: LateInteractionTextEmbedding | OnnxLateInteractionRerank, **options: Any
) -> OnnxLateInteractionRetriever:
    return OnnxLateInteractionRetriever.from_nodes(nodes(), core, **options)


@pytest.mark.parametrize("query", QUERIES)
async def test_ranking_and_scores_are_those_of_exact_maxsim(core: LateInteractionTextEmbedding, query: str) -> None:
    retriever = make(core, similarity_top_k=6)
    expected, scores = exact(core, query)
    for found in (retriever.retrieve(query), await retriever.aretrieve(query)):
        assert texts(found) == expected
        assert [node.score for node in found] == pytest.approx(scores, abs=1e-4)
    retriever.similarity_top_k = 2
    assert texts(retriever.retrieve(query)) == expected[:2]


def test_vectors_of_other_lengths_are_not_scaled() -> None:
    model = LateInteractionTextEmbedding(REAL_MODEL, dense=True, normalize=False)
    retriever = make(model, similarity_top_k=6)
    assert retriever.client is not None
    (params,) = stored_vectors(retriever).values()
    assert (params.distance, params.size) == (models.Distance.DOT, 384)
    expected, scores = exact(model, QUERIES[0])
    found = retriever.retrieve(QUERIES[0])
    assert texts(found) == expected
    assert [node.score for node in found] == pytest.approx(scores, rel=1e-5)


async def test_with_an_asynchronous_client(core: LateInteractionTextEmbedding) -> None:
    muvera = OnnxMuveraEmbedding(model_name=REAL_MODEL, dense=True)
    for stage in (None, dense(), muvera):
        retriever = OnnxLateInteractionRetriever(core, aclient=AsyncQdrantClient(":memory:"), prefetch=stage)
        await asyncio.gather(retriever.aadd_nodes(nodes()[:3]), retriever.aadd_nodes(nodes()[3:]))
        for query in QUERIES:
            assert texts(await retriever.aretrieve(query)) == exact(core, query, 2)[0]
    with pytest.raises(InputError, match="a blocking call needs client=, only aclient= was given"):
        retriever.retrieve("violin")
    with pytest.raises(InputError, match="a blocking call needs client="):
        make(core, aclient=AsyncQdrantClient(":memory:"))
    missing = OnnxLateInteractionRetriever(core, aclient=AsyncQdrantClient(":memory:"))
    with pytest.raises(InputError, match="there is no collection 'late-interaction'; add nodes"):
        await missing.aretrieve("violin")


async def test_nodes_come_back_as_they_were_stored(core: LateInteractionTextEmbedding) -> None:
    given = TextNode(
        text="zeppelin",
        id_="any name",
        metadata={"a": {"b": [1]}},
        excluded_embed_metadata_keys=["a"],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="its document")},
    )
    index = IndexNode(text="an index of airships", index_id="airships")
    retriever = OnnxLateInteractionRetriever.from_nodes([given, index], core)
    found = {node.node_id: node.node for node in retriever.retrieve("zeppelin")}
    assert found == {given.node_id: given, index.node_id: index}
    assert isinstance(found[index.node_id], IndexNode)
    there = OnnxLateInteractionRetriever(core, retriever.client, object_map={"airships": given}, similarity_top_k=1)
    assert [node.node for node in await there.aretrieve("an index of airships")] == [given]


async def test_nodes_that_are_added_later_and_replaced(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_nodes(nodes()[:2], core, similarity_top_k=9)
    await retriever.aadd_nodes(nodes()[2:])
    assert texts(retriever.retrieve(QUERIES[0])) == exact(core, QUERIES[0])[0]
    retriever.add_nodes([TextNode(text="new", id_="passage-0")])
    assert sorted(texts(retriever.retrieve("anything"))) == sorted(["new", *PASSAGES[1:]])
    assert OnnxLateInteractionRetriever.from_nodes([], core).retrieve("violin") == []


def test_the_text_is_that_for_embeddings(core: LateInteractionTextEmbedding) -> None:
    node = TextNode(text="zeppelin", metadata={"kind": "airship"})
    (found,) = OnnxLateInteractionRetriever.from_nodes([node], core).retrieve("airship")
    vectors = list(core.passage_embed(["kind: airship\n\nzeppelin"]))
    assert found.score == pytest.approx(float(maxsim(next(core.query_embed("airship")), vectors)[0]), abs=1e-4)


async def test_the_first_stage_chooses_and_maxsim_sorts(core: LateInteractionTextEmbedding) -> None:
    retriever = make(core, prefetch=dense(), prefetch_k=2)
    for query in QUERIES:
        similar = np.array(dense().get_text_embedding_batch(PASSAGES)) @ np.array(dense().get_query_embedding(query))
        candidates = {PASSAGES[n] for n in np.argsort(-similar)[:2]}
        expected = [text for text in exact(core, query)[0] if text in candidates]
        assert texts(retriever.retrieve(query)) == texts(await retriever.aretrieve(query)) == expected
    assert retriever.client is not None
    vectors = stored_vectors(retriever)
    assert (vectors["first-stage"].size, vectors["first-stage"].distance) == (384, models.Distance.COSINE)
    graph = vectors[TOKENS].hnsw_config
    assert graph is not None
    assert graph.m == 0


async def test_any_embedding_serves_as_first_stage(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever(core, prefetch=MockEmbedding(embed_dim=7), similarity_top_k=6)
    await retriever.aadd_nodes(nodes())
    assert texts(await retriever.aretrieve(QUERIES[0])) == exact(core, QUERIES[0])[0]


async def test_muvera_as_first_stage_reads_each_text_once(
    core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    embed = LateInteractionTextEmbedding.passage_embed
    monkeypatch.setattr(
        LateInteractionTextEmbedding,
        "passage_embed",
        spied(embed, lambda model, texts, **options: read.extend(texts)),
    )
    muvera = OnnxMuveraEmbedding(model_name=REAL_MODEL, dense=True, k_sim=3, dim_proj=8)
    retriever = OnnxLateInteractionRetriever.from_nodes(
        nodes(), muvera, prefetch=muvera, prefetch_k=3, similarity_top_k=1
    )
    assert read == PASSAGES
    assert retriever.client is not None
    vectors = stored_vectors(retriever)
    assert vectors["first-stage"].distance is models.Distance.DOT
    for query in QUERIES:
        assert texts(retriever.retrieve(query)) == texts(await retriever.aretrieve(query)) == exact(core, query, 1)[0]
    asked: list[Any] = []
    ask = QdrantClient.query_points
    monkeypatch.setattr(QdrantClient, "query_points", spied(ask, lambda *a, **k: asked.append(k["prefetch"])))
    retriever.retrieve(QUERIES[0])
    assert (asked[0].query, asked[0].limit) == (muvera.get_query_embedding(QUERIES[0]), 3)
    read.clear()
    other = OnnxMuveraEmbedding(model_name=REAL_MODEL, dense=True, max_length=64)
    OnnxLateInteractionRetriever.from_nodes(nodes(), core, prefetch=other)
    assert read == PASSAGES * 2


async def test_queries_of_several_texts_add_their_scores_up(core: LateInteractionTextEmbedding) -> None:
    asked = QueryBundle("unused", custom_embedding_strs=QUERIES[:2])
    passages = list(core.passage_embed(PASSAGES))
    total = np.sum([maxsim(vectors, passages) for vectors in core.query_embed(QUERIES[:2])], axis=0)
    for retriever in (make(core, similarity_top_k=6), make(core, similarity_top_k=6, prefetch=dense())):
        for found in (retriever.retrieve(asked), await retriever.aretrieve(asked)):
            assert texts(found) == [PASSAGES[n] for n in np.argsort(-total)]
            assert [node.score for node in found] == pytest.approx(sorted(total.tolist(), reverse=True), abs=1e-4)


async def test_in_a_query_engine(core: LateInteractionTextEmbedding) -> None:
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, top_n=1)
    engine = RetrieverQueryEngine.from_args(make(reranker, similarity_top_k=3), llm=MockLLM())
    again = RetrieverQueryEngine.from_args(make(core), llm=MockLLM(), node_postprocessors=[reranker])
    for query in QUERIES:
        expected = exact(core, query, 3)[0]
        assert texts(engine.query(query).source_nodes) == expected
        assert texts((await engine.aquery(query)).source_nodes) == expected
        assert texts(again.query(query).source_nodes) == expected[:1]


async def test_many_windows_and_batches(core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.adapters.windows.WINDOW", 4)
    monkeypatch.setattr("onnxembed.adapters.qdrant_points.REQUEST_NUMBERS", 384 * 20)
    retriever = make(core, prefetch=dense())
    there = OnnxLateInteractionRetriever(core, aclient=AsyncQdrantClient(":memory:"), prefetch=dense())
    await there.aadd_nodes(nodes())
    assert (
        texts(retriever.retrieve(QUERIES[1]))
        == texts(await there.aretrieve(QUERIES[1]))
        == exact(core, QUERIES[1], 2)[0]
    )


async def test_odd_queries() -> None:
    bare = LateInteractionTextEmbedding(REAL_MODEL, dense=True, skip_special_tokens=True)
    retriever = OnnxLateInteractionRetriever.from_nodes([TextNode(text=""), *nodes()], bare, similarity_top_k=7)
    assert [node.score for node in retriever.retrieve("")] == [0.0] * 7
    assert len(await retriever.aretrieve("violin")) == 7


async def test_the_event_loop_stays_free(core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = make(core)
    ask, store = QdrantClient.query_points, QdrantClient.upsert
    monkeypatch.setattr(QdrantClient, "query_points", spied(ask, lambda *a, **k: time.sleep(0.2)))
    monkeypatch.setattr(QdrantClient, "upsert", spied(store, lambda *a, **k: time.sleep(0.2)))
    for work in (retriever.aretrieve("violin"), retriever.aadd_nodes(nodes())):
        task = asyncio.ensure_future(work)
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 8
        await task


def test_a_collection_that_is_there_already(core: LateInteractionTextEmbedding, tmp_path: Any) -> None:
    client = QdrantClient(path=str(tmp_path))
    make(core, client=client, collection_name="kept")
    again = OnnxLateInteractionRetriever(core, client, collection_name="kept")
    assert texts(again.retrieve(QUERIES[0])) == exact(core, QUERIES[0], 2)[0]
    client.create_collection("other", models.VectorParams(size=384, distance=models.Distance.DOT))
    with pytest.raises(InputError, match=r"'other' has 'late-interaction' as nothing, expected max_sim multivectors"):
        make(core, client=client, collection_name="other")
    with pytest.raises(InputError, match=r"'first-stage' as nothing, expected vectors of 384 numbers \(Cosine\)"):
        make(core, client=client, collection_name="kept", prefetch=dense())
    with pytest.raises(InputError, match="there is no collection 'missing'; add nodes"):
        OnnxLateInteractionRetriever(core, client, collection_name="missing").retrieve("violin")
    client.close()


def _slower(method: Callable[..., Any]) -> Callable[..., Any]:
    """A collection that another process makes between the question and the answer."""
    asked: list[str] = []

    def first_no(client: Any, name: str) -> Any:
        asked.append(name)
        return False if len(asked) == 1 else method(client, name)

    return first_no


async def test_another_process_may_make_the_collection(
    core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, aclient = QdrantClient(":memory:"), AsyncQdrantClient(":memory:")
    make(core, client=client)
    await OnnxLateInteractionRetriever(core, aclient=aclient).aadd_nodes(nodes()[:1])
    monkeypatch.setattr(QdrantClient, "collection_exists", _slower(QdrantClient.collection_exists))
    make(core, client=client)

    exists = AsyncQdrantClient.collection_exists
    monkeypatch.setattr(AsyncQdrantClient, "collection_exists", _slower_async(exists))
    retriever = OnnxLateInteractionRetriever(core, aclient=aclient)
    await retriever.aadd_nodes(nodes())
    assert texts(await retriever.aretrieve(QUERIES[0])) == exact(core, QUERIES[0], 2)[0]

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(QdrantClient, "create_collection", refuse)
    with pytest.raises(OSError, match="no space left"):
        make(core)
    monkeypatch.setattr(AsyncQdrantClient, "create_collection", refuse)
    with pytest.raises(OSError, match="no space left"):
        await OnnxLateInteractionRetriever(core, aclient=AsyncQdrantClient(":memory:")).aadd_nodes(nodes())


def _slower_async(method: Callable[..., Any]) -> Callable[..., Any]:
    asked: list[str] = []

    async def first_no(client: Any, name: str) -> Any:
        asked.append(name)
        return False if len(asked) == 1 else await method(client, name)

    return first_no


def test_pickles_with_its_nodes(core: LateInteractionTextEmbedding) -> None:
    retriever = make(core, prefetch=dense())
    again = pickle.loads(pickle.dumps(retriever))
    assert texts(again.retrieve(QUERIES[1])) == texts(retriever.retrieve(QUERIES[1])) == exact(core, QUERIES[1], 2)[0]


def test_a_server_is_not_held_up() -> None:
    from contextlib import nullcontext

    remote = QdrantClient(url="http://127.0.0.1:9", check_compatibility=False)
    assert isinstance(Collection(remote, "any").guard(), nullcontext)
    assert not isinstance(Collection(QdrantClient(":memory:"), "any").guard(), nullcontext)


def test_bad_input(core: LateInteractionTextEmbedding) -> None:
    assert BaseRetriever in OnnxLateInteractionRetriever.__mro__
    many = OnnxLateInteractionRetriever.from_nodes
    with pytest.raises(InputTypeError, match="nodes is str, expected a list of nodes"):
        many("text", core)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"node 1 is str, expected a node, such as TextNode\(text=...\)"):
        many([*nodes()[:1], "text"], core)  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match="embedding is OnnxEmbedding, expected a LateInteractionTextEmbedding"):
        many([], dense())  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="prefetch is LateInteractionTextEmbedding, expected a BaseEmbedding"):
        many([], core, prefetch=core)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="client is AsyncQdrantClient, expected a QdrantClient"):
        many([], core, AsyncQdrantClient(":memory:"))  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="aclient is QdrantClient, expected an AsyncQdrantClient"):
        many([], core, aclient=QdrantClient(":memory:"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="similarity_top_k=0: expected 1 or more"):
        many([], core, similarity_top_k=0)
    with pytest.raises(InputTypeError, match="prefetch_k is float, expected an integer"):
        many([], core, prefetch_k=2.5)  # type: ignore[arg-type]


def test_without_the_qdrant_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("llama_index.retrievers.onnxembed.base", "onnxembed.adapters.qdrant"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(ImportError, match=r'pip install "llama-index-onnxembed\[qdrant\]"'):
        import llama_index.retrievers.onnxembed.base  # noqa: F401

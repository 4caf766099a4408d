"""Retrieval by MaxSim over token vectors that Qdrant holds."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import time
import uuid
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from langchain_onnxembed import (
    OnnxEmbeddings,
    OnnxLateInteractionRerank,
    OnnxLateInteractionRetriever,
    OnnxMuveraEmbeddings,
)
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


def documents() -> list[Document]:
    return [Document(text, id=f"passage-{n}", metadata={"n": n, "deep": {"n": [n]}}) for n, text in enumerate(PASSAGES)]


def numbers(found: list[Document]) -> list[int]:
    return [document.metadata["n"] for document in found]


def exact(core: LateInteractionTextEmbedding, query: str, k: int = 6) -> list[int]:
    best, _ = maxsim_top_k(next(core.query_embed(query)), list(core.passage_embed(PASSAGES)), k)
    return [int(n) for n in best]


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return OnnxLateInteractionRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        model = LateInteractionTextEmbedding(REAL_MODEL, dense=True)
        return {"embedding": model, "client": OnnxLateInteractionRetriever.from_documents(documents(), model).client}

    @property
    def retriever_query_example(self) -> str:
        return QUERIES[0]


@pytest.mark.parametrize("query", QUERIES)
async def test_ranking_is_that_of_exact_maxsim(core: LateInteractionTextEmbedding, query: str) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, k=6)
    assert numbers(retriever.invoke(query)) == exact(core, query)
    assert numbers(await retriever.ainvoke(query)) == exact(core, query)
    assert (
        numbers(retriever.invoke(query, k=2)) == numbers(await retriever.ainvoke(query, k=2)) == exact(core, query, 2)
    )


@pytest.mark.parametrize("normalize", [None, False])
def test_scores_are_the_cores(normalize: bool | None) -> None:
    model = LateInteractionTextEmbedding(REAL_MODEL, dense=True, normalize=normalize)
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), model)
    query = next(model.query_embed(QUERIES[0]))
    (params,) = retriever.client.get_collection("late-interaction").config.params.vectors.values()
    assert (params.distance, params.size) == (models.Distance.DOT, 384)
    assert params.multivector_config.comparator is models.MultiVectorComparator.MAX_SIM
    points = retriever.client.query_points("late-interaction", query=query.tolist(), using=TOKENS).points
    scores = {point.payload["metadata"]["n"]: point.score for point in points}
    expected = maxsim(query, list(model.passage_embed(PASSAGES)))
    assert [scores[n] for n in range(6)] == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-4)


def test_documents_come_back_as_they_were_stored(core: LateInteractionTextEmbedding) -> None:
    given = documents()
    given[0].id = str(uuid.uuid4())
    given[1].id = None
    retriever = OnnxLateInteractionRetriever.from_documents(given, core, k=6)
    assert sorted(retriever.invoke("anything"), key=lambda one: one.metadata["n"]) == given
    retriever.invoke(QUERIES[0], k=1)[0].metadata["n"] = "changed"
    assert numbers(retriever.invoke(QUERIES[0], k=1)) == [1]


def test_the_same_id_replaces_and_no_id_adds(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, k=9)
    retriever.add_documents([Document("The violin is new.", id="passage-3", metadata={"n": 30})])
    assert sorted(numbers(retriever.invoke("violin"))) == [0, 1, 2, 4, 5, 30]
    retriever.add_documents([Document("a bow", metadata={"n": 40})] * 2)
    assert sorted(numbers(retriever.invoke("violin"))) == [0, 1, 2, 4, 5, 30, 40, 40]
    given = str(uuid.uuid4())
    retriever.add_documents([Document("by its own id", id=given)])
    (point,) = retriever.client.retrieve("late-interaction", [given])
    assert point.payload["page_content"] == "by its own id"


async def test_documents_that_are_added_later(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_texts(PASSAGES[:2], core, [{"n": 0}, {"n": 1}], k=6)
    retriever.add_documents(documents()[2:4])
    await retriever.aadd_documents(documents()[4:])
    assert numbers(retriever.invoke(QUERIES[0])) == exact(core, QUERIES[0])


async def test_many_windows_and_batches(core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.adapters.windows.WINDOW", 4)
    monkeypatch.setattr("onnxembed.adapters.qdrant_points.REQUEST_NUMBERS", 384 * 20)
    sizes: list[int] = []
    upsert = QdrantClient.upsert
    monkeypatch.setattr(QdrantClient, "upsert", spied(upsert, lambda *given: sizes.append(len(given[2]))))
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, prefetch=dense(), k=6)
    assert len(sizes) > 3
    assert sum(sizes) == 6
    there = OnnxLateInteractionRetriever(embedding=core, prefetch=dense(), k=6)
    await there.aadd_documents(documents())
    assert numbers(retriever.invoke(QUERIES[1])) == numbers(there.invoke(QUERIES[1])) == exact(core, QUERIES[1])


def dense(**options: Any) -> OnnxEmbeddings:
    return OnnxEmbeddings(model=REAL_MODEL, **options)


async def test_the_first_stage_chooses_and_maxsim_sorts(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, prefetch=dense(), prefetch_k=2, k=2)
    for query in QUERIES:
        similar = np.array(dense().embed_documents(PASSAGES)) @ np.array(dense().embed_query(query))
        candidates = set(np.argsort(-similar)[:2].tolist())
        expected = [n for n in exact(core, query) if n in candidates]
        assert numbers(retriever.invoke(query)) == numbers(await retriever.ainvoke(query)) == expected
    assert len(retriever.invoke(QUERIES[0], k=5)) == 5  # as many candidates as asked for, at least
    vectors = retriever.client.get_collection("late-interaction").config.params.vectors
    assert (vectors["first-stage"].size, vectors["first-stage"].distance) == (384, models.Distance.COSINE)
    assert vectors[TOKENS].hnsw_config.m == 0


async def test_any_embeddings_serve_as_first_stage(core: LateInteractionTextEmbedding) -> None:
    fake = DeterministicFakeEmbedding(size=7)
    retriever = OnnxLateInteractionRetriever(embedding=core, prefetch=fake, prefetch_k=1, k=1)
    await retriever.aadd_documents(documents())
    vectors = retriever.client.get_collection("late-interaction").config.params.vectors
    assert vectors["first-stage"].size == 7
    for text in PASSAGES:  # its vectors of equal texts are equal, and of others random
        assert [one.page_content for one in await retriever.ainvoke(text)] == [text]


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
    muvera = OnnxMuveraEmbeddings(model=REAL_MODEL, dense=True, k_sim=3, dim_proj=8)
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), muvera, prefetch=muvera, prefetch_k=3, k=1)
    assert read == PASSAGES
    (point,) = retriever.client.query_points("late-interaction", limit=1, with_vectors=True).points
    vectors = retriever.client.get_collection("late-interaction").config.params.vectors
    assert vectors["first-stage"].distance is models.Distance.DOT
    text = point.payload["page_content"]
    assert point.vector["first-stage"] == pytest.approx(muvera.embed_documents([text])[0], abs=1e-6)
    for query in QUERIES:
        assert numbers(retriever.invoke(query)) == numbers(await retriever.ainvoke(query)) == exact(core, query, 1)
    asked: list[Any] = []
    ask = QdrantClient.query_points
    monkeypatch.setattr(QdrantClient, "query_points", spied(ask, lambda *a, **k: asked.append(k["prefetch"])))
    retriever.invoke(QUERIES[0])
    assert (asked[0].query, asked[0].limit) == (muvera.embed_query(QUERIES[0]), 3)
    read.clear()
    other = OnnxMuveraEmbeddings(model=REAL_MODEL, dense=True, max_length=64)
    OnnxLateInteractionRetriever.from_documents(documents(), core, prefetch=other)
    assert read == PASSAGES * 2


def test_adapters_lend_their_model(core: LateInteractionTextEmbedding) -> None:
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True)
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), reranker, k=6)
    assert retriever.embedding is reranker.engine
    expected = [place["index"] for place in reranker.rerank(PASSAGES, QUERIES[0], top_n=6)]
    assert numbers(retriever.invoke(QUERIES[0])) == expected


async def test_texts_without_vectors_and_no_texts(core: LateInteractionTextEmbedding) -> None:
    bare = LateInteractionTextEmbedding(REAL_MODEL, dense=True, skip_special_tokens=True)
    retriever = OnnxLateInteractionRetriever.from_texts(["", *PASSAGES], bare, k=7)
    assert len(retriever.invoke("")) == 7
    assert [one.page_content for one in retriever.invoke("violin", k=1)] == [PASSAGES[3]]
    nothing = OnnxLateInteractionRetriever.from_texts([], core)
    assert nothing.invoke("violin") == await nothing.ainvoke("violin") == []


async def test_the_event_loop_stays_free(core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core)
    ask, store = QdrantClient.query_points, QdrantClient.upsert
    monkeypatch.setattr(QdrantClient, "query_points", spied(ask, lambda *a, **k: time.sleep(0.2)))
    monkeypatch.setattr(QdrantClient, "upsert", spied(store, lambda *a, **k: time.sleep(0.2)))
    for work in (retriever.ainvoke("violin"), retriever.aadd_documents(documents())):
        task = asyncio.ensure_future(work)
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 8
        await task


async def test_writers_and_readers_at_once(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, k=1)
    writers = [retriever.aadd_documents([Document(f"number {n}", metadata={"n": 100 + n})]) for n in range(20)]
    readers = asyncio.gather(*(retriever.ainvoke(QUERIES[1]) for _ in range(20)))
    found, _ = await asyncio.gather(readers, asyncio.gather(*writers))
    assert [numbers(one) for one in found] == [[3]] * 20
    assert retriever.client.count("late-interaction").count == 26


async def test_a_collection_that_is_there_already(core: LateInteractionTextEmbedding, tmp_path: Any) -> None:
    client = QdrantClient(path=str(tmp_path))
    OnnxLateInteractionRetriever.from_documents(documents(), core, client=client, collection_name="kept")
    again = OnnxLateInteractionRetriever(embedding=core, client=client, collection_name="kept", k=6)
    assert numbers(again.invoke(QUERIES[0])) == numbers(await again.ainvoke(QUERIES[0])) == exact(core, QUERIES[0])
    client.close()


def test_a_collection_of_another_layout_is_refused(core: LateInteractionTextEmbedding) -> None:
    client = QdrantClient(":memory:")
    wrong = models.VectorParams(size=384, distance=models.Distance.DOT)
    client.create_collection("unnamed", wrong)
    client.create_collection("single", {TOKENS: wrong})
    for name, has in (("unnamed", "nothing"), ("single", r"vectors of 384 numbers \(Dot\)")):
        retriever = OnnxLateInteractionRetriever(embedding=core, client=client, collection_name=name)
        expected = rf"'{name}' has 'late-interaction' as {has}, expected max_sim multivectors of 384 numbers \(Dot\)"
        with pytest.raises(InputError, match=expected):
            retriever.invoke("violin")
        with pytest.raises(InputError, match=expected):
            retriever.add_documents(documents())
    make = OnnxLateInteractionRetriever.from_documents
    make(documents(), core, client=client, collection_name="plain")
    with pytest.raises(InputError, match=r"'first-stage' as nothing"):
        make([], core, client=client, collection_name="plain", prefetch=dense())


def test_another_process_may_make_the_collection(
    core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = QdrantClient(":memory:")
    OnnxLateInteractionRetriever.from_documents(documents()[:3], core, client=client)
    exists, asked = QdrantClient.collection_exists, []

    def first_no(client: QdrantClient, name: str) -> bool:
        asked.append(name)
        return len(asked) > 1 and exists(client, name)

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(QdrantClient, "collection_exists", first_no)
    retriever = OnnxLateInteractionRetriever.from_documents(documents()[3:], core, client=client)
    assert numbers(retriever.invoke(QUERIES[0], k=6)) == exact(core, QUERIES[0])
    monkeypatch.setattr(QdrantClient, "create_collection", refuse)
    with pytest.raises(OSError, match="no space left"):
        OnnxLateInteractionRetriever.from_documents(documents(), core)


def test_pickles_with_its_documents(core: LateInteractionTextEmbedding) -> None:
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, prefetch=dense(), k=3)
    again = pickle.loads(pickle.dumps(retriever))
    assert numbers(again.invoke(QUERIES[1])) == numbers(retriever.invoke(QUERIES[1])) == exact(core, QUERIES[1], 3)
    empty = pickle.loads(pickle.dumps(OnnxLateInteractionRetriever(embedding=core)))
    empty.add_documents(documents())
    assert numbers(empty.invoke(QUERIES[1], k=1)) == [3]


async def test_bad_input(core: LateInteractionTextEmbedding) -> None:
    make = OnnxLateInteractionRetriever.from_texts
    with pytest.raises(InputTypeError, match=r"from_documents was given a str, expected a list of Document"):
        OnnxLateInteractionRetriever.from_documents("text", core)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"document 1 is a str, expected a Document; use from_texts"):
        OnnxLateInteractionRetriever.from_documents([documents()[0], "text"], core)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"2 texts and 1 metadatas; pass one for each text"):
        make(["a", "b"], core, [{}])
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make(["a"], core, k=0)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make(["a"], core, prefetch_k=0)
    with pytest.raises(InputTypeError, match=r"embedding is OnnxEmbeddings, expected a LateInteractionTextEmbedding"):
        make(["a"], dense())  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"client is AsyncQdrantClient, expected a QdrantClient"):
        make(["a"], core, client=AsyncQdrantClient(":memory:"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="instance of Embeddings"):
        make(["a"], core, prefetch=core)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_k"):
        OnnxLateInteractionRetriever(embedding=core, top_k=3)  # type: ignore[call-arg]  # a wrong name, on purpose
    retriever = make(["a"], core)
    with pytest.raises(InputError, match="k=0: expected 1 or more"):
        retriever.invoke("a", k=0)
    with pytest.raises(InputError, match="k=-1: expected 1 or more"):
        await retriever.ainvoke("a", k=-1)
    with pytest.raises(InputTypeError, match="text 0 is an int"):
        retriever.invoke(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there is no collection 'late-interaction'; add documents"):
        OnnxLateInteractionRetriever(embedding=core).invoke("a")


def test_without_the_qdrant_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnxembed.adapters.qdrant", "langchain_onnxembed.late_interaction"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(ImportError, match=r'pip install "langchain-onnxembed\[qdrant\]"'):
        import langchain_onnxembed.late_interaction  # noqa: F401


def test_a_server_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    remote = QdrantClient(url="http://127.0.0.1:9", check_compatibility=False)
    assert isinstance(Collection(remote, "any").guard(), nullcontext)
    assert not isinstance(Collection(QdrantClient(":memory:"), "any").guard(), nullcontext)


def test_muvera_alone_needs_no_qdrant() -> None:
    code = "from langchain_onnxembed import OnnxMuveraEmbeddings as M; M()\nimport sys\n"
    code += "print(sorted(set(sys.modules) & {'qdrant_client', 'langchain_qdrant', 'onnxruntime'}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("prefetch", [False, True])
async def test_scores_filters_and_deletion(core: LateInteractionTextEmbedding, prefetch: bool) -> None:
    first = OnnxMuveraEmbeddings(model=REAL_MODEL, dense=True) if prefetch else None
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core, k=3, prefetch=first)
    scored = retriever.similarity_search_with_score(QUERIES[0])
    there = await retriever.asimilarity_search_with_score(QUERIES[0])
    assert [document for document, _ in scored] == [document for document, _ in there] == retriever.invoke(QUERIES[0])
    scores = maxsim(next(core.query_embed(QUERIES[0])), list(core.passage_embed(PASSAGES)))
    expected = [scores[n] for n in numbers([document for document, _ in scored])]
    assert [score for _, score in scored] == pytest.approx(expected, rel=1e-5, abs=1e-4)
    assert numbers(retriever.invoke(QUERIES[0], filter={"n": 3})) == [3]
    few = models.Filter(must_not=[models.FieldCondition(key="metadata.n", match=models.MatchAny(any=[0, 1, 2, 3]))])
    assert sorted(numbers(await retriever.ainvoke(QUERIES[0], filter=few))) == [4, 5]
    retriever.filter, retriever.include_scores = {"n": 2}, True
    (only,) = retriever.invoke(QUERIES[0])
    assert only.metadata == {
        "n": 2,
        "deep": {"n": [2]},
        "relevance_score": pytest.approx(scores[2], rel=1e-5, abs=1e-4),
    }
    assert numbers(retriever.invoke(QUERIES[0], filter={"n": 1})) == [1]
    retriever.filter = None
    retriever.delete(["passage-1", "unknown"])
    (new,) = retriever.add_documents([Document("bread and flour", metadata={"n": 10})])
    assert 1 not in numbers(retriever.invoke(QUERIES[0]))
    assert retriever.invoke(QUERIES[0])[0].metadata["n"] == 10
    await retriever.adelete([new])
    assert not {1, 10} & set(numbers(retriever.invoke(QUERIES[0], k=9)))
    with pytest.raises(InputTypeError, match=r"filter is str, expected a mapping of metadata, or a qdrant_client"):
        retriever.invoke("a", filter="n")
    with pytest.raises(InputTypeError, match=r"metadata.n is list, expected a string, a number or a truth value"):
        retriever.invoke("a", filter={"n": [1]})


async def test_more_than_qdrant_takes_is_refused_before_anything_is_sent(
    core: LateInteractionTextEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    retriever = OnnxLateInteractionRetriever.from_documents(documents(), core)
    monkeypatch.setattr(QdrantClient, "upsert", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr("onnxembed.adapters.two_stages.POINT_NUMBERS", 384 * 60)
    monkeypatch.setattr("onnxembed.adapters.qdrant_points.POINT_NUMBERS", 384 * 60)
    many = [*documents(), Document("word " * 70)]
    with pytest.raises(
        InputError, match=r"document 6 has 72 token vectors of 384 numbers, 27,648 in all; Qdrant takes"
    ):
        retriever.add_documents(many)
    with pytest.raises(InputError, match=r"document 6 has 72 token vectors"):
        await retriever.aadd_documents(many)
    assert sent == []

"""Rerankers through LangChain: order, scores, copies, callbacks, and their place in a retriever."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker, DocumentCompressorPipeline
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_onnxembed import OnnxCrossEncoder, OnnxEmbeddings, OnnxLateInteractionRerank, OnnxRerank
from onnxembed import LateInteractionTextEmbedding, TextCrossEncoder
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.spies import spied
from tests.fixtures.text_models import REAL_MODEL, small_cross_encoder

QUERY = "What is baked from flour?"
OWN = {"batch_size", "parallel", "top_n", "score_threshold"}
RENAMED = {"cuda": "device", "specific_model_path": "model_path"}

Make = Callable[..., OnnxRerank | OnnxLateInteractionRerank]


def cross_encoder(**options: Any) -> OnnxRerank:
    return OnnxRerank(model=small_cross_encoder(), **options)


def late_interaction(**options: Any) -> OnnxLateInteractionRerank:
    return OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, **options)


@pytest.fixture(params=[cross_encoder, late_interaction], ids=["cross-encoder", "late interaction"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def documents() -> list[Document]:
    return [Document(text, id=str(n), metadata={"n": n, "relevance_score": "old"}) for n, text in enumerate(PASSAGES)]


def scores(kept: Any) -> list[float]:
    return [document.metadata["relevance_score"] for document in kept]


@pytest.mark.parametrize(
    ("adapter", "core", "own"),
    [
        (OnnxRerank, TextCrossEncoder, OWN),
        (OnnxLateInteractionRerank, LateInteractionTextEmbedding, OWN | {"normalize_scores"}),
        (OnnxCrossEncoder, TextCrossEncoder, OWN - {"top_n", "score_threshold"}),
    ],
)
def test_fields_are_the_cores_options(adapter: Any, core: Any, own: set[str]) -> None:
    options = set(inspect.signature(core.__init__).parameters) - {"self"}
    assert set(adapter.model_fields) == {RENAMED.get(name, name) for name in options} | own


def test_scores_are_the_cores_best_first(make: Make) -> None:
    reranker = make(top_n=None)
    kept = reranker.compress_documents(documents(), QUERY)
    expected = reranker.engine.rank(QUERY, PASSAGES)
    assert [document.metadata["n"] for document in kept] == [place.index for place in expected]
    assert scores(kept) == [place.score for place in expected] == sorted(scores(kept), reverse=True)
    assert {type(score) for score in scores(kept)} == {float}


def test_a_real_model_finds_the_answer() -> None:
    kept = late_interaction(top_n=1).compress_documents(documents(), QUERY)
    assert [document.page_content for document in kept] == [PASSAGES[1]]


def test_documents_stay_and_copies_keep_what_they_had(make: Make) -> None:
    given = documents()
    kept = make(top_n=2).compress_documents(given, QUERY)
    assert given == documents()
    for document in kept:
        (original,) = [one for one in given if one.id == document.id]
        assert document is not original
        assert {**document.metadata, "relevance_score": "old"} == original.metadata
        assert list(document.metadata)[-1] == "relevance_score"


def test_threshold_before_number(make: Make) -> None:
    ranking = make(top_n=None).rerank(PASSAGES, QUERY)
    border = ranking[2]["relevance_score"]
    kept = make(top_n=2, score_threshold=border).rerank(PASSAGES, QUERY)
    assert kept == ranking[:2]
    assert make(top_n=None, score_threshold=border).rerank(PASSAGES, QUERY) == ranking[:3]
    assert make(top_n=99).rerank(PASSAGES, QUERY) == ranking
    assert make(top_n=3).rerank(PASSAGES, QUERY, top_n=1) == ranking[:1]


def test_equal_texts_keep_their_order_and_nothing_gives_nothing(make: Make) -> None:
    assert [place["index"] for place in make().rerank(["same", "same", "same"], QUERY)] == [0, 1, 2]
    reranker = make()
    assert reranker.compress_documents([], QUERY) == []
    assert reranker.rerank([], QUERY) == []
    assert len(reranker.rerank(["", "a"], QUERY)) == 2


def test_many_queries_at_once(make: Make) -> None:
    queries = [QUERY, "How many strings has a violin?"]
    lists: list[list[str | Document]] = [list(PASSAGES), list(documents()[2:])]
    reranker = make()
    together = reranker.rerank_batch(queries, lists)
    for query, one, ranking in zip(queries, lists, together, strict=True):
        alone = reranker.rerank(one, query)
        assert [place["index"] for place in ranking] == [place["index"] for place in alone]
        assert [p["relevance_score"] for p in ranking] == pytest.approx([p["relevance_score"] for p in alone], abs=1e-5)


async def test_async_is_the_same_and_leaves_the_loop_free(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = make()
    expected = reranker.compress_documents(documents(), QUERY)
    assert await reranker.acompress_documents(documents(), QUERY) == expected
    assert await reranker.arerank(documents(), QUERY) == reranker.rerank(documents(), QUERY)
    import time

    core = type(reranker.engine)
    monkeypatch.setattr(core, "rank_many", spied(core.rank_many, lambda *given, **named: time.sleep(0.3)))
    task = asyncio.create_task(reranker.acompress_documents(documents(), QUERY))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10
    assert await task == expected


class Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.events.append(("start", inputs))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.events.append(("end", outputs["scores"]))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("error", str(error)))


class AsyncHeard(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.events.append("start")

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.events.append("end")

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append("error")


async def test_callbacks_are_told_of_one_run(make: Make) -> None:
    heard, reranker = Heard(), make()
    kept = reranker.compress_documents(documents(), QUERY, callbacks=[heard])
    start = {"query": QUERY, "document_count": 6, "model": reranker.model, "top_n": 3}
    assert heard.events == [("start", start), ("end", scores(kept))]
    with pytest.raises(InputError):
        reranker.compress_documents(documents(), "\ud800", callbacks=[heard])
    assert [name for name, _ in heard.events] == ["start", "end", "start", "error"]
    later = AsyncHeard()
    await reranker.acompress_documents(documents(), QUERY, callbacks=[later])
    with pytest.raises(InputError):
        await reranker.acompress_documents(documents(), "\ud800", callbacks=[later])
    assert later.events == ["start", "end", "start", "error"]


async def test_in_a_retriever(make: Make) -> None:
    store = InMemoryVectorStore(OnnxEmbeddings(model=REAL_MODEL))
    store.add_documents(documents())
    reranker = make(top_n=2)
    assert isinstance(reranker, BaseDocumentCompressor)
    retriever = ContextualCompressionRetriever(
        base_compressor=DocumentCompressorPipeline(transformers=[reranker]),
        base_retriever=store.as_retriever(search_kwargs={"k": 6}),
    )
    expected = [place["index"] for place in reranker.rerank(PASSAGES, QUERY)]
    assert [document.metadata["n"] for document in retriever.invoke(QUERY)] == expected
    assert [document.metadata["n"] for document in await retriever.ainvoke(QUERY)] == expected


async def test_cross_encoder_scores_pairs() -> None:
    model = OnnxCrossEncoder(model=small_cross_encoder(), activation="sigmoid")
    pairs = [(QUERY, text) for text in PASSAGES]
    expected = list(model.engine.rerank_pairs(pairs))
    assert model.score(pairs) == await model.ascore(pairs) == expected
    assert model.score([list(pair) for pair in pairs]) == expected  # type: ignore[misc]
    assert {type(score) for score in expected} == {float}
    assert all(0 < score < 1 for score in expected)
    assert model.score([]) == []
    best = CrossEncoderReranker(model=model, top_n=2).compress_documents(documents(), QUERY)
    assert [document.metadata["n"] for document in best] == sorted(range(6), key=lambda n: -expected[n])[:2]


def test_copies_pickles_and_engines(make: Make) -> None:
    reranker = make(top_n=2)
    assert copy.deepcopy(reranker).engine is reranker.engine
    data = pickle.dumps(reranker)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again == reranker
    assert again.rerank(PASSAGES, QUERY) == reranker.rerank(PASSAGES, QUERY)
    shared = type(reranker).from_engine(reranker.engine)
    assert shared.engine is reranker.engine


def test_an_exported_folder_keeps_the_options_that_it_was_exported_with(tmp_path: Path) -> None:
    model = TextCrossEncoder(small_cross_encoder(), activation="sigmoid", window_overlap=5)
    reranker = OnnxRerank(model=str(model.export(tmp_path / "exported")))
    assert (reranker.engine.options["activation"], reranker.engine.options["window_overlap"]) == ("sigmoid", 5)
    assert reranker.rerank(PASSAGES, QUERY) == OnnxRerank.from_engine(model).rerank(PASSAGES, QUERY)
    again = pickle.loads(pickle.dumps(OnnxRerank.from_engine(model)))
    assert again.rerank(PASSAGES, QUERY) == reranker.rerank(PASSAGES, QUERY)


def test_a_field_that_is_given_its_usual_value_holds_against_a_folder(tmp_path: Path) -> None:
    model = TextCrossEncoder(small_cross_encoder(), activation="sigmoid", truncate=False)
    folder = str(model.export(tmp_path / "exported"))
    raw = OnnxRerank(model=folder, activation="raw", truncate=True)
    assert (raw.engine.options["activation"], raw.engine.options["truncate"]) == ("raw", True)
    left = OnnxRerank(model=folder)
    for same in (OnnxRerank(**left.model_dump()), pickle.loads(pickle.dumps(left)), left.model_copy()):
        assert (same.engine.options["activation"], same.engine.options["truncate"]) == ("sigmoid", False)
    again = OnnxRerank(**raw.model_dump())
    texts = ["flour", "water"]
    assert again.rerank(texts, "bread") == raw.rerank(texts, "bread") != left.rerank(texts, "bread")


def test_normalized_scores_are_divided_by_the_vectors_of_the_query() -> None:
    plain, divided = late_interaction(), late_interaction(normalize_scores=True)
    rows = len(next(plain.engine.query_embed(QUERY)))
    expected = [place["relevance_score"] / rows for place in plain.rerank(PASSAGES, QUERY)]
    assert [place["relevance_score"] for place in divided.rerank(PASSAGES, QUERY)] == pytest.approx(expected)


def test_bad_input(make: Make) -> None:
    reranker = make()
    with pytest.raises(InputTypeError, match=r"compress_documents was given a str, expected a list of Document"):
        reranker.compress_documents("text", QUERY)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lone surrogate"):
        reranker.compress_documents(documents(), "\ud800")
    assert len(reranker.compress_documents(documents(), "")) == 3  # an empty query ranks like any text
    with pytest.raises(InputTypeError, match=r"text 1 is an int"):
        reranker.rerank(["a", 2], QUERY)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"has no argument 'top_k'; here it is called 'top_n'"):
        make(top_k=3)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make(top_n=0)

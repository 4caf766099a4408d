"""Rerankers through LlamaIndex: order, new nodes, events in pairs, and their place in a query engine."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank, OnnxRerank
from onnxembed import LateInteractionTextEmbedding, TextCrossEncoder
from onnxembed.errors import InputError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.spies import spied
from tests.fixtures.text_models import REAL_MODEL, small_cross_encoder

QUERY = "What is baked from flour?"
OWN = {
    *("batch_size", "parallel", "top_n", "score_threshold", "metadata_mode", "keep_retrieval_score"),
    *("callback_manager", "model"),
}
RENAMED = {"cuda": "device", "specific_model_path": "model_path", "model_name": "model"}

Make = Callable[..., OnnxRerank | OnnxLateInteractionRerank]


def cross_encoder(**options: Any) -> OnnxRerank:
    return OnnxRerank(model=small_cross_encoder(), **options)


def late_interaction(**options: Any) -> OnnxLateInteractionRerank:
    return OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, **options)


@pytest.fixture(params=[cross_encoder, late_interaction], ids=["cross-encoder", "late interaction"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def nodes(texts: list[str] = PASSAGES) -> list[NodeWithScore]:
    return [
        NodeWithScore(
            node=TextNode(text=text, id_=str(n), metadata={"n": n}, excluded_embed_metadata_keys=["n"]), score=n
        )
        for n, text in enumerate(texts)
    ]


class Events(BaseEventHandler):
    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        if "ReRank" in type(event).__name__:
            self.seen.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.seen]


@pytest.fixture
def events() -> Iterator[Events]:
    handler, root = Events(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.mark.parametrize(
    ("adapter", "core", "own"),
    [
        (OnnxRerank, TextCrossEncoder, OWN),
        (OnnxLateInteractionRerank, LateInteractionTextEmbedding, OWN | {"normalize_scores"}),
    ],
)
def test_fields_are_the_cores_options(adapter: Any, core: Any, own: set[str]) -> None:
    options = set(inspect.signature(core.__init__).parameters) - {"self"}
    assert set(adapter.model_fields) == {RENAMED.get(name, name) for name in options} | own
    assert BaseNodePostprocessor in adapter.__mro__
    assert adapter.class_name() == adapter.__name__


async def test_scores_are_the_cores_best_first(make: Make) -> None:
    reranker = make(top_n=None)
    kept = reranker.postprocess_nodes(nodes(), query_str=QUERY)
    expected = reranker.engine.rank(QUERY, PASSAGES)
    assert [(node.metadata["n"], node.score) for node in kept] == [(place.index, place.score) for place in expected]
    there = await reranker.apostprocess_nodes(nodes(), query_str=QUERY)
    assert [(node.metadata["n"], node.score) for node in there] == [(node.metadata["n"], node.score) for node in kept]


def test_what_an_exported_folder_says_survives_a_dump(tmp_path: Path) -> None:
    model = TextCrossEncoder(small_cross_encoder(), activation="sigmoid", truncate=False)
    left = OnnxRerank(model=str(model.export(tmp_path / "exported")))
    same = OnnxRerank.from_dict(left.to_dict())
    assert (same.engine.options["activation"], same.engine.options["truncate"]) == ("sigmoid", False)
    raw = OnnxRerank(model=left.model, activation="raw", truncate=True)
    assert OnnxRerank.from_dict(raw.to_dict()).engine.options["activation"] == "raw"


def test_a_real_model_finds_the_answer() -> None:
    (best,) = late_interaction(top_n=1).postprocess_nodes(nodes(), query_str=QUERY)
    assert best.text == PASSAGES[1]


def test_given_nodes_stay(make: Make) -> None:
    given = nodes()
    kept = make(top_n=2).postprocess_nodes(given, query_str=QUERY)
    assert given == nodes()
    assert all(node is not original for node in kept for original in given)


def test_the_score_from_before_is_kept_unseen(make: Make) -> None:
    given = nodes()
    kept = make(keep_retrieval_score=True).postprocess_nodes(given, query_str=QUERY)
    assert given == nodes()
    for node in kept:
        assert node.metadata["retrieval_score"] == node.metadata["n"]
        assert "retrieval_score" not in node.node.get_content(MetadataMode.EMBED)
        assert "retrieval_score" not in node.node.get_content(MetadataMode.LLM)


def test_metadata_are_read_as_asked() -> None:
    reranker = late_interaction(metadata_mode=MetadataMode.ALL)
    text = nodes()[0].node.get_content(MetadataMode.ALL)
    assert "n: 0" in text
    (alone,) = reranker.postprocess_nodes(nodes()[:1], query_str=QUERY)
    assert alone.score == reranker.engine.rank(QUERY, [text])[0].score


def test_threshold_before_number(make: Make) -> None:
    ranking = make(top_n=None).postprocess_nodes(nodes(), query_str=QUERY)
    border = ranking[2].score
    kept = make(top_n=2, score_threshold=border).postprocess_nodes(nodes(), query_str=QUERY)
    assert [node.node_id for node in kept] == [node.node_id for node in ranking[:2]]
    assert len(make(top_n=None, score_threshold=border).postprocess_nodes(nodes(), query_str=QUERY)) == 3
    assert len(make(top_n=99).postprocess_nodes(nodes(), query_str=QUERY)) == 6


async def test_odd_nodes(make: Make) -> None:
    reranker = make(top_n=None)
    assert (
        reranker.postprocess_nodes([], query_str=QUERY) == await reranker.apostprocess_nodes([], query_str=QUERY) == []
    )
    kept = reranker.postprocess_nodes(nodes(["same", "", "same"]), query_str=QUERY)
    assert len(kept) == 3
    same = [node for node in kept if node.text == "same"]
    assert [node.node_id for node in same] == ["0", "2"]
    assert same[0].score == pytest.approx(same[1].score, abs=1e-6)


async def test_events_come_in_pairs(make: Make, events: Events) -> None:
    reranker = make(top_n=2)
    pair = ["ReRankStartEvent", "ReRankEndEvent"]
    kept = reranker.postprocess_nodes(nodes(), query_str=QUERY)
    assert events.names == pair
    start, end = events.seen
    assert (start.top_n, start.model_name, start.query.query_str) == (2, reranker.model, QUERY)
    assert end.nodes == kept
    await reranker.apostprocess_nodes(nodes(), query_str=QUERY)
    assert events.names == pair * 2
    reranker.postprocess_nodes([], query_str=QUERY)
    assert events.names == pair * 3
    with pytest.raises(InputError):
        reranker.postprocess_nodes(nodes(), query_str="\ud800")
    with pytest.raises(InputError):
        await reranker.apostprocess_nodes(nodes(), query_str="\ud800")
    assert events.names == pair * 5
    make(top_n=None).postprocess_nodes(nodes(), query_str=QUERY)
    assert events.seen[-2].top_n == 6


class Callbacks(BaseCallbackHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[tuple[str, CBEventType, Any]] = []

    def on_event_start(
        self, event_type: CBEventType, payload: Any = None, event_id: str = "", *_: Any, **__: Any
    ) -> str:
        self.seen.append(("start", event_type, payload))
        return event_id

    def on_event_end(self, event_type: CBEventType, payload: Any = None, event_id: str = "", **__: Any) -> None:
        self.seen.append(("end", event_type, payload))

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


def test_callbacks_are_told(make: Make) -> None:
    heard = Callbacks()
    reranker = make(top_n=2, callback_manager=CallbackManager([heard]))
    kept = reranker.postprocess_nodes(nodes(), query_str=QUERY)
    assert [(when, kind) for when, kind, _ in heard.seen] == [
        ("start", CBEventType.RERANKING),
        ("end", CBEventType.RERANKING),
    ]
    start, end = heard.seen[0][2], heard.seen[1][2]
    assert (start[EventPayload.QUERY_STR], start[EventPayload.TOP_K]) == (QUERY, 2)
    assert start[EventPayload.MODEL_NAME] == reranker.model
    assert end == {EventPayload.NODES: kept}


async def test_in_a_query_engine(make: Make, events: Events) -> None:
    index = VectorStoreIndex([node.node for node in nodes()], embed_model=OnnxEmbedding(model_name=REAL_MODEL))
    reranker = make(top_n=2)
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=6, node_postprocessors=[reranker])
    expected = [str(place.index) for place in reranker.engine.rank(QUERY, PASSAGES, 2)]
    assert [node.node_id for node in engine.query(QUERY).source_nodes] == expected
    assert [node.node_id for node in (await engine.aquery(QUERY)).source_nodes] == expected
    assert events.names == ["ReRankStartEvent", "ReRankEndEvent"] * 2


async def test_the_event_loop_stays_free(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    reranker = make()
    core = type(reranker.engine)
    monkeypatch.setattr(core, "rank_many", spied(core.rank_many, lambda *given, **named: time.sleep(0.3)))
    task = asyncio.create_task(reranker.apostprocess_nodes(nodes(), query_str=QUERY))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10


def test_settings_travel(make: Make) -> None:
    reranker = make(top_n=2, batch_size=8)
    data = json.loads(json.dumps(reranker.to_dict()))
    again = type(reranker).from_dict(data)
    assert again == reranker
    assert again.to_dict() == reranker.to_dict()
    there = pickle.loads(pickle.dumps(reranker))
    assert there == reranker
    assert [n.node_id for n in there.postprocess_nodes(nodes(), query_str=QUERY)] == [
        n.node_id for n in reranker.postprocess_nodes(nodes(), query_str=QUERY)
    ]
    assert type(reranker).from_engine(reranker.engine).engine is reranker.engine
    assert reranker != "something else"


def test_bad_input(make: Make) -> None:
    with pytest.raises(ValueError, match=r"reranking needs a query; pass query_bundle= or query_str="):
        make().postprocess_nodes(nodes())
    with pytest.raises(ValueError, match="Cannot specify both"):
        make().postprocess_nodes(nodes(), query_bundle=QueryBundle(QUERY), query_str=QUERY)
    with pytest.raises(ValueError, match=r"has no argument 'top_k'; here it is called 'top_n'"):
        make(top_k=3)

"""The framework's own events, spans and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.llama_debug import LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llama_index.embeddings.onnxembed import OnnxEmbedding
from onnxembed.errors import InputTypeError
from tests.fixtures.text_models import small_model

START, END = "EmbeddingStartEvent", "EmbeddingEndEvent"


class Events(BaseEventHandler):
    """Keeps what happens."""

    seen: list[Any] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.seen.append(event)

    @property
    def names(self) -> list[str]:
        return [event.class_name() for event in self.seen]


class Spans(BaseSpanHandler[BaseSpan]):
    """Keeps the names of the spans that open."""

    names: list[str] = Field(default_factory=list)

    def new_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.names.append(id_.split("-")[0])

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        return None


@pytest.fixture
def embedding() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=small_model(), device="cpu", embed_batch_size=2)


@pytest.fixture
def events() -> Iterator[Events]:
    handler, root = Events(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.fixture
def spans() -> Iterator[Spans]:
    handler, root = Spans(), get_dispatcher()
    root.add_span_handler(handler)
    yield handler
    root.span_handlers.remove(handler)


async def test_every_window_starts_and_ends(embedding: OnnxEmbedding, events: Events) -> None:
    vectors = embedding.get_text_embedding_batch(["a", "b", "c"])
    assert events.names == [START, END, START, END]
    assert [event.chunks for event in events.seen[1::2]] == [["a", "b"], ["c"]]
    assert events.seen[1].embeddings == vectors[:2]
    events.seen.clear()
    await embedding.aget_text_embedding_batch(["a", "b", "c"])
    assert events.names == [START, START, END, END]


@pytest.mark.parametrize("cache", [None, SimpleKVStore()])
async def test_single_texts_start_and_end(
    embedding: OnnxEmbedding, events: Events, cache: SimpleKVStore | None
) -> None:
    embedding.embeddings_cache = cache
    embedding.get_text_embedding("a")
    embedding.get_query_embedding("a")
    await embedding.aget_text_embedding("a")
    await embedding.aget_query_embedding("a")
    assert events.names == [START, END] * 4
    assert events.seen[-1].chunks == ["a"]


def test_nothing_happens_for_no_texts(embedding: OnnxEmbedding, events: Events) -> None:
    embedding.get_text_embedding_batch([])
    assert events.names == []


def test_a_failure_starts_and_does_not_end(embedding: OnnxEmbedding, events: Events) -> None:
    with pytest.raises(InputTypeError):
        embedding.get_query_embedding(None)  # type: ignore[arg-type]
    assert events.names[0] == START
    assert END not in events.names


def test_payload_tells_model_dimension_and_device(embedding: OnnxEmbedding, events: Events) -> None:
    embedding.get_query_embedding("a")
    expected = {
        "class_name": "OnnxEmbedding",
        "model_name": small_model(),
        "embed_batch_size": 2,
        "dimension": len(embedding.get_query_embedding("a")),
        "device": "cpu",
    }
    assert embedding.to_payload() == expected
    assert events.seen[0].model_dict == expected


@pytest.mark.parametrize("cache", [None, SimpleKVStore()])
def test_each_call_is_one_span(embedding: OnnxEmbedding, spans: Spans, cache: SimpleKVStore | None) -> None:
    embedding.embeddings_cache = cache
    embedding.get_text_embedding_batch(["a", "b", "c"])
    embedding.get_query_embedding("a")
    public = [name for name in spans.names if "._" not in name]
    assert public == ["OnnxEmbedding.get_text_embedding_batch", "OnnxEmbedding.get_query_embedding"]


async def test_callbacks_are_told(embedding: OnnxEmbedding) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embedding.callback_manager = CallbackManager([handler])
    vector = embedding.get_query_embedding("a")
    await embedding.aget_text_embedding_batch(["a", "b"])
    (start, end), (_, batch_end) = handler.get_event_pairs(CBEventType.EMBEDDING)
    assert start.payload == {EventPayload.SERIALIZED: embedding.to_payload()}
    assert end.payload == {EventPayload.CHUNKS: ["a"], EventPayload.EMBEDDINGS: [vector]}
    assert batch_end.payload is not None
    assert batch_end.payload[EventPayload.CHUNKS] == ["a", "b"]

"""Asynchronous reranks, images and searches are spans of their own, and their events say in which they happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llama_index.embeddings.onnxembed import OnnxMultiModalEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank, OnnxRerank
from llama_index.retrievers.onnxembed import OnnxSparseRetriever
from tests.fixtures.image_models import pictures
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL, small_clip, small_cross_encoder


class Spans(BaseSpanHandler[BaseSpan]):
    ids: list[str] = Field(default_factory=list)

    def new_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.ids.append(id_)

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        return None

    def named(self, name: str) -> list[str]:
        return [one for one in self.ids if one.split("-")[0].split(".")[1] == name]


class Events(BaseEventHandler):
    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.seen.append(event)

    def spans(self, kind: str) -> list[str]:
        return [event.span_id for event in self.seen if type(event).__name__.startswith(kind)]


@pytest.fixture
def heard() -> Iterator[tuple[Spans, Events]]:
    spans, events, root = Spans(), Events(), get_dispatcher()
    root.add_span_handler(spans)
    root.add_event_handler(events)
    yield spans, events
    root.span_handlers.remove(spans)
    root.event_handlers.remove(events)


@pytest.mark.parametrize("kind", [OnnxRerank, OnnxLateInteractionRerank])
async def test_reranks(heard: tuple[Spans, Events], kind: type[OnnxRerank]) -> None:
    spans, events = heard
    model = {"model": small_cross_encoder()} if kind is OnnxRerank else {"model": REAL_MODEL, "dense": True}
    reranker, given = kind(**model), [NodeWithScore(node=TextNode(text=text)) for text in PASSAGES]
    reranker.postprocess_nodes(given, query_str="bread")
    (span,) = spans.named("_postprocess_nodes")
    assert events.spans("ReRank") == [span, span]
    events.seen.clear()
    await reranker.apostprocess_nodes(given, query_str="bread")
    (span,) = spans.named("_apostprocess_nodes")
    assert events.spans("ReRank") == [span, span]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for number, picture in enumerate(pictures()[:3]):
        picture.save(tmp_path / f"{number}.png")
    return [str(tmp_path / f"{number}.png") for number in range(3)]


async def test_images(heard: tuple[Spans, Events], paths: list[str]) -> None:
    spans, events = heard
    text, image = small_clip()
    embedding = OnnxMultiModalEmbedding(model_path=text, image_model_path=image, embed_batch_size=2)
    first = embedding.get_image_embedding_batch(paths)
    assert (len(spans.named("get_image_embedding_batch")), len(spans.named("_get_image_embeddings"))) == (1, 2)
    windows = spans.named("_get_image_embeddings")
    assert events.spans("Embedding") == [windows[0]] * 2 + [windows[1]] * 2
    events.seen.clear()
    assert await embedding.aget_image_embedding_batch(paths) == first
    windows = spans.named("_aget_image_embeddings")
    assert (len(spans.named("aget_image_embedding_batch")), len(windows)) == (1, 2)
    assert sorted(events.spans("Embedding")) == sorted(windows * 2)
    assert embedding.get_image_embedding(paths[0]) == await embedding.aget_image_embedding(paths[0]) == first[0]
    for name in ("get_image_embedding", "_get_image_embedding", "aget_image_embedding", "_aget_image_embedding"):
        assert len(spans.named(name)) == 1, name


async def test_searches(heard: tuple[Spans, Events]) -> None:
    spans, _ = heard
    retriever = OnnxSparseRetriever.from_nodes([TextNode(text=text) for text in PASSAGES])
    await retriever.aretrieve("violin")
    assert len(spans.named("_aretrieve")) == 1


async def test_images_in_every_form(paths: list[str]) -> None:
    text, image = small_clip()
    embedding = OnnxMultiModalEmbedding(model_path=text, image_model_path=image)
    expected = embedding.get_image_embedding_batch(paths)
    uris = [Path(path).as_uri() for path in paths]
    assert embedding.get_image_embedding_batch(uris) == expected
    assert [embedding.get_image_embedding(uri) for uri in uris] == expected
    assert embedding.get_image_embedding_batch(iter(paths)) == expected
    assert await embedding.aget_image_embedding_batch(iter(uris)) == expected
    assert await embedding.aget_image_embedding_batch([]) == embedding.get_image_embedding_batch([]) == []

    def refilled() -> Iterator[bytearray]:
        buffer = bytearray()
        for path in paths:
            buffer[:] = Path(path).read_bytes()
            yield buffer

    assert embedding.get_image_embedding_batch(refilled()) == expected

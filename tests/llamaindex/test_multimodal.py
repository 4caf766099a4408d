"""Texts and images in one space through LlamaIndex: values, events, and a multimodal index."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.schema import ImageNode, TextNode
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding
from onnxembed import ImageEmbedding
from onnxembed.adapters.engine import option_names
from onnxembed.errors import InputError
from tests.fixtures.image_models import pictures
from tests.fixtures.spies import spied
from tests.fixtures.text_models import small_clip, small_model


def make(**options: Any) -> OnnxMultiModalEmbedding:
    text, image = small_clip()
    return OnnxMultiModalEmbedding(model_path=text, image_model_path=image, **options)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    made = []
    for number, picture in enumerate(pictures()[:6]):
        picture.save(tmp_path / f"{number}.png")
        made.append(str(tmp_path / f"{number}.png"))
    return made


class Events(BaseEventHandler):
    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        if type(event).__name__.startswith("Embedding"):
            self.seen.append(event)


@pytest.fixture
def events() -> Iterator[Events]:
    handler, root = Events(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


def test_every_option_of_the_core_is_there() -> None:
    options = set(inspect.signature(ImageEmbedding.__init__).parameters) - {"self", "lazy_load"}
    names = option_names(OnnxMultiModalEmbedding, "image_names", "image_options_class")
    assert set(names) == options
    assert set(names.values()) <= set(OnnxMultiModalEmbedding.model_fields)
    assert set(OnnxEmbedding.model_fields) <= set(OnnxMultiModalEmbedding.model_fields)
    assert MultiModalEmbedding in OnnxMultiModalEmbedding.__mro__
    assert OnnxMultiModalEmbedding.class_name() == "OnnxMultiModalEmbedding"


async def test_values_are_the_cores(paths: list[str]) -> None:
    embedding = make(embed_batch_size=4)
    core = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=small_clip()[1])
    expected = [vector.tolist() for vector in core.embed(paths)]
    images: list[str | BytesIO] = [*paths]
    for got in (embedding.get_image_embedding_batch(images), await embedding.aget_image_embedding_batch(images)):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    one = embedding.get_image_embedding(paths[0])
    assert one == await embedding.aget_image_embedding(paths[0]) == pytest.approx(expected[0], abs=1e-6)
    assert {type(number) for number in one} == {float}
    assert len(embedding.get_text_embedding("a cat")) == len(one) == embedding.dimension
    assert embedding.get_image_embedding_batch([]) == []


def test_a_file_that_was_read_is_read_again(paths: list[str]) -> None:
    embedding, file = make(), BytesIO(Path(paths[0]).read_bytes())
    expected = embedding.get_image_embedding(paths[0])
    file.read()
    assert embedding.get_image_embedding(file) == pytest.approx(expected, abs=1e-6)
    assert embedding.get_image_embedding(file) == pytest.approx(expected, abs=1e-6)


async def test_events_tell_images(events: Events, paths: list[str]) -> None:
    embedding = make()
    vectors = embedding.get_image_embedding_batch([paths[0], BytesIO(Path(paths[1]).read_bytes())])
    start, end = events.seen
    assert [type(event).__name__ for event in (start, end)] == ["EmbeddingStartEvent", "EmbeddingEndEvent"]
    assert start.model_dict["class_name"] == "OnnxMultiModalEmbedding"
    assert end.chunks == [paths[0], "<image bytes>"]
    assert end.embeddings == vectors
    await embedding.aget_image_embedding(paths[0])
    assert [type(event).__name__ for event in events.seen[2:]] == ["EmbeddingStartEvent", "EmbeddingEndEvent"]


def image_nodes(paths: list[str]) -> list[ImageNode]:
    nodes = [ImageNode(image_path=path, metadata={"n": n}) for n, path in enumerate(paths[:5])]
    encoded = base64.b64encode(Path(paths[5]).read_bytes()).decode()
    return [*nodes, ImageNode(image=encoded, metadata={"n": 5})]


async def test_a_multimodal_index(paths: list[str]) -> None:
    embedding = make()
    text = OnnxEmbedding(model_name=small_model())
    index = MultiModalVectorStoreIndex(
        [*image_nodes(paths), TextNode(text="a text beside")], embed_model=text, image_embed_model=embedding
    )
    retriever = index.as_retriever(similarity_top_k=1, image_similarity_top_k=6)
    # The first two and the last of the pictures differ, so each is its own nearest.
    for number in (0, 1, 5):
        hits = retriever.image_to_image_retrieve(paths[number])
        assert hits[0].metadata["n"] == number
        assert hits[0].score == pytest.approx(1.0, abs=1e-5)

    def unit(rows: Any) -> Any:
        return np.asarray(rows) / np.linalg.norm(rows, axis=-1, keepdims=True)

    question = "a quick brown fox"
    cosines = unit(embedding.get_image_embedding_batch([*paths])) @ unit(embedding.get_query_embedding(question))
    expected = sorted(cosines, reverse=True)
    for hits in (retriever.text_to_image_retrieve(question), await retriever.atext_to_image_retrieve(question)):
        assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-5)
        assert hits[0].metadata["n"] == int(np.argmax(cosines))
    (beside,) = retriever.text_retrieve(question)
    assert beside.text == "a text beside"


async def test_the_event_loop_stays_free(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    embedding = make()
    work = ImageEmbedding.embed
    monkeypatch.setattr(ImageEmbedding, "embed", spied(work, lambda *a, **k: time.sleep(0.3)))
    task = asyncio.create_task(embedding.aget_image_embedding(paths[0]))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10


def test_settings_travel(paths: list[str]) -> None:
    embedding = make(image_batch_size=2, allow_urls=True)
    data = json.loads(json.dumps(embedding.to_dict()))
    again = OnnxMultiModalEmbedding.from_dict(data)
    assert again == embedding
    assert (again.image_batch_size, again.allow_urls) == (2, True)
    there = pickle.loads(pickle.dumps(embedding))
    assert there == embedding
    assert there.get_image_embedding(paths[0]) == embedding.get_image_embedding(paths[0])


async def test_an_image_that_cannot_be_used_is_skipped_where_asked(
    tmp_path: Path, paths: list[str], events: Events
) -> None:
    bad = str(tmp_path / "bad.png")
    Path(bad).write_bytes(b"no picture")
    given: list[Any] = [paths[0], bad, paths[1]]
    with pytest.raises(InputError, match="image 1"):
        make().get_image_embedding_batch(given)
    skipping, plain = make(on_error="skip"), make()
    expected = [plain.get_image_embedding(paths[0]), None, plain.get_image_embedding(paths[1])]
    events.seen.clear()
    assert skipping.get_image_embedding_batch(given) == expected
    assert await skipping.aget_image_embedding_batch(given) == expected
    assert [event.chunks for event in events.seen if hasattr(event, "chunks")] == [[paths[0], paths[1]]] * 2
    with pytest.raises(InputError, match="image 0"):
        skipping.get_image_embedding(bad)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image model is known to belong to the text model"):
        OnnxMultiModalEmbedding(model_name="thenlper/gte-base")
    with pytest.raises(InputError, match="allow_urls"):
        make().get_image_embedding("https://example.org/cat.png")
    with pytest.raises(InputError, match=r"missing\.png"):
        make().get_image_embedding(str(tmp_path / "missing.png"))
    apart = OnnxMultiModalEmbedding(model_name=small_model(), image_model_name=small_clip()[1])
    with pytest.raises(ValueError, match="not of one space"):
        apart.get_image_embedding(BytesIO(b"x"))

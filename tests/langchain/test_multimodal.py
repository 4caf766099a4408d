"""Texts and images in one space through LangChain, and in Chroma as its users call it."""

from __future__ import annotations

import base64
import copy
import inspect
import pickle
import uuid
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings as ChromaSettings
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from langchain_onnxembed import OnnxEmbeddings, OnnxMultimodalEmbeddings
from onnxembed import ImageEmbedding, quantize_embeddings
from onnxembed.adapters.engine import option_names
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.image_models import pictures
from tests.fixtures.text_models import small_clip, small_model


def make(**options: Any) -> OnnxMultimodalEmbeddings:
    text, image = small_clip()
    return OnnxMultimodalEmbeddings(model_path=text, image_model_path=image, **options)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    made = []
    for number, picture in enumerate(pictures()[:6]):
        picture.save(tmp_path / f"{number} é.png")
        made.append(str(tmp_path / f"{number} é.png"))
    return made


class TestStandard(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxMultimodalEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        text, image = small_clip()
        return {"model_path": text, "image_model_path": image}


def test_images_and_texts_have_one_output_precision(paths: list[str]) -> None:
    signs, plain = make(output_precision="ubinary"), make()
    assert signs.embed_image(paths) == quantize_embeddings(np.array(plain.embed_image(paths)), "ubinary").tolist()
    assert {len(vector) for vector in signs.embed_image(paths)} == {signs.dimension, len(signs.embed_query("a cat"))}
    ranges = [[-1.0] * plain.dimension, [1.0] * plain.dimension]
    steps = make(output_precision="int8", ranges=ranges)
    assert steps.embed_image(paths) == quantize_embeddings(np.array(plain.embed_image(paths)), "int8", ranges).tolist()


def test_every_option_of_the_core_is_there() -> None:
    options = set(inspect.signature(ImageEmbedding.__init__).parameters) - {"self", "lazy_load"}
    names = option_names(OnnxMultimodalEmbeddings, "image_names", "image_options_class")
    assert set(names) == options
    assert set(names.values()) <= set(OnnxMultimodalEmbeddings.model_fields)
    assert set(OnnxEmbeddings.model_fields) <= set(OnnxMultimodalEmbeddings.model_fields)


async def test_values_are_the_cores(paths: list[str]) -> None:
    embeddings = make()
    core = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=small_clip()[1])
    expected = [vector.tolist() for vector in core.embed(paths)]
    assert embeddings.embed_image(uris=paths) == embeddings.embed_images(paths) == expected
    assert await embeddings.aembed_image(uris=paths) == expected
    assert {type(number) for vector in expected for number in vector} == {float}
    assert embeddings.embed_image([]) == []
    assert len(embeddings.embed_query("a cat")) == len(expected[0]) == embeddings.dimension


def test_every_form_of_image(paths: list[str]) -> None:
    embeddings, data = make(), Path(paths[0]).read_bytes()
    encoded = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    given = [Path(paths[0]), Path(paths[0]).as_uri(), encoded, data, pictures()[0], np.asarray(pictures()[0])]
    (expected,) = embeddings.embed_image([paths[0]])
    for vector in embeddings.embed_image(given):
        assert vector == pytest.approx(expected, abs=1e-6)


def test_chroma_finds_images_by_text_and_by_image(paths: list[str]) -> None:
    embeddings = make()
    client = chromadb.EphemeralClient(ChromaSettings(anonymized_telemetry=False, is_persistent=False))
    store = Chroma(
        client=client,
        collection_name=f"test-{uuid.uuid4()}",
        embedding_function=embeddings,
        collection_metadata={"hnsw:space": "cosine"},
    )
    different = paths[:6]
    store.add_images(uris=different, metadatas=[{"n": n} for n in range(6)])
    for number, path in enumerate(different):
        (hit,) = store.similarity_search_by_image(uri=path, k=1)
        assert hit.metadata["n"] == number
        assert base64.b64decode(hit.page_content) == Path(path).read_bytes()

    def unit(rows: Any) -> Any:
        return np.asarray(rows) / np.linalg.norm(rows, axis=-1, keepdims=True)

    cosines = unit(embeddings.embed_image(different)) @ unit(embeddings.embed_query("a quick brown fox"))
    hits = store.similarity_search("a quick brown fox", k=6)
    assert [hit.metadata["n"] for hit in hits] == np.argsort(-cosines).tolist()


def test_copies_and_pickles(paths: list[str]) -> None:
    embeddings = make(image_batch_size=2)
    expected = embeddings.embed_image(paths)
    assert copy.deepcopy(embeddings).image_engine is embeddings.image_engine
    data = pickle.dumps(embeddings)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again == embeddings
    np.testing.assert_allclose(again.embed_image(paths), expected, atol=1e-6)


def test_the_halves_belong_together() -> None:
    siglip = OnnxMultimodalEmbeddings(model="google/siglip2-base-patch16-224")
    assert siglip.image_engine.model_name == "google/siglip2-base-patch16-224"
    with pytest.raises(ValueError, match=r"no image model is known to belong to the text model 'thenlper/gte-base'"):
        OnnxMultimodalEmbeddings(model="thenlper/gte-base")
    with pytest.raises(
        ValueError, match=r"belongs to the text model 'Qdrant/clip-ViT-B-32-text', not 'jinaai/jina-clip-v1'"
    ):
        OnnxMultimodalEmbeddings(model="jinaai/jina-clip-v1", image_model="qdrant/clip-vit-b-32-vision")
    text, image = small_model(), small_clip()[1]
    apart = OnnxMultimodalEmbeddings(model=text, image_model=image)
    with pytest.raises(ValueError, match=r"have 16 numbers, those of .* 32: not of one space"):
        apart.embed_image([pictures()[0]])


def test_an_image_that_cannot_be_used_is_skipped_where_asked(
    tmp_path: Path, paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    given = [paths[0], str(tmp_path / "bad.png"), paths[1]]
    with pytest.raises(InputError, match="image 1"):
        make().embed_image(given)
    vectors: list[Any] = make(on_error="skip").embed_image(given)
    assert vectors == [*make().embed_image(paths[:1]), None, *make().embed_image(paths[1:2])]
    assert "skipped: image 1" in caplog.text
    with pytest.raises(InputError, match="on_error"):
        make(on_error="ignore")


def test_bad_input(tmp_path: Path, paths: list[str]) -> None:
    embeddings = make()
    with pytest.raises(InputTypeError, match=r"embed_image was given a str, expected a list of images"):
        embeddings.embed_image(uris=paths[0])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allow_urls"):
        embeddings.embed_image(["https://example.org/cat.png"])
    with pytest.raises(InputError, match=r"missing\.png"):
        embeddings.embed_image([str(tmp_path / "missing.png")])
    with pytest.raises(InputError, match=r"max_pixels|pixels"):
        make(max_pixels=10).embed_image(paths)

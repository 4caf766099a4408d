"""qdrant-client infers locally over the stand-in: what it makes of objects is what the models give."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import fastembed
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.fastembed_common import FastEmbedMisc

from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.image_models import VARIANTS as IMAGE_VARIANTS
from tests.fixtures.image_models import write_image_variant
from tests.fixtures.images import picture
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.sparse_models import write_splade

TEXTS = ["hello world", "flag embedding", "the quick brown fox", "bat and ball"] * 3
BM25 = "Qdrant/bm25"


class Field(NamedTuple):
    """A named vector of the collection: its model, and the keywords that open a small one in its place."""

    model: str
    options: dict[str, Any]


class Setup(NamedTuple):
    """What the tests share."""

    fields: dict[str, Field]
    images: list[str]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
    dense, image, colbert = variant("cls"), IMAGE_VARIANTS[0], FORMS[0]
    folders = {
        "dense": (dense.model, write_variant(tmp_path / "dense", dense)),
        "splade": ("prithivida/Splade_PP_en_v1", write_splade(tmp_path / "splade")),
        "colbert": (colbert.name, write_form(tmp_path / "colbert", colbert)),
        "image": (image.model, write_image_variant(tmp_path / "image", image)),
    }
    fields = {name: Field(model, {"specific_model_path": str(at)}) for name, (model, at) in folders.items()}
    fields["bm25"] = Field(BM25, {"language": "german"})
    images = []
    for seed in range(len(TEXTS)):
        path = tmp_path / f"{seed}.png"
        picture(40, 30, seed=seed).save(path)
        images.append(str(path))
    return Setup(fields, images)


def size(vectors: Any) -> int:
    return int(np.asarray(next(iter(vectors))).shape[-1])


def config(setup: Setup) -> dict[str, Any]:
    fields = setup.fields
    dense = fastembed.TextEmbedding(fields["dense"].model, **fields["dense"].options)
    image = fastembed.ImageEmbedding(fields["image"].model, **fields["image"].options)
    colbert = fastembed.LateInteractionTextEmbedding(fields["colbert"].model, **fields["colbert"].options)
    return {
        "vectors_config": {
            "dense": models.VectorParams(size=size(dense.embed("a")), distance=models.Distance.COSINE),
            "image": models.VectorParams(size=size(image.embed(setup.images[0])), distance=models.Distance.COSINE),
            "colbert": models.VectorParams(
                size=size(colbert.embed("a")),
                distance=models.Distance.COSINE,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        "sparse_vectors_config": {
            "splade": models.SparseVectorParams(),
            "bm25": models.SparseVectorParams(modifier=models.Modifier.IDF),
        },
    }


def points(setup: Setup, left_out: str = "") -> list[models.PointStruct]:
    made = []
    for number, (text, image) in enumerate(zip(TEXTS, setup.images, strict=True)):
        vectors: dict[str, Any] = {
            name: models.Document(text=text, model=field.model, options=field.options)
            for name, field in setup.fields.items()
            if name not in ("image", left_out)
        }
        field = setup.fields["image"]
        vectors["image"] = models.Image(image=image, model=field.model, options=field.options)
        made.append(models.PointStruct(id=number, vector=vectors, payload={"text": text}))
    return made


def asked(setup: Setup, name: str, text: str) -> models.Document:
    field = setup.fields[name]
    return models.Document(text=text, model=field.model, options=field.options)


def check_stored(setup: Setup, records: list[models.Record]) -> None:
    """The vectors in the collection are those of the classes."""
    fields = setup.fields
    dense = list(fastembed.TextEmbedding(fields["dense"].model, **fields["dense"].options).embed(TEXTS))
    splade = list(fastembed.SparseTextEmbedding(fields["splade"].model, **fields["splade"].options).embed(TEXTS))
    bm25 = list(fastembed.SparseTextEmbedding(BM25, language="german").embed(TEXTS))
    colbert = fastembed.LateInteractionTextEmbedding(fields["colbert"].model, **fields["colbert"].options)
    tokens = list(colbert.embed(TEXTS))
    for record in records:
        number, vectors = int(record.id), record.vector
        assert isinstance(vectors, dict)
        expected = dense[number] / np.linalg.norm(dense[number])
        assert np.allclose(np.asarray(vectors["dense"]), expected, atol=1e-5)
        for name, all_of in (("splade", splade), ("bm25", bm25)):
            if name not in vectors:
                continue
            stored: Any = vectors[name]
            assert stored.indices == all_of[number].indices.tolist()
            assert np.allclose(stored.values, all_of[number].values, atol=1e-5)
        rows = np.asarray(vectors["colbert"])
        assert rows.shape == tokens[number].shape
        assert len(np.asarray(vectors["image"])) > 1


def test_the_client_sees_the_models() -> None:
    assert FastEmbedMisc.is_installed()
    assert len(QdrantClient.list_text_models()) >= 41
    assert set(QdrantClient.list_sparse_models()) >= {BM25, "prithivida/Splade_PP_en_v1"}
    assert QdrantClient(":memory:").get_embedding_size("BAAI/bge-small-en-v1.5") == 384
    assert QdrantClient(":memory:").get_embedding_size("Qdrant/colpali-v1.3-fp16") == 128


def test_objects_become_vectors(made: Setup) -> None:
    client = QdrantClient(":memory:", local_inference_batch_size=4)
    client.create_collection("all", **config(made))
    client.upload_points("all", points(made))
    check_stored(made, client.retrieve("all", range(len(TEXTS)), with_vectors=True))
    for name in ("dense", "bm25"):
        (best, *_) = client.query_points("all", asked(made, name, TEXTS[3]), using=name, limit=1).points
        assert best.payload == {"text": TEXTS[3]}, name
    field = made.fields["image"]
    query = models.Image(image=made.images[5], model=field.model, options=field.options)
    assert client.query_points("all", query, using="image", limit=1).points[0].id == 5


def test_two_processes_each_import_the_stand_in(made: Setup) -> None:
    client = QdrantClient(":memory:", local_inference_batch_size=4)
    client.create_collection("all", **config(made))
    # The client's processes do not know that it is local, and leave BM25 to the server.
    client.upload_points("all", points(made, left_out="bm25"), parallel=2)
    check_stored(made, client.retrieve("all", range(len(TEXTS)), with_vectors=True))


async def test_objects_become_vectors_without_blocking_calls(made: Setup) -> None:
    client = AsyncQdrantClient(":memory:")
    await client.create_collection("all", **config(made))
    await client.upsert("all", points(made))
    check_stored(made, await client.retrieve("all", range(len(TEXTS)), with_vectors=True))
    fused = await client.query_points(
        "all",
        prefetch=[
            models.Prefetch(query=asked(made, name, TEXTS[1]), using=name, limit=5) for name in ("dense", "bm25")
        ],
        query=models.FusionQuery(fusion=models.Fusion.RRF),
        limit=1,
    )
    assert fused.points[0].payload == {"text": TEXTS[1]}

"""Points and searches of a collection of token vectors, without any framework."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from onnxembed import LateInteractionTextEmbedding, maxsim_top_k
from onnxembed.adapters.late_interaction import LateInteractionModel, core_model
from onnxembed.adapters.muvera import MuveraModel
from onnxembed.adapters.qdrant import AsyncCollection, Collection, as_async_client, as_client
from onnxembed.adapters.qdrant_points import (
    FIRST_STAGE,
    POINT_NUMBERS,
    TOKENS,
    Layout,
    Search,
    batches,
    metadata_filter,
    point,
    refuse_large,
)
from onnxembed.adapters.two_stages import TwoStages
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

QUERY = "How many strings has a violin?"


class Muvera(MuveraModel):
    model_name: str = REAL_MODEL
    dense: bool = True


@pytest.fixture(scope="module")
def model() -> LateInteractionTextEmbedding:
    return LateInteractionTextEmbedding(REAL_MODEL, dense=True)


def one(name: str | None = None, rows: int = 2) -> Any:
    return point(name, [[0.0, 1.0]] * rows, [1.0], {})


def vectors(of: models.PointStruct) -> dict[str, Any]:
    assert isinstance(of.vector, dict)
    return of.vector


def numbers(found: list[models.ScoredPoint]) -> list[int]:
    return [(each.payload or {})["n"] for each in found]


def test_points_are_named_by_uuids() -> None:
    given = str(uuid.uuid4())
    assert one(given).id == given
    assert one("a").id == one("a").id != one("b").id
    assert one().id != one().id
    assert point("a", [[1.0]], None, {"x": 1}).vector == {TOKENS: [[1.0]]}


def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.adapters.qdrant_points.REQUEST_NUMBERS", 10)
    sent = batches(one(rows=n) for n in (2, 2, 1, 9, 2))
    sizes = [[len(vectors(each)[TOKENS]) for each in batch] for batch in sent]
    assert sizes == [[2, 2], [1], [9], [2]]
    assert list(batches([])) == []


def test_a_search_narrows_only_with_a_first_stage() -> None:
    assert Search([[1.0]], None, 3, 100).arguments()["prefetch"] is None
    narrowed = Search([[1.0]], [2.0], 30, 10).arguments()
    assert (narrowed["prefetch"].limit, narrowed["prefetch"].using, narrowed["using"]) == (30, FIRST_STAGE, TOKENS)


@pytest.mark.parametrize("muvera", [False, True])
async def test_both_stages_find_what_maxsim_finds(model: LateInteractionTextEmbedding, muvera: bool) -> None:
    stages: TwoStages[Any] = TwoStages(model, Muvera() if muvera else None)
    assert stages.reader is None
    layout = stages.layout(lambda *_: pytest.fail("it tells its dimension"))
    assert (layout.first_stage, layout.dot) == ((10240, True) if muvera else (None, False))
    entries = [(str(n), {"n": n}) for n in range(len(PASSAGES))]
    search = stages.search(model.query_embed([QUERY]), None, 3, 6)
    expected, _ = maxsim_top_k(next(model.query_embed(QUERY)), list(model.passage_embed(PASSAGES)), 3)
    collection = Collection(as_client(None), "test")
    collection.open(layout, create=True)
    collection.add(stages.points(entries, model.passage_embed(PASSAGES), None))
    assert numbers(collection.search(search)) == expected.tolist()
    there = AsyncCollection(AsyncQdrantClient(":memory:"), "test")
    await there.open(layout, create=True)
    for batch in batches(stages.points(entries, model.passage_embed(PASSAGES), None)):
        await there.add(batch)
    assert numbers(await there.search(search)) == expected.tolist()


def test_a_first_stage_that_reads_texts_is_asked_for_its_length(model: LateInteractionTextEmbedding) -> None:
    other = Muvera(max_length=64)
    assert TwoStages(model, other).reader is other
    stages: TwoStages[object] = TwoStages(model, object())
    assert stages.layout(lambda *_: [0.0] * 7) == Layout(384, 7)
    search = stages.search(iter([np.zeros((0, 384), np.float32)]), [1.0], 1, 1)
    assert search == Search([[0.0] * 384], [1.0], 1, 1)


async def test_collections_that_do_not_fit_are_refused() -> None:
    client = QdrantClient(":memory:")
    with pytest.raises(InputError, match="there is no collection 'x'; add nodes, or pass another collection_name="):
        Collection(client, "x", "nodes").open(Layout(2), create=False)
    with pytest.raises(InputError, match="there is no collection 'x'; add documents"):
        await AsyncCollection(AsyncQdrantClient(":memory:"), "x").open(Layout(2), create=False)
    Collection(client, "x").open(Layout(2), create=True)
    with pytest.raises(InputError, match=r"max_sim multivectors of 2 numbers \(Dot\), expected .* of 3 numbers"):
        Collection(client, "x").open(Layout(3), create=True)


def test_only_what_is_no_server_is_guarded() -> None:
    remote = QdrantClient(url="http://127.0.0.1:9", check_compatibility=False)
    assert isinstance(Collection(remote, "any").guard(), nullcontext)
    assert not isinstance(Collection(QdrantClient(":memory:"), "any").guard(), nullcontext)


def test_clients_and_models_are_checked(model: LateInteractionTextEmbedding) -> None:
    with pytest.raises(InputTypeError, match="client is AsyncQdrantClient, expected a QdrantClient"):
        as_client(AsyncQdrantClient(":memory:"))
    with pytest.raises(InputTypeError, match="aclient is QdrantClient, expected an AsyncQdrantClient"):
        as_async_client(QdrantClient(":memory:"))
    muvera = Muvera()
    assert isinstance(muvera, LateInteractionModel)
    assert core_model(muvera) is muvera.engine
    assert core_model(model) is model


def test_a_point_has_no_more_numbers_than_qdrant_takes(model: LateInteractionTextEmbedding) -> None:
    assert POINT_NUMBERS == 1_048_576
    refuse_large(8192, 128, "a")
    with pytest.raises(
        InputError, match="a has 8193 token vectors of 128 numbers, 1,048,704 in all; Qdrant takes at most"
    ):
        refuse_large(8193, 128, "a")
    stages: TwoStages[Any] = TwoStages(model, None)
    large = np.zeros((2731, 384), np.float32)
    with pytest.raises(InputError, match="document 'page' has 2731 token vectors"):
        list(stages.points([("page", {})], [large], None))
    with pytest.raises(InputError, match="the query has 2731 token vectors"):
        stages.search([large], None, 1, 1)


def test_filters_of_metadata() -> None:
    made = metadata_filter({"a": "x", "b": 1, "c": True, "d": 0.5})
    assert made.must == [
        models.FieldCondition(key="metadata.a", match=models.MatchValue(value="x")),
        models.FieldCondition(key="metadata.b", match=models.MatchValue(value=1)),
        models.FieldCondition(key="metadata.c", match=models.MatchValue(value=True)),
        models.FieldCondition(key="metadata.d", range=models.Range(gte=0.5, lte=0.5)),
    ]
    narrowed = Search([[1.0]], [2.0], 1, 1, made).arguments()
    assert narrowed["query_filter"] is narrowed["prefetch"].filter is made

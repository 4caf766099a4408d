"""How dense and sparse rankings are fused, here and by Qdrant."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from onnxembed.adapters.fusion import Fusion, as_fusion, canonical, fused
from onnxembed.adapters.qdrant_fusion import FusedSearch, afuses, fuses, refuse_missing_idf
from onnxembed.errors import InputError, InputTypeError

# In the plane, from near the query (1, 0) to far; and the weight of the one word.
DENSE = [[1.0, 0.0], [1.0, 0.2], [1.0, 0.5], [1.0, 1.0]]
SPARSE = [1.0, 4.0, 3.0, 2.0]


def points() -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=number,
            vector={"dense": dense, "sparse": models.SparseVector(indices=[7], values=[weight])},
            payload={"odd": number % 2 == 1},
        )
        for number, (dense, weight) in enumerate(zip(DENSE, SPARSE, strict=True))
    ]


LAYOUT: dict[str, Any] = {
    "vectors_config": {"dense": models.VectorParams(size=2, distance=models.Distance.COSINE)},
    "sparse_vectors_config": {"sparse": models.SparseVectorParams()},
}


def search(fusion: Fusion, limit: int = 3, only: models.Filter | None = None) -> FusedSearch:
    return FusedSearch(("dense", [1.0, 0.0]), ("sparse", [7], [1.0]), fusion, limit, only)


def test_the_dense_sides_item_is_kept() -> None:
    found: list[Any] = fused([("a", "dense a"), ("b", "dense b")], [("c", "sparse c"), ("a", "sparse a")], Fusion(), 2)
    assert found == [("dense a", pytest.approx(1 / 61 + 1 / 62)), ("sparse c", pytest.approx(1 / 61))]


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("constant", [0, 2, 60])
async def test_qdrant_computes_what_the_core_does(constant: int, weight: float) -> None:
    client, aclient = QdrantClient(":memory:"), AsyncQdrantClient(":memory:")
    fusion = Fusion(fetch_k=3, rank_constant=constant, weights=(weight, weight))
    assert fuses(client, fusion)
    assert await afuses(aclient, fusion)
    client.create_collection("c", **LAYOUT)
    client.upsert("c", points())
    await aclient.create_collection("c", **LAYOUT)
    await aclient.upsert("c", points())
    expected = fused([("0", 0), ("1", 1), ("2", 2)], [("1", 1), ("2", 2), ("3", 3)], fusion, 3)
    found: Any
    for found in (search(fusion).ask(client, "c"), await search(fusion).aask(aclient, "c")):
        assert [(one.id, one.score) for one in found] == [(item, pytest.approx(score)) for item, score in expected]
        assert [one.payload for one in found] == [{"odd": item % 2 == 1} for item, _ in expected]
    odd = models.Filter(must=[models.FieldCondition(key="odd", match=models.MatchValue(value=True))])
    assert {one.id for one in search(fusion, only=odd).ask(client, "c")} == {1, 3}


class Server:
    """A client of a server of some version."""

    def __init__(self, version: str) -> None:
        self.version = version

    def info(self) -> Any:
        return models.VersionInfo(title="qdrant", version=self.version)


@pytest.mark.parametrize(
    ("version", "able"), [("1.15.9", False), ("1.16.0", True), ("1.20.1-dev", True), ("2.0.0", True), ("dev", False)]
)
def test_servers_that_take_no_constant_are_not_asked_to(version: str, able: bool) -> None:
    client: Any = Server(version)
    assert fuses(client, Fusion()) is able
    assert not fuses(client, Fusion(weights=(1.0, 2.0)))


def test_clients_without_the_query_are_not_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(models, "RrfQuery")
    assert not fuses(QdrantClient(":memory:"), Fusion())


def test_a_collection_without_idf_is_refused() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("without", **LAYOUT)
    idf = {"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    client.create_collection("with", **{**LAYOUT, "sparse_vectors_config": idf})
    refuse_missing_idf(client.get_collection("with"), "with", "sparse", "IDF")
    refuse_missing_idf(client.get_collection("without"), "without", "of another name", "IDF")
    with pytest.raises(InputError, match=r"collection 'without' does not count IDF for 'sparse'.*with that"):
        refuse_missing_idf(client.get_collection("without"), "without", "sparse", "that")


def test_numbers_are_checked() -> None:
    assert as_fusion(5, 0, [1, 2]) == Fusion(5, 0, (1.0, 2.0))
    with pytest.raises(InputError, match="fetch_k must be >= 1"):
        as_fusion(0, 60, (1, 1))
    with pytest.raises(InputError, match="3 weights for 2 rankings"):
        as_fusion(100, 60, (1, 1, 1))
    with pytest.raises(InputTypeError, match="weights is float, expected two numbers"):
        as_fusion(100, 60, 0.5)


def test_depth_is_never_less_than_what_is_wanted() -> None:
    assert [Fusion(fetch_k=20).depth(limit) for limit in (4, 50)] == [20, 50]


def test_ids_are_compared_in_one_spelling() -> None:
    assert canonical("4F1C9CF0A1B24F0E8D5C1D2E3F405162") == "4f1c9cf0-a1b2-4f0e-8d5c-1d2e3f405162"
    assert [canonical(name) for name in ("a", 7)] == ["a", "7"]

"""Fusion of dense and sparse vectors by Qdrant itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from onnxembed.adapters.fusion import Fusion
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.models import CollectionInfo, ScoredPoint

__all__ = ["FusedSearch", "afuses", "fuses", "refuse_missing_idf", "rrf_query"]

_OLDEST_SERVER = (1, 16)
"""The first server that takes the rank constant of a fusion."""


def fuses(client: QdrantClient, fusion: Fusion) -> bool:
    """Tell whether Qdrant's own query gives what the core's fusion gives.

    Qdrant divides ranks by their weights before it adds the constant; the core divides the weights by the sum, as
    frameworks do. Even weights are the same in both.
    """
    return _client_fuses(fusion) and _server_fuses(client.info().version)


async def afuses(client: AsyncQdrantClient, fusion: Fusion) -> bool:
    """Tell what `fuses` tells."""
    return _client_fuses(fusion) and _server_fuses((await client.info()).version)


def _client_fuses(fusion: Fusion) -> bool:
    return fusion.even and hasattr(models, "RrfQuery")


def _server_fuses(version: str) -> bool:
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= _OLDEST_SERVER


def rrf_query(fusion: Fusion) -> Any:
    """Give the query that fuses prefetched points; Qdrant counts ranks from 0."""
    return models.RrfQuery(rrf=models.Rrf(k=fusion.rank_constant + 1))


@dataclass(frozen=True, slots=True)
class FusedSearch:
    """A query to a collection of dense and sparse vectors, both of which find points that Qdrant fuses.

    Attributes:
        dense: Name and numbers of the dense query vector.
        sparse: Name, indices and values of the sparse one.
        fusion: How they are fused.
        limit: Most points to return.
        only: Which points may be found; ``None`` for all.
    """

    dense: tuple[str, list[float]]
    sparse: tuple[str, list[int], list[float]]
    fusion: Fusion
    limit: int
    only: models.Filter | None

    def ask(self, client: QdrantClient, collection: str) -> list[ScoredPoint]:
        """Find points, best first."""
        return self._scaled(client.query_points(collection, **self._arguments()).points)

    async def aask(self, client: AsyncQdrantClient, collection: str) -> list[ScoredPoint]:
        """Find points as `ask` does."""
        return self._scaled((await client.query_points(collection, **self._arguments())).points)

    def _arguments(self) -> dict[str, Any]:
        depth = self.fusion.depth(self.limit)
        (dense, numbers), (sparse, indices, values) = self.dense, self.sparse
        words = models.SparseVector(indices=indices, values=values)
        return {
            "prefetch": [
                models.Prefetch(query=numbers, using=dense, limit=depth, filter=self.only),
                models.Prefetch(query=words, using=sparse, limit=depth, filter=self.only),
            ],
            "query": rrf_query(self.fusion),
            "limit": self.limit,
            "with_payload": True,
        }

    def _scaled(self, points: list[ScoredPoint]) -> list[ScoredPoint]:
        for one in points:
            one.score = self.fusion.scaled(one.score)
        return points


def refuse_missing_idf(info: CollectionInfo, collection: str, vector: str, remedy: str) -> None:
    """Refuse a collection that does not weigh terms by their rarity, for a model that leaves this to the store."""
    sparse = (info.config.params.sparse_vectors or {}).get(vector)
    if sparse is not None and sparse.modifier != models.Modifier.IDF:
        raise InputError(
            f"collection {collection!r} does not count IDF for {vector!r}, which the sparse model leaves to it; make "
            f"the collection with {remedy}"
        )

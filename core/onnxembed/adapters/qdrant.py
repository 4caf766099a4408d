"""A Qdrant collection of token vectors, in memory, in a file or on a server."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from onnxembed.adapters.checks import wrong_type
from onnxembed.adapters.qdrant_points import Layout, Search, batches, point_id
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from qdrant_client.models import PointStruct, ScoredPoint

__all__ = ["AsyncCollection", "Collection", "as_async_client", "as_client"]

# Qdrant's collections in memory are made of plain Python objects and arrays that are replaced as they grow.
_ALONE = threading.RLock()


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, reached by blocking calls.

    Attributes:
        client: Qdrant's client.
        name: Name of the collection.
        items: What it holds, for messages.
    """

    client: QdrantClient
    name: str
    items: str = "documents"

    def open(self, layout: Layout, *, create: bool) -> None:
        """Check that the collection has a layout, or make it where it may be made; `InputError` if neither."""
        with _ALONE:
            if create and not self.client.collection_exists(self.name):
                self._create(layout)
            elif not self.client.collection_exists(self.name):
                raise _missing(self.name, self.items)
            layout.check(self.name, self.client.get_collection(self.name).config.params.vectors)

    def _create(self, layout: Layout) -> None:
        try:
            self.client.create_collection(self.name, vectors_config=layout.parameters())
        except Exception:
            if not self.client.collection_exists(self.name):  # another process was not just faster
                raise

    def add(self, points: Iterable[PointStruct]) -> None:
        """Store points, which are taken one by one."""
        for batch in batches(points):
            with self.guard():
                self.client.upsert(self.name, batch)

    def delete(self, names: Iterable[str]) -> None:
        """Delete the points of these names; others are passed over."""
        ids = [point_id(name) for name in names]
        with self.guard():
            self.client.delete(self.name, points_selector=models.PointIdsList(points=list(ids)))

    def search(self, search: Search) -> list[ScoredPoint]:
        """Find the points of the largest MaxSim, best first."""
        with self.guard():
            return self.client.query_points(self.name, **search.arguments()).points

    def guard(self) -> AbstractContextManager[object]:
        """Keep other threads off a collection that is on no server."""
        options = self.client.init_options
        return _ALONE if options["location"] == ":memory:" or options["path"] is not None else nullcontext()


@dataclass(frozen=True, slots=True)
class AsyncCollection:
    """A collection, reached by asynchronous calls.

    Attributes:
        client: Qdrant's asynchronous client.
        name: Name of the collection.
        items: What it holds, for messages.
    """

    client: AsyncQdrantClient
    name: str
    items: str = "documents"

    async def open(self, layout: Layout, *, create: bool) -> None:
        """Do what `Collection.open` does."""
        if create and not await self.client.collection_exists(self.name):
            await self._create(layout)
        elif not await self.client.collection_exists(self.name):
            raise _missing(self.name, self.items)
        layout.check(self.name, (await self.client.get_collection(self.name)).config.params.vectors)

    async def _create(self, layout: Layout) -> None:
        try:
            await self.client.create_collection(self.name, vectors_config=layout.parameters())
        except Exception:
            if not await self.client.collection_exists(self.name):  # another task was not just faster
                raise

    async def add(self, batch: list[PointStruct]) -> None:
        """Store the points of one of `batches`."""
        await self.client.upsert(self.name, batch)

    async def search(self, search: Search) -> list[ScoredPoint]:
        """Find the points of the largest MaxSim, best first."""
        return (await self.client.query_points(self.name, **search.arguments())).points


def _missing(name: str, items: str) -> InputError:
    return InputError(f"there is no collection {name!r}; add {items}, or pass another collection_name=")


def as_client(given: object) -> QdrantClient:
    """Check a client; ``None`` gives a new one that holds everything in memory."""
    if given is None:
        return QdrantClient(":memory:")
    if not isinstance(given, QdrantClient):
        raise wrong_type("client", given, "a QdrantClient")
    return given


def as_async_client(given: object) -> AsyncQdrantClient:
    """Check an asynchronous client."""
    if not isinstance(given, AsyncQdrantClient):
        raise wrong_type("aclient", given, "an AsyncQdrantClient")
    return given

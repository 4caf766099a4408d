"""A Qdrant collection of token vectors, in memory, in a file or on a server."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.retrievers.onnxembed._vectors import Layout, Question, batches

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.models import PointStruct, ScoredPoint

# Qdrant's collections in memory are made of plain Python objects and arrays that are replaced as they grow.
_ALONE = threading.RLock()


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, reached by blocking calls.

    Attributes:
        client: Qdrant's client.
        name: Name of the collection.
    """

    client: QdrantClient
    name: str

    def open(self, layout: Layout, *, create: bool) -> None:
        """Check the collection, or make it.

        Args:
            layout: What vectors it must have.
            create: Whether it is made if it is not there.

        Raises:
            InputError: It has other vectors, or is not there and shall not be made.
        """
        with _ALONE:
            if create and not self.client.collection_exists(self.name):
                self._create(layout)
            elif not self.client.collection_exists(self.name):
                raise _missing(self.name)
            layout.check(self.name, self.client.get_collection(self.name).config.params.vectors)

    def _create(self, layout: Layout) -> None:
        try:
            self.client.create_collection(self.name, vectors_config=layout.parameters())
        except Exception:
            if not self.client.collection_exists(self.name):  # another process was not just faster
                raise

    def add(self, points: Iterable[PointStruct]) -> None:
        """Store points; they are taken one by one.

        Args:
            points: The points.
        """
        for batch in batches(points):
            with self._guard():
                self.client.upsert(self.name, batch)

    def search(self, question: Question) -> list[ScoredPoint]:
        """Find the points of the largest MaxSim.

        Args:
            question: What is asked.

        Returns:
            The points with their scores, best first.
        """
        with self._guard():
            return self.client.query_points(self.name, **question.arguments()).points

    def _guard(self) -> AbstractContextManager[object]:
        """Keep other threads off what is no server."""
        options = self.client.init_options
        return _ALONE if options["location"] == ":memory:" or options["path"] is not None else nullcontext()


@dataclass(frozen=True, slots=True)
class AsyncCollection:
    """A collection, reached by asynchronous calls.

    Attributes:
        client: Qdrant's asynchronous client.
        name: Name of the collection.
    """

    client: AsyncQdrantClient
    name: str

    async def open(self, layout: Layout, *, create: bool) -> None:
        """Check the collection, or make it.

        Args:
            layout: What vectors it must have.
            create: Whether it is made if it is not there.

        Raises:
            InputError: It has other vectors, or is not there and shall not be made.
        """
        if create and not await self.client.collection_exists(self.name):
            await self._create(layout)
        elif not await self.client.collection_exists(self.name):
            raise _missing(self.name)
        layout.check(self.name, (await self.client.get_collection(self.name)).config.params.vectors)

    async def _create(self, layout: Layout) -> None:
        try:
            await self.client.create_collection(self.name, vectors_config=layout.parameters())
        except Exception:
            if not await self.client.collection_exists(self.name):  # another task was not just faster
                raise

    async def add(self, batch: list[PointStruct]) -> None:
        """Store points.

        Args:
            batch: The points, one or more.
        """
        await self.client.upsert(self.name, batch)

    async def search(self, question: Question) -> list[ScoredPoint]:
        """Find the points of the largest MaxSim.

        Args:
            question: What is asked.

        Returns:
            The points with their scores, best first.
        """
        return (await self.client.query_points(self.name, **question.arguments())).points


def _missing(name: str) -> Exception:
    from onnxembed.errors import InputError

    return InputError(f"there is no collection {name!r}; add nodes, or pass another collection_name=")

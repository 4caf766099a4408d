"""Points of a Qdrant collection of token vectors, and questions to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from qdrant_client import models
except ImportError as error:
    raise ImportError(
        'OnnxLateInteractionRetriever needs qdrant-client: pip install "llama-index-onnxembed[qdrant]"'
    ) from error

if TYPE_CHECKING:
    from qdrant_client.models import PointStruct, VectorParams

Array = np.ndarray[Any, np.dtype[Any]]

TOKENS = "late-interaction"
"""The name of a point's token vectors."""
FIRST_STAGE = "first-stage"
"""The name of a point's single vector, where there is one."""

# Written as JSON a float32 takes some 20 bytes; the server takes requests of up to 32 MB.
_MOST_NUMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """What vectors the points of a collection have.

    Attributes:
        tokens: Numbers of a token vector.
        first_stage: Numbers of the single vector; ``None`` where there is none.
        dot: Whether single vectors are ranked by their dot product instead of their cosine.
    """

    tokens: int
    first_stage: int | None = None
    dot: bool = False

    def parameters(self) -> dict[str, VectorParams]:
        """Give what a collection must be told.

        Returns:
            The parameters of each vector.
        """
        rescored_only = None if self.first_stage is None else models.HnswConfigDiff(m=0)
        named = {
            # Cosine would scale token vectors to length 1, which changes the scores of models that do not.
            TOKENS: models.VectorParams(
                size=self.tokens,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
                hnsw_config=rescored_only,
            )
        }
        if self.first_stage is not None:
            distance = models.Distance.DOT if self.dot else models.Distance.COSINE
            named[FIRST_STAGE] = models.VectorParams(size=self.first_stage, distance=distance)
        return named

    def check(self, collection: str, found: Any) -> None:
        """Refuse a collection of another layout.

        Args:
            collection: Its name.
            found: The parameters of its vectors.

        Raises:
            InputError: The vectors that are needed are not there, or are others.
        """
        there = found if isinstance(found, Mapping) else {"": found}
        for name, wanted in self.parameters().items():
            has = there.get(name)
            if has is None or _facts(has) != _facts(wanted):
                from onnxembed.errors import InputError

                raise InputError(
                    f"collection {collection!r} has {name!r} as {_told(has)}, expected {_told(wanted)}; pass the model "
                    "that filled it, or another collection_name="
                )


@dataclass(frozen=True, slots=True)
class Question:
    """What a collection is asked.

    Attributes:
        tokens: The query's token vectors.
        first_stage: The query's single vector, whose nearest points alone are compared; ``None`` for all points.
        limit: The most points to return.
        candidates: How many points the first stage finds.
    """

    tokens: list[list[float]]
    first_stage: list[float] | None
    limit: int
    candidates: int

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of ``query_points``.

        Returns:
            The arguments.
        """
        narrowed = None
        if self.first_stage is not None:
            candidates = max(self.candidates, self.limit)
            narrowed = models.Prefetch(query=self.first_stage, using=FIRST_STAGE, limit=candidates)
        return {"query": self.tokens, "using": TOKENS, "prefetch": narrowed, "limit": self.limit}


def point(
    name: str, tokens: list[list[float]], first_stage: list[float] | None, payload: dict[str, Any]
) -> PointStruct:
    """Make a point.

    Args:
        name: What the caller calls it: the same name replaces the point.
        tokens: Its token vectors.
        first_stage: Its single vector.
        payload: What is stored with it.

    Returns:
        The point.
    """
    vectors = {TOKENS: tokens} if first_stage is None else {TOKENS: tokens, FIRST_STAGE: first_stage}
    # The numbers are the engine's own: validating them takes ten times as long as everything else here.
    return models.PointStruct.model_construct(id=_point_id(name), vector=vectors, payload=payload)


def with_rows(matrix: Array, dim: int) -> Array:
    """Give a text without token vectors one of zeros, since Qdrant takes none without.

    Args:
        matrix: (tokens, dim) float32.
        dim: Numbers of a vector.

    Returns:
        The matrix, of one row at least; the MaxSim of zeros is 0, as it is of nothing.
    """
    return matrix if len(matrix) else np.zeros((1, dim), np.float32)


def _point_id(name: str) -> str:
    """A point is named by a UUID: the given one, or one made of another name."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def batches(points: Iterable[PointStruct]) -> Iterator[list[PointStruct]]:
    """Cut points into requests that a server takes.

    Args:
        points: The points; they are taken one by one.

    Yields:
        The points of a request.
    """
    batch: list[PointStruct] = []
    numbers = 0
    for one in points:
        size = _size(one)
        if batch and numbers + size > _MOST_NUMBERS:
            yield batch
            batch, numbers = [], 0
        batch.append(one)
        numbers += size
    if batch:
        yield batch


def _size(one: PointStruct) -> int:
    vectors: Any = one.vector
    tokens = vectors[TOKENS]
    return len(tokens) * len(tokens[0]) + len(vectors.get(FIRST_STAGE, ()))


def _facts(vectors: VectorParams) -> tuple[int, str, str | None]:
    multi = vectors.multivector_config
    return vectors.size, vectors.distance.value, None if multi is None else multi.comparator.value


def _told(vectors: VectorParams | None) -> str:
    if vectors is None:
        return "nothing"
    size, distance, comparator = _facts(vectors)
    return f"{'vectors' if comparator is None else comparator + ' multivectors'} of {size} numbers ({distance})"

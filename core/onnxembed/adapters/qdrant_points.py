"""What a Qdrant collection of token vectors holds and is asked: its layout, points and searches."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from onnxembed.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from qdrant_client.models import Filter, PointStruct, VectorParams

__all__ = [
    "FIRST_STAGE",
    "POINT_NUMBERS",
    "REQUEST_NUMBERS",
    "TOKENS",
    "Layout",
    "Search",
    "batches",
    "metadata_filter",
    "point",
    "point_id",
    "refuse_large",
]

TOKENS = "late-interaction"
"""The name of a point's token vectors."""
FIRST_STAGE = "first-stage"
"""The name of a point's single vector, where there is one."""
REQUEST_NUMBERS = 1 << 20
"""Most numbers in one request: a float32 takes some 20 bytes as JSON, and servers take requests of up to 32 MB."""
POINT_NUMBERS = 1 << 20
"""Most numbers that Qdrant takes for the token vectors of one point; servers refuse the whole request for more."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The vectors that each point of a collection has.

    Attributes:
        tokens: Numbers of a token vector.
        first_stage: Numbers of the single vector; ``None`` where there is none.
        dot: Whether single vectors are ranked by their dot product instead of their cosine.
    """

    tokens: int
    first_stage: int | None = None
    dot: bool = False

    def parameters(self) -> dict[str, VectorParams]:
        """Give the parameters that a new collection needs, by the name of the vector."""
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

    def check(self, collection: str, found: VectorParams | Mapping[str, VectorParams] | None) -> None:
        """Refuse a collection of another layout, by its name and the parameters of its vectors."""
        there = found if isinstance(found, Mapping) else {"": found}
        for name, wanted in self.parameters().items():
            has = there.get(name)
            if has is None or _facts(has) != _facts(wanted):
                raise InputError(
                    f"collection {collection!r} has {name!r} as {_described(has)}, expected {_described(wanted)}; pass "
                    "the model that filled it, or another collection_name="
                )


def _facts(vectors: VectorParams) -> tuple[int, str, str | None]:
    multi = vectors.multivector_config
    return vectors.size, vectors.distance.value, None if multi is None else multi.comparator.value


def _described(vectors: VectorParams | None) -> str:
    if vectors is None:
        return "nothing"
    size, distance, comparator = _facts(vectors)
    return f"{'vectors' if comparator is None else comparator + ' multivectors'} of {size} numbers ({distance})"


@dataclass(frozen=True, slots=True)
class Search:
    """A query to a collection.

    Attributes:
        tokens: The query's token vectors.
        first_stage: The query's single vector, whose nearest points alone are compared; ``None`` for all points.
        limit: Most points to return.
        candidates: Points that the first stage finds; ``limit`` if that is more.
        filter: Which points may be found; ``None`` for all.
    """

    tokens: list[list[float]]
    first_stage: list[float] | None
    limit: int
    candidates: int
    filter: Filter | None = None

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of ``query_points``."""
        narrowed = None
        if self.first_stage is not None:
            candidates = max(self.candidates, self.limit)
            narrowed = models.Prefetch(query=self.first_stage, using=FIRST_STAGE, limit=candidates, filter=self.filter)
        return {
            "query": self.tokens,
            "using": TOKENS,
            "prefetch": narrowed,
            "limit": self.limit,
            "query_filter": self.filter,
        }


def point(
    name: str | None, tokens: list[list[float]], first_stage: list[float] | None, payload: dict[str, Any]
) -> PointStruct:
    """Make a point.

    Args:
        name: The document's name: the same one replaces the point. ``None`` makes a new point.
        tokens: Its token vectors.
        first_stage: Its single vector.
        payload: What is stored with it.

    Returns:
        The point. Its id is a UUID: the name if that is one, else one made of the name.
    """
    vectors = {TOKENS: tokens} if first_stage is None else {TOKENS: tokens, FIRST_STAGE: first_stage}
    # The numbers are the engine's own: validating them takes ten times as long as everything else here.
    return models.PointStruct.model_construct(id=point_id(name), vector=vectors, payload=payload)


def refuse_large(rows: int, dim: int, what: str) -> None:
    """Refuse token vectors that Qdrant would not take, before anything is sent."""
    if rows * dim > POINT_NUMBERS:
        raise InputError(
            f"{what} has {rows} token vectors of {dim} numbers, {rows * dim:,} in all; Qdrant takes at most "
            f"{POINT_NUMBERS:,}: split it, or give the model a smaller max_length="
        )


def metadata_filter(values: Mapping[str, Any], folder: str = "metadata") -> Filter:
    """Make a filter of values that the entries of a payload's ``folder`` must have."""
    return models.Filter(must=[_condition(f"{folder}.{name}", value) for name, value in values.items()])


def _condition(key: str, value: object) -> models.FieldCondition:
    if isinstance(value, bool | int | str):
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if isinstance(value, float):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    raise InputTypeError(
        f"filter: {key} is {type(value).__name__}, expected a string, a number or a truth value; pass a "
        "qdrant_client.models.Filter for other conditions"
    )


def point_id(name: str | None) -> str:
    """Give the id of the point that a document of this name has: the name if it is a UUID, else one made of it."""
    if name is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def batches(points: Iterable[PointStruct]) -> Iterator[list[PointStruct]]:
    """Cut points into requests of at most `REQUEST_NUMBERS` numbers; a larger point is one of its own."""
    batch: list[PointStruct] = []
    numbers = 0
    for one in points:
        size = _size(one)
        if batch and numbers + size > REQUEST_NUMBERS:
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

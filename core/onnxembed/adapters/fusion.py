"""How a hybrid retriever makes one ranking of what dense and sparse vectors find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from onnxembed.adapters.checks import wrong_type
from onnxembed.api.fusion import RANK_CONSTANT, check_weights, reciprocal_rank_fusion
from onnxembed.api.inputs import check_count
from onnxembed.errors import InputError

__all__ = [
    "EVEN",
    "FETCH_K",
    "RANK_CONSTANT",
    "RERANK_K",
    "Fusion",
    "as_fusion",
    "canonical",
    "fused",
    "refuse_other_ids",
]

ItemT = TypeVar("ItemT")

FETCH_K: Final = 100
"""How deep each side searches: what one side has at place 50 may be the answer where the other has it, too."""
RERANK_K: Final = 50
"""How many of the fused ranking a reranker reads."""
EVEN: Final = (1.0, 1.0)
"""Weights that count both sides alike."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """The numbers of a fusion.

    Attributes:
        fetch_k: Most documents that each side finds.
        rank_constant: What is added to each rank.
        weights: Of the dense and of the sparse side.
    """

    fetch_k: int = FETCH_K
    rank_constant: int = RANK_CONSTANT
    weights: tuple[float, float] = EVEN

    @property
    def even(self) -> bool:
        """Whether both sides count alike."""
        return self.weights[0] == self.weights[1]

    def depth(self, limit: int) -> int:
        """Give how many documents each side is asked for where ``limit`` of them are wanted."""
        return max(self.fetch_k, limit)

    def scaled(self, score: float) -> float:
        """Give the score with even weights of one whose weights were 1."""
        return score * self.weights[0]


def as_fusion(fetch_k: Any, rank_constant: Any, weights: Any) -> Fusion:
    """Check the numbers of a fusion."""
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise wrong_type("weights", weights, "two numbers: of the dense and of the sparse side")
    dense, sparse = check_weights(weights, 2)
    return Fusion(check_count(fetch_k, "fetch_k", 1), check_count(rank_constant, "rank_constant", 0), (dense, sparse))


def fused(
    dense: Iterable[tuple[str, ItemT]], sparse: Iterable[tuple[str, ItemT]], fusion: Fusion, limit: int
) -> list[tuple[ItemT, float]]:
    """Fuse what two searches found.

    Args:
        dense: Id and item, best first.
        sparse: The same of the other side.
        fusion: How.
        limit: Most items to keep.

    Returns:
        Items and scores, best first; an item that both found is the one of the dense side.
    """
    first, second = list(dense), list(sparse)
    items: Mapping[str, ItemT] = {**dict(reversed(second)), **dict(reversed(first))}
    rankings = [[name for name, _ in side] for side in (first, second)]
    ranked = reciprocal_rank_fusion(rankings, weights=fusion.weights, rank_constant=fusion.rank_constant)
    return [(items[name], score) for name, score in ranked[:limit]]


def refuse_other_ids(ids: Iterable[str | None]) -> None:
    """Refuse ids that are no UUIDs, as Qdrant does; before anything is made, since it would do so halfway."""
    for name in ids:
        if name is None:
            continue
        try:
            UUID(name)
        except ValueError:
            raise InputError(
                f"the id {name!r} is no UUID, and Qdrant takes no other text; leave the id out, or pass "
                f"str(uuid.uuid5(uuid.NAMESPACE_OID, {name!r})), and keep yours in the metadata"
            ) from None


def canonical(name: object) -> str:
    """Give an id in the spelling that both sides are compared in: stores write UUIDs with and without dashes."""
    text = str(name)
    try:
        return str(UUID(text))
    except ValueError:
        return text

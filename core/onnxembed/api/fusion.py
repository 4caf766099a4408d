"""Several rankings of the same items as one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import inf
from typing import Final, TypeVar

from onnxembed.api.inputs import check_count, check_number
from onnxembed.errors import InputError

KeyT = TypeVar("KeyT", bound=Hashable)

RANK_CONSTANT: Final = 60
"""What is added to each rank, as Cormack, Clarke and Büttcher propose (2009): first places decide less alone."""


def reciprocal_rank_fusion(
    rankings: Sequence[Iterable[KeyT]], *, weights: Sequence[float] | None = None, rank_constant: int = RANK_CONSTANT
) -> list[tuple[KeyT, float]]:
    """Fuse rankings by reciprocal ranks: ``sum(weight / (rank_constant + rank))``, where the first rank is 1.

    Only places count, so that scores of different kinds, such as cosines and BM25, need no common scale. The deeper the
    rankings are, the more items can profit from being found by several: 100 places each are a good start.

    Args:
        rankings: What each search found, best first; of an item that repeats, its best place counts.
        weights: One number of 0 or more for each ranking; a ranking of weight 0 is left out. ``None`` weighs all alike.
        rank_constant: What is added to each rank, an integer of 0 or more.

    Returns:
        Each item that was found and its score, best first; equal scores in the order of the rankings.

    Raises:
        InputError: There are not as many weights as rankings, a number is out of range, or all weights are 0.
        InputTypeError: A number has the wrong type.
    """
    constant = check_count(rank_constant, "rank_constant", 0)
    shares = check_weights([1.0] * len(rankings) if weights is None else weights, len(rankings))
    scores: dict[KeyT, float] = {}
    for ranking, weight in zip(rankings, shares, strict=True):
        if weight > 0:
            for rank, item in enumerate(dict.fromkeys(ranking), 1):
                scores[item] = scores.get(item, 0.0) + weight / (constant + rank)
    return sorted(scores.items(), key=lambda entry: -entry[1])


def check_weights(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Check the weights of ``count`` rankings."""
    if len(weights) != count:
        raise InputError(f"{len(weights)} weights for {count} rankings; pass one for each")
    checked = tuple(check_number(weight, "weights", 0, inf) for weight in weights)
    if count and not any(checked):
        raise InputError(f"weights={list(checked)}: expected one above 0")
    return checked

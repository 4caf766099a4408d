"""Which items run together: sorted by cost, cut by a budget.

A batch is padded to its longest item, so its price is the longest cost times the number of items. Items of like cost
together waste nothing; a batch above the processor's appetite gains nothing and costs memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The bounds of batches and windows, which together bound the memory of a run.

    Attributes:
        budget: Highest padded cost of a batch (its items times its highest cost); an item above it runs alone.
        max_items: Highest number of items in a batch.
        window_items: How many items are read ahead and sorted together.
        window_size: A window also ends at this total size of its items, in the family's own unit.
    """

    budget: int
    max_items: int
    window_items: int
    window_size: int


def plan_batches(costs: Sequence[int], budget: int, max_items: int) -> list[list[int]]:
    """Cut items into batches.

    Args:
        costs: Cost of each item, such as its tokens.
        budget: See `BatchLimits`.
        max_items: See `BatchLimits`.

    Returns:
        Lists of positions in ``costs``; every position occurs once. The costliest come first, so that the last batches,
        during which some workers already idle, are the cheapest.
    """
    order = sorted(range(len(costs)), key=lambda position: -costs[position])
    batches: list[list[int]] = []
    batch: list[int] = []
    highest = 0
    for position in order:
        if batch and (len(batch) >= max_items or (len(batch) + 1) * highest > budget):
            batches.append(batch)
            batch = []
        if not batch:
            highest = max(1, costs[position])
        batch.append(position)
    if batch:
        batches.append(batch)
    return batches

"""Which items run together: sorted by cost, cut by a budget.

A batch is padded to its longest item, so its price is the longest cost times the number of items. Items of like cost
together waste nothing; a batch larger than the processor can use is no faster and costs memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# Items sorted together. More would sort a little better; fewer reach the caller sooner and are forgotten sooner.
_WINDOW_ITEMS = 512
_WINDOW_SIZE = 4_000_000


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a loaded graph decides about its runs, once.

    Attributes:
        budget: Highest padded cost of a batch: larger ones are no faster and take more memory.
        workers: Threads that run batches when the caller does not say: one per session, each using all its processors.
        one_by_one: Whether every item must be its own batch, since neighbours would change its result.
        apart_from: Cost from which an item runs with items of its own cost alone; ``None`` for none.
        moved: The budget of the devices that the sessions are on by now; ``None`` where they cannot move.
    """

    budget: int
    workers: int = 1
    one_by_one: bool = False
    apart_from: int | None = None
    moved: Callable[[], int] | None = field(default=None, compare=False)

    @property
    def budget_now(self) -> int:
        """The budget, or that of the device which the sessions have moved to."""
        return self.budget if self.moved is None else min(self.budget, self.moved())


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The bounds of batches and windows, which together bound the memory of a run.

    Attributes:
        budget: Highest padded cost of a batch (its items times its highest cost); an item above it runs alone.
        max_items: Highest number of items in a batch.
        window_items: How many items are read ahead and sorted together; at least two batches.
        window_size: A window also ends at this total size of its items, in the unit of `Work.size`.
        workers: Threads that run batches.
        apart_from: Cost from which an item runs with items of its own cost alone; ``None`` for none.
    """

    budget: int
    max_items: int
    window_items: int
    window_size: int
    workers: int = 1
    apart_from: int | None = None


def batch_limits(plan: RunPlan, batch_size: int, workers: int | None, budget: int | None) -> BatchLimits:
    """Combine what the graph decided with what a call says.

    Args:
        plan: The graph's own numbers.
        batch_size: Most items in a batch.
        workers: Batches run at once, or ``None`` for the plan's number.
        budget: Cost of a padded batch, or ``None`` for the plan's.

    Returns:
        The bounds of the call.
    """
    return BatchLimits(
        budget=budget or plan.budget_now,
        max_items=1 if plan.one_by_one else batch_size,
        window_items=min(max(_WINDOW_ITEMS, 2 * batch_size), sys.maxsize),
        window_size=_WINDOW_SIZE,
        workers=workers or plan.workers,
        apart_from=plan.apart_from,
    )


def plan_batches(costs: Sequence[int], budget: int, max_items: int, apart_from: int | None = None) -> list[list[int]]:
    """Cut items of the given costs into batches of positions; every position occurs once.

    Items that cost ``apart_from`` or more share a batch only with their equals.

    The costliest come first, so that the last batches, during which some workers already idle, are the cheapest.
    """
    if len(costs) == 1:
        return [[0]]
    order = sorted(range(len(costs)), key=costs.__getitem__, reverse=True)
    batches: list[list[int]] = []
    batch: list[int] = []
    highest = 0
    for position in order:
        other = apart_from is not None and highest >= apart_from and costs[position] != highest
        if batch and (other or len(batch) >= max_items or (len(batch) + 1) * highest > budget):
            batches.append(batch)
            batch = []
        if not batch:
            highest = max(1, costs[position])
        batch.append(position)
    if batch:
        batches.append(batch)
    return batches

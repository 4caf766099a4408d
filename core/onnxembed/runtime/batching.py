"""Which items run together: sorted by cost, cut within a budget where that wastes least.

A batch is padded to its longest item, so its price is the longest cost times the number of items. Items of like cost
together waste nothing; a batch larger than the processor can use is no faster and costs memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

# Items sorted together. More would sort a little better; fewer reach the caller sooner and are forgotten sooner.
_WINDOW_ITEMS = 512
_WINDOW_SIZE = 4_000_000
# What a run takes beside its items, as a part of the budget: with two threads, as long as 32 of 512 tokens.
_RUN_SHARE = 1 / 16
ANY_NUMBER = sys.maxsize
"""Items of a batch where the budget alone decides."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a loaded graph decides about its runs, once.

    Attributes:
        budget: Highest padded cost of a batch: larger ones are no faster and take more memory.
        workers: Threads that run batches when the caller does not say: one per session, each using all its processors.
        one_by_one: Whether every item must be its own batch, since neighbours would change its result.
        apart_from: Cost from which an item runs with items of its own cost alone; ``None`` for none.
        squares: Highest sum of squared padded costs of a batch, for memory that grows so, as the scores of attention
            do; ``None`` for no such bound.
        least_window: Total size of items, in the unit of `Work.size`, that a window has at least where there are so
            many: a large budget needs larger windows.
        preparers: Threads that prepare windows; more than one where a device would wait for them.
        lanes: Processors that may each run batches of their own, where there are many; the budget is that of all.
        moved: The budget of the devices that the sessions are on by now; ``None`` where they cannot move.
    """

    budget: int
    workers: int = 1
    one_by_one: bool = False
    apart_from: int | None = None
    squares: int | None = None
    least_window: int = 0
    preparers: int = 1
    lanes: int = 1
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
        window_items: How many items are read ahead and sorted together; at least four batches.
        window_size: A window also ends at this total size of its items, in the unit of `Work.size`.
        workers: Threads that run batches.
        apart_from: Cost from which an item runs with items of its own cost alone; ``None`` for none.
        squares: Highest sum of squared padded costs of a batch, ``None`` for no such bound.
        least_window: Total size that a window has at least, in the unit of `Work.size`.
        preparers: Threads that prepare windows.
        lanes: Processors that may each run batches of their own, where there are many.
    """

    budget: int
    max_items: int
    window_items: int
    window_size: int
    workers: int = 1
    apart_from: int | None = None
    squares: int | None = None
    least_window: int = 0
    preparers: int = 1
    lanes: int = 1

    def in_lanes(self) -> BatchLimits:
        """The bounds where each processor runs batches of its own."""
        return replace(self, budget=max(1, self.budget // self.lanes), workers=self.lanes)


def batch_limits(plan: RunPlan, batch_size: int, workers: int | None, budget: int | None) -> BatchLimits:
    """Combine what the graph decided with what a call says.

    Args:
        plan: The graph's own numbers.
        batch_size: Most items in a batch; `ANY_NUMBER` leaves it to the budget.
        workers: Batches run at once, or ``None`` for the plan's number.
        budget: Cost of a padded batch, which then is the one bound on it, or ``None`` for the plan's bounds.

    Returns:
        The bounds of the call.
    """
    return BatchLimits(
        budget=budget or (plan.budget if plan.moved is None else plan.budget_now),
        max_items=1 if plan.one_by_one else batch_size,
        window_items=_WINDOW_ITEMS if batch_size == ANY_NUMBER else min(max(_WINDOW_ITEMS, 4 * batch_size), ANY_NUMBER),
        window_size=_WINDOW_SIZE,
        workers=workers or plan.workers,
        apart_from=plan.apart_from,
        squares=None if budget else plan.squares,
        least_window=min(plan.least_window, _WINDOW_SIZE),
        preparers=plan.preparers,
        lanes=plan.lanes if workers is None and budget is None else 1,
    )


def plan_within(costs: Sequence[int], limits: BatchLimits) -> list[list[int]]:
    """Cut items of the given costs into batches within the bounds of a call."""
    return plan_batches(costs, limits.budget, limits.max_items, limits.apart_from, limits.squares)


def plan_batches(
    costs: Sequence[int],
    budget: int,
    max_items: int,
    apart_from: int | None = None,
    squares: int | None = None,
) -> list[list[int]]:
    """Cut items of the given costs into batches of positions; every position occurs once.

    Items that cost ``apart_from`` or more share a batch only with their equals.

    Of all cuts of the sorted items into batches within the bounds, that with the least price: the padded costs of all
    batches, and ``_RUN_SHARE`` of the budget for each batch, which is what a run takes however small it is. The
    costliest come first, so that the last batches, during which some workers already idle, are the cheapest.
    """
    count = len(costs)
    if count == 1:
        return [[0]]
    import numpy as np

    order = sorted(range(count), key=costs.__getitem__, reverse=True)
    highest = np.array([max(1, costs[position]) for position in order], np.int64)
    room = np.minimum(max_items, budget // highest)
    if squares is not None:
        room = np.minimum(room, squares // highest**2)
    # A batch from `first` up to `end` is padded to the cost at `first`; an item above the budget runs alone.
    room = np.maximum(room, 1)
    if apart_from is not None:  # up to the end of its equals
        equals = np.searchsorted(-highest, -highest, side="right") - np.arange(count)
        room = np.where(highest >= apart_from, np.minimum(room, equals), room)
    ends = (np.arange(count) + room).tolist()
    steps = highest.tolist()
    starts = [0] * (count + 1)
    per_run, price, first = budget * _RUN_SHARE, 0.0, 0
    # Of a batch that begins at an item: the price of all before it and of its run, less what its place multiplies.
    begun = np.empty(count)
    for end in range(1, count + 1):
        begun[end - 1] = price + per_run - (end - 1) * steps[end - 1]
        while ends[first] < end:
            first += 1
        prices = begun[first:end] + end * highest[first:end]
        # Of equal prices that of the smallest last batch, which leaves the others full.
        best = end - first - 1 - prices[::-1].argmin()
        price = prices[best]
        starts[end] = first + int(best)
    batches: list[list[int]] = []
    end = count
    while end:
        batches.append(order[starts[end] : end])
        end = starts[end]
    return batches[::-1]

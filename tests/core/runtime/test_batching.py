from hypothesis import given
from hypothesis import strategies as st

from onnxembed.runtime.batching import ANY_NUMBER, RunPlan, batch_limits, plan_batches


def test_alike_costs_go_together_costliest_first() -> None:
    assert plan_batches([1, 9, 1, 9, 1], budget=18, max_items=9) == [[1, 3], [0, 2, 4]]


def test_an_item_over_the_budget_goes_alone() -> None:
    assert plan_batches([5, 100, 5], budget=10, max_items=9) == [[1], [0, 2]]


def test_a_cap_on_items() -> None:
    assert plan_batches([1] * 5, budget=100, max_items=2) == [[0, 1], [2, 3], [4]]


def test_items_that_cost_nothing_still_count_one() -> None:
    assert plan_batches([0, 0, 0], budget=2, max_items=9) == [[0, 1], [2]]


def test_nothing_gives_nothing() -> None:
    assert plan_batches([], budget=10, max_items=1) == []


@given(st.integers(1, 100_000), st.booleans())
def test_windows_hold_at_least_four_batches(batch_size: int, one_by_one: bool) -> None:
    """While some batches run, there are others to be sorted against them and to follow."""
    limits = batch_limits(RunPlan(budget=256, one_by_one=one_by_one), batch_size, None, None)
    assert limits.window_items >= 4 * batch_size >= 4 * limits.max_items
    assert limits.max_items == (1 if one_by_one else batch_size)


def test_a_call_decides_where_it_says_something() -> None:
    plan = RunPlan(budget=256, workers=3)
    told, untold = batch_limits(plan, 8, 2, 99), batch_limits(plan, 8, None, None)
    assert (told.workers, told.budget) == (2, 99)
    assert (untold.workers, untold.budget) == (3, 256)


def test_without_a_batch_size_the_budget_decides() -> None:
    limits = batch_limits(RunPlan(budget=10_000, least_window=50_000, preparers=2), ANY_NUMBER, None, None)
    assert (limits.window_items, limits.least_window, limits.preparers) == (512, 50_000, 2)
    assert [len(batch) for batch in plan_batches([5] * 5000, limits.budget, limits.max_items)] == [2000, 2000, 1000]


def test_squares_bound_long_items() -> None:
    assert plan_batches([10, 10, 10, 2, 2, 2], budget=100, max_items=9, squares=200) == [[0, 1], [2], [3, 4, 5]]
    assert plan_batches([100, 100], budget=1000, max_items=9, squares=200) == [[0], [1]]
    plan = RunPlan(budget=100, squares=7)
    assert batch_limits(plan, 8, None, None).squares == 7
    assert batch_limits(plan, 8, None, budget=50).squares is None  # the caller's budget is the one bound


@given(st.lists(st.integers(0, 600)), st.integers(1, 1000), st.integers(1, 300))
def test_every_item_once_within_the_bounds(costs: list[int], budget: int, max_items: int) -> None:
    batches = plan_batches(costs, budget, max_items)
    assert sorted(position for batch in batches for position in batch) == list(range(len(costs)))
    for batch in batches:
        assert 1 <= len(batch) <= max_items
        padded = max(1, *(costs[position] for position in batch)) * len(batch)
        assert padded <= budget or len(batch) == 1


def test_costly_items_run_with_their_equals_alone() -> None:
    costs = [9, 3, 8, 9, 2, 8, 8]
    assert plan_batches(costs, budget=99, max_items=9, apart_from=8) == [[0, 3], [2, 5, 6], [1, 4]]
    assert plan_batches(costs, budget=999, max_items=9, apart_from=10) == [[0, 3, 2, 5, 6, 1, 4]]
    assert plan_batches(costs, budget=999, max_items=2, apart_from=8) == [[0, 3], [2, 5], [6], [1, 4]]
    assert batch_limits(RunPlan(budget=256, apart_from=8), 4, None, 300).apart_from == 8


def _cuts(count: int) -> list[list[int]]:
    """All ways to cut so many items, as the sizes of the parts."""
    return [[]] if not count else [[size, *rest] for size in range(1, count + 1) for rest in _cuts(count - size)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.integers(1, 200), st.integers(1, 9))
def test_no_other_cut_costs_less(costs: list[int], budget: int, max_items: int) -> None:
    """The price is the padded cost, and a sixteenth of the budget for each run."""
    ordered = sorted((max(1, cost) for cost in costs), reverse=True)

    def price(sizes: list[int]) -> float:
        total, start = 0.0, 0
        for size in sizes:
            padded = ordered[start] * size
            if size > 1 and (padded > budget or size > max_items):
                return float("inf")
            total, start = total + padded + budget / 16, start + size
        return total

    found = price([len(batch) for batch in plan_batches(costs, budget, max_items)])
    assert found == min(map(price, _cuts(len(ordered))))


def test_a_batch_ends_where_the_next_items_are_much_cheaper() -> None:
    assert plan_batches([30, 30, 9, 9, 9, 9, 9, 9, 9, 9], budget=120, max_items=99) == [
        [0, 1],
        [2, 3, 4, 5, 6, 7, 8, 9],
    ]

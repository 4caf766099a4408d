from hypothesis import given
from hypothesis import strategies as st

from onnxembed.runtime.batching import RunPlan, batch_limits, plan_batches


def test_alike_costs_go_together_costliest_first() -> None:
    assert plan_batches([1, 9, 2, 8, 1], budget=18, max_items=9) == [[1, 3], [2, 0, 4]]


def test_an_item_over_the_budget_goes_alone() -> None:
    assert plan_batches([5, 100, 5], budget=10, max_items=9) == [[1], [0, 2]]


def test_a_cap_on_items() -> None:
    assert plan_batches([1] * 5, budget=100, max_items=2) == [[0, 1], [2, 3], [4]]


def test_items_that_cost_nothing_still_count_one() -> None:
    assert plan_batches([0, 0, 0], budget=2, max_items=9) == [[0, 1], [2]]


def test_nothing_gives_nothing() -> None:
    assert plan_batches([], budget=10, max_items=1) == []


@given(st.integers(1, 100_000), st.booleans())
def test_windows_hold_at_least_two_batches(batch_size: int, one_by_one: bool) -> None:
    """While one batch runs, there is another to be sorted against it and to follow."""
    limits = batch_limits(RunPlan(budget=256, one_by_one=one_by_one), batch_size, None, None)
    assert limits.window_items >= 2 * batch_size >= 2 * limits.max_items
    assert limits.max_items == (1 if one_by_one else batch_size)


def test_a_call_decides_where_it_says_something() -> None:
    plan = RunPlan(budget=256, workers=3)
    told, untold = batch_limits(plan, 8, 2, 99), batch_limits(plan, 8, None, None)
    assert (told.workers, told.budget) == (2, 99)
    assert (untold.workers, untold.budget) == (3, 256)


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
    assert plan_batches(costs, budget=99, max_items=9, apart_from=10) == [[0, 3, 2, 5, 6, 1, 4]]
    assert batch_limits(RunPlan(budget=256, apart_from=8), 4, None, 300).apart_from == 8

"""Reciprocal rank fusion."""

from __future__ import annotations

import math
from typing import Any

import pytest

from onnxembed import reciprocal_rank_fusion
from onnxembed.errors import InputError, InputTypeError


def test_by_hand() -> None:
    found: list[Any] = reciprocal_rank_fusion([["a", "b", "c"], ["c", "d"]])
    assert found == [
        ("c", pytest.approx(1 / 63 + 1 / 61)),
        ("a", pytest.approx(1 / 61)),
        ("b", pytest.approx(1 / 62)),  # as good as d: the first ranking's comes first
        ("d", pytest.approx(1 / 62)),
    ]


def test_constant_and_weights() -> None:
    found = dict(reciprocal_rank_fusion([["a", "b"], ["b"]], weights=[3, 0.5], rank_constant=0))
    assert found == {"a": 3.0, "b": pytest.approx(3 / 2 + 0.5)}
    assert dict(reciprocal_rank_fusion([["a"], ["b"]], weights=[0, 1])) == {"b": pytest.approx(1 / 61)}


def test_of_an_item_that_repeats_the_best_place_counts() -> None:
    found = dict(reciprocal_rank_fusion([["a", "a", "b"]]))
    assert found == {"a": pytest.approx(1 / 61), "b": pytest.approx(1 / 62)}


def test_any_number_of_rankings_of_anything_hashable() -> None:
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], iter([])]) == []
    assert [item for item, _ in reciprocal_rank_fusion([(1, 2), iter((2, 3)), [2]])] == [2, 1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0]}, "1 weights for 2 rankings; pass one for each"),
        ({"weights": [0, 0]}, r"weights=\[0\.0, 0\.0\]: expected one above 0"),
        ({"weights": [1, -1]}, "weights=-1: expected a number at least 0"),
        ({"weights": [1, math.nan]}, "weights=nan"),
        ({"rank_constant": -1}, "rank_constant must be >= 0"),
    ],
)
def test_bad_numbers(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reciprocal_rank_fusion([["a"], ["b"]], **arguments)


def test_bad_types() -> None:
    with pytest.raises(InputTypeError, match=r"rank_constant=1\.5 is a float; expected an integer"):
        reciprocal_rank_fusion([["a"]], rank_constant=1.5)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="weights='1' is a str; expected a number"):
        reciprocal_rank_fusion([["a"]], weights="1")  # type: ignore[arg-type]

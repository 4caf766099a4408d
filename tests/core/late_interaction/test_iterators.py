"""Matrices of an iterator may change the moment after: any iterator equals the list of what it handed over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed import MultiVectors, Muvera, maxsim, maxsim_matrix, maxsim_top_k
from onnxembed.api.inputs import check_rankings
from onnxembed.late_interaction.matrix import each_matrix

DIM = 8
QUERY = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)
CALLS: dict[str, Callable[[Any], Any]] = {
    "maxsim": lambda documents: maxsim(QUERY, documents),
    "maxsim_matrix": lambda documents: maxsim_matrix([QUERY, QUERY], documents),
    "maxsim_matrix of queries": lambda queries: maxsim_matrix(queries, [QUERY]),
    "maxsim_top_k": lambda documents: maxsim_top_k(QUERY, documents, 3)[1],
    "pack": lambda documents: MultiVectors.pack(documents).values,
    "pack int8": lambda documents: MultiVectors.pack(documents, "int8").values,
    "process_documents": Muvera(DIM, 2, 4, 2).process_documents,
    "process_queries": Muvera(DIM, 2, 4, 2).process_queries,
}


def refilled(matrices: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    buffer = np.zeros((9, DIM), np.float32)
    for matrix in matrices:
        view = buffer[: len(matrix)]
        view[:] = matrix
        yield view
        view[:] = np.nan


class Refilling(Sequence[Any]):
    """A sequence that makes its items as they are read."""

    def __init__(self, matrices: Sequence[np.ndarray]) -> None:
        self._matrices = matrices
        self._buffer = np.zeros((9, DIM), np.float32)

    def __len__(self) -> int:
        return len(self._matrices)

    def __getitem__(self, index: Any) -> Any:
        view = self._buffer[: len(self._matrices[index])]
        view[:] = self._matrices[index]
        return view


KINDS: dict[str, Callable[[Sequence[np.ndarray]], Any]] = {
    "generator": refilled,
    "sequence": Refilling,
    "map": lambda matrices: map(np.asarray, refilled(matrices)),
    "memoryview": lambda matrices: (memoryview(cast("Any", matrix)) for matrix in refilled(matrices)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_any_iterator_equals_its_list(call: str, kind: str, lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    matrices = [random.normal(size=(length, DIM)).astype(np.float32) for length in lengths]
    np.testing.assert_array_equal(CALLS[call](KINDS[kind](matrices)), CALLS[call](matrices))


def test_lists_tuples_and_arrays_are_not_copied() -> None:
    matrices = [QUERY, QUERY[1:]]
    for held in (matrices, tuple(matrices)):
        assert all(one is other for one, other in zip(each_matrix(held, "document"), matrices, strict=True))
    block = np.stack([QUERY, QUERY])
    assert all(np.shares_memory(one, block) for one in each_matrix(block, "document"))
    assert not any(np.shares_memory(one, QUERY) for one in each_matrix(deque([QUERY]), "document"))


def test_groups_are_read_before_the_next_one() -> None:
    rows = [("a", "first"), ("a", "second"), ("b", "third")]
    groups = ((text for _, text in group) for _, group in groupby(rows, key=lambda row: row[0]))
    assert check_rankings(["q", "r"], groups) == [("q", ("first", "second")), ("r", ("third",))]

    def one_list() -> Iterator[list[str]]:
        held: list[str] = []
        for text in ("first", "second"):
            held[:] = [text]
            yield held

    assert check_rankings(["q", "r"], one_list()) == [("q", ("first",)), ("r", ("second",))]

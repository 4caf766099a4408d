"""MaxSim against the double loop, and its bounds of memory and rounding."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction import maxsim as module
from onnxembed.late_interaction.maxsim import maxsim, maxsim_matrix, maxsim_top_k, score_rows, similarities
from onnxembed.late_interaction.multi_vectors import MultiVectors, Storage
from tests.fixtures.maxsim import maxsim_reference


def ragged(lengths: list[int], dim: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal((length, dim)).astype(np.float32) / np.float32(dim**0.5) for length in lengths]


def test_score_worked_out_by_hand() -> None:
    query = [[1, 0], [0, 1]]
    documents = [np.array([[3, 1], [2, 5]]), np.array([[-1, -2]]), np.empty((0, 2))]
    assert maxsim(query, documents).tolist() == [8, -3, 0]
    assert maxsim_reference(query, documents).tolist() == [8, -3, 0]
    assert maxsim(query, documents).dtype == np.float32
    assert similarities(query, documents[0]).tolist() == [[3, 2], [1, 5]]


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), max_size=12),
    query_lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    dim=st.integers(1, 16),
    block=st.sampled_from([1, 64, 1 << 20]),
    narrow=st.sampled_from([0, 3, 48]),
    query_rows=st.sampled_from([1, 5, 1024]),
)
def test_equals_the_double_loop(
    lengths: list[int], query_lengths: list[int], dim: int, block: int, narrow: int, query_rows: int
) -> None:
    documents, queries = ragged(lengths, dim), ragged(query_lengths, dim, seed=1)
    expected = np.array([maxsim_reference(query, documents) for query in queries])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_NUMBERS", block)
        patch.setattr(module, "NARROW_QUERY", narrow)
        patch.setattr(module, "QUERY_ROWS", query_rows)
        for given in (documents, MultiVectors.pack(documents)):
            np.testing.assert_allclose(maxsim_matrix(queries, given), expected, atol=1e-5)
            np.testing.assert_allclose(maxsim(queries[0], given), expected[0], atol=1e-5)


@pytest.mark.parametrize("element", [np.float16, np.float64, np.int8, np.int64, ">f4"])
def test_other_types_are_taken_and_computed_in_float32(element: DTypeLike) -> None:
    random = np.random.default_rng(2)
    query = random.integers(-3, 4, (4, 8)).astype(element)
    documents = [random.integers(-3, 4, (length, 8)).astype(element) for length in (3, 1, 5)]
    scores = maxsim(query, documents)
    assert scores.dtype == np.float32
    assert scores.tolist() == maxsim_reference(query, documents).tolist()


def test_an_array_of_equal_documents_and_a_generator_are_taken() -> None:
    documents = np.random.default_rng(0).standard_normal((5, 7, 8))
    query = documents[2][:3]
    expected = maxsim_reference(query, documents)
    np.testing.assert_allclose(maxsim(query, documents), expected, rtol=1e-5)
    np.testing.assert_allclose(maxsim(query, (document for document in documents)), expected, rtol=1e-5)


def test_nothing_scores_nothing() -> None:
    query = np.ones((2, 3))
    assert maxsim(query, []).shape == (0,)
    assert maxsim(query, MultiVectors.pack([])).shape == (0,)
    assert maxsim_matrix([], [query]).shape == (0, 1)
    assert maxsim(np.empty((0, 3)), [query, query]).tolist() == [0, 0]
    assert maxsim(query, [np.empty((0, 3))] * 2).tolist() == [0, 0]


def test_top_k_falls_and_ties_keep_their_order() -> None:
    documents = [np.array([[value]]) for value in (1.0, 5.0, 3.0, 5.0, 1.0, 5.0)]
    positions, scores = maxsim_top_k([[1.0]], documents, 4)
    assert positions.tolist() == [1, 3, 5, 2]
    assert scores.tolist() == [5, 5, 5, 3]
    assert (positions.dtype, scores.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
    assert maxsim_top_k([[1.0]], documents, cast("int", np.int64(99)))[0].tolist() == [1, 3, 5, 2, 0, 4]


@pytest.mark.parametrize("rows", [1, 7, 60])
def test_documents_in_one_array_score_the_same(rows: int) -> None:
    documents = ragged([3, 0, 9, 1, 0], 16)
    (query,) = ragged([rows], 16, seed=1)
    ends = np.cumsum([len(document) for document in documents])
    scores = score_rows(query, np.concatenate(documents), ends)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, maxsim(query, documents), rtol=1e-6)
    assert score_rows(query[:0], np.concatenate(documents), ends).tolist() == [0] * 5
    assert score_rows(query, np.empty((0, 16), np.float32), ends * 0).tolist() == [0] * 5


def test_similarities_explain_the_score() -> None:
    query, document = ragged([4, 9], 16)
    heat = similarities(query, document)
    assert heat.shape == (4, 9)
    np.testing.assert_allclose(heat.max(axis=1).sum(), maxsim_reference(query, [document])[0], atol=1e-5)
    with pytest.raises(InputError, match="the query has vectors of 16 numbers, the documents of 8"):
        similarities(query, document[:, :8])


@pytest.mark.parametrize(("dtype", "bytes_each"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_memory_does_not_grow_with_100_000_documents(dtype: Storage, bytes_each: int) -> None:
    row = np.linspace(-1, 1, 8).astype(np.float32)
    one = MultiVectors.pack([row[None]], dtype)
    tokens = 50
    count = 100_000
    # One row seen over and over: the store takes no memory itself.
    values = np.broadcast_to(one.values, (count * tokens, 8))
    scales = None if one.scales is None else np.broadcast_to(one.scales, (count * tokens,))
    documents = MultiVectors(values, np.arange(count + 1, dtype=np.int64) * tokens, scales)
    assert values.nbytes == count * tokens * 8 * bytes_each
    query = np.stack([row, -2 * row])
    expected = maxsim_reference(query, [one[0]])[0]
    tracemalloc.start()
    try:
        scores = maxsim(query, documents)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(scores, np.full(count, expected), rtol=1e-5)
    assert peak < 20e6  # every row in float32 would be 160 MB


def test_memory_does_not_grow_with_one_long_document() -> None:
    values = np.broadcast_to(np.ones((1, 4), np.float32), (3_000_000, 4))
    documents = MultiVectors(values, np.array([0, 0, 3_000_000], np.int64))
    tracemalloc.start()
    try:
        scores = maxsim(np.ones((30, 4)), documents)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scores.tolist() == [0, 120]
    assert peak < 20e6  # its product with the query would be 360 MB


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: maxsim(np.ones((2, 3)), [np.ones((2, 4))]), InputError, "the query has vectors of 3 numbers"),
        (lambda: maxsim(np.ones(3), [np.ones((2, 3))]), InputError, r"the query has shape \(3,\)"),
        (lambda: maxsim("what", [np.ones((2, 3))]), InputTypeError, "the query is str"),
        (lambda: maxsim(np.ones((2, 3)), "text"), InputTypeError, "one per document; given str"),
        (lambda: maxsim(np.ones((2, 3)), cast("Any", 7)), InputTypeError, "one per document; given int"),
        (lambda: maxsim(np.ones((2, 3)), ["text"]), InputTypeError, "document 0 is str"),
        (
            lambda: maxsim(np.ones((2, 3)), np.ones((2, 3))),
            InputError,
            r"given one of shape \(2, 3\). Write \[matrix\]",
        ),
        (lambda: maxsim(np.ones((2, 3)), [np.ones((2, 3)), np.ones((1, 5))]), InputError, "document 1 has .* of 5"),
        (lambda: maxsim_matrix("text", [np.ones((2, 3))]), InputTypeError, "one per query; given str"),
        (lambda: maxsim_top_k([[1.0]], [[[1.0]]], 0), InputError, "k=0; expected 1 or more"),
        (lambda: maxsim_top_k([[1.0]], [[[1.0]]], cast("Any", 1.5)), InputTypeError, "k is float"),
        (lambda: maxsim_top_k([[1.0]], [[[1.0]]], True), InputTypeError, "k is bool"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

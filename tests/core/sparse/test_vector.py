"""One rule for sparse vectors, and the ways out of them."""

import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxembed.errors import InputError
from onnxembed.sparse.vector import FlatVectors, SparseEmbedding, to_scipy


def test_entries_are_sorted_and_have_one_type() -> None:
    embedding = SparseEmbedding([1, 2.5, 3], [30, 10, 2**31])
    assert embedding.indices.dtype == np.int64
    assert embedding.values.dtype == np.float64
    assert embedding.indices.tolist() == [10, 30, 2**31]
    assert embedding.values.tolist() == [2.5, 1.0, 3.0]
    assert len(embedding) == 3


def test_values_come_first_and_narrow_types_are_widened() -> None:
    embedding = SparseEmbedding(values=np.array([0.5], np.float32), indices=np.array([7], np.uint32))
    assert embedding.as_dict() == {7: 0.5}
    assert embedding.indices.dtype == np.int64
    assert embedding.values.dtype == np.float64


def test_given_arrays_are_copied_and_own_ones_read_only() -> None:
    values, indices = np.array([1.0, 2.0]), np.array([1, 2])
    embedding = SparseEmbedding(values, indices)
    values[0] = 9
    indices[0] = 0
    assert embedding.as_dict() == {1: 1.0, 2: 2.0}
    for array in embedding.as_object().values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
    with pytest.raises(AttributeError):
        embedding.values = values  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "indices", "message"),
    [
        ([1.0], [1, 2], "1 values and 2 indices"),
        ([1.0, 2.0], [3, 3], "index 3 occurs more than once"),
        ([1.0], [-1], "index -1 is out of range"),
        ([1.0], np.array([2**63], dtype=np.uint64), "out of range"),
        ([1.0], [1.5], "indices are float64; expected integers"),
        ([True], [1], "values are bool; expected real numbers"),
        (["a"], [1], "expected real numbers"),
        ([float("nan")], [1], "value nan is not finite"),
        ([float("inf")], [1], "value inf is not finite"),
        ([[1.0]], [1], r"values have the shape \[1, 1\]"),
        ([1.0], 1, r"indices have the shape \[\]"),
        ([[1.0], [1.0, 2.0]], [1], "values are not a list of numbers"),
    ],
)
def test_what_cannot_be_a_vector(values: object, indices: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SparseEmbedding(values, indices)


def test_empty() -> None:
    embedding = SparseEmbedding.from_dict({})
    assert len(embedding) == 0
    assert embedding.values.dtype == np.float64
    assert embedding.indices.dtype == np.int64
    assert embedding.as_dict() == {}
    assert repr(embedding) == "SparseEmbedding({}, 0 entries)"


def test_equality_and_repr() -> None:
    embedding = SparseEmbedding([1, 2], [5, 3])
    assert embedding == SparseEmbedding([2, 1], [3, 5])
    assert embedding != SparseEmbedding([2, 1.5], [3, 5])
    assert embedding != SparseEmbedding([2, 1], [3, 6])
    assert embedding != {3: 2.0, 5: 1.0}
    assert repr(embedding) == "SparseEmbedding({3: 2, 5: 1}, 2 entries)"
    many = SparseEmbedding(np.arange(5) / 3, np.arange(5))
    assert repr(many) == "SparseEmbedding({0: 0, 1: 0.333333, 2: 0.666667, 3: 1, ...}, 5 entries)"


def test_pickles_small_and_read_only() -> None:
    flat = FlatVectors(np.arange(10_000.0), np.arange(10_000), np.array([5_000, 10_000]))
    first, second = flat.split()
    assert (len(first), second.values[0]) == (5_000, 5_000.0)
    small = SparseEmbedding.trusted(first.values[:2], first.indices[:2])
    sent = pickle.dumps(small)
    assert len(sent) < 1_000
    back = pickle.loads(sent)
    assert back == small
    assert not back.values.flags.writeable


def test_to_scipy_equals_dense() -> None:
    embeddings = [SparseEmbedding([1, 2], [0, 3]), SparseEmbedding([], []), SparseEmbedding([4], [1])]
    matrix = to_scipy(embeddings)
    assert matrix.toarray().tolist() == [[1, 0, 0, 2], [0, 0, 0, 0], [0, 4, 0, 0]]
    assert to_scipy(embeddings, size=7).shape == (3, 7)
    assert to_scipy([]).shape == (0, 0)
    with pytest.raises(InputError, match="size=3, but the vectors have the index 3; pass size=4"):
        to_scipy(embeddings, size=3)


def test_to_scipy_of_the_highest_id() -> None:
    matrix = to_scipy([SparseEmbedding([0.5], [2**31])])
    assert matrix.shape == (1, 2**31 + 1)
    assert matrix.indices.tolist() == [2**31]


def test_to_qdrant() -> None:
    vector = SparseEmbedding([1.5, 2], [2**31, 3]).to_qdrant()
    assert (vector.indices, vector.values) == ([3, 2**31], [2.0, 1.5])
    assert {type(index) for index in vector.indices} == {int}


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    monkeypatch.setitem(sys.modules, "qdrant_client.models", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        to_scipy([])
    with pytest.raises(ImportError, match="pip install qdrant-client"):
        SparseEmbedding([], []).to_qdrant()


@given(st.dictionaries(st.integers(0, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)))
def test_dictionaries_round_trip(data: dict[int, float]) -> None:
    embedding = SparseEmbedding.from_dict(data)
    assert embedding.as_dict() == data
    assert embedding.indices.tolist() == sorted(data)
    assert pickle.loads(pickle.dumps(embedding)) == embedding

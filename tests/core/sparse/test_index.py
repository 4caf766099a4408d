"""Searching sparse vectors in memory."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxembed.errors import InputError, InputTypeError
from onnxembed.sparse.index import SparseIndex
from onnxembed.sparse.vector import SparseEmbedding

VECTORS = [
    SparseEmbedding.from_dict({1: 1.0, 2_000_000_000: 2.0}),
    SparseEmbedding.from_dict({}),
    SparseEmbedding.from_dict({1: 3.0}),
    SparseEmbedding.from_dict({7: 1.0, 1: 1.0}),
]
ENTRIES = st.dictionaries(st.integers(0, 12), st.floats(0.125, 8.0, width=16), max_size=6)


def query(**weights: float) -> SparseEmbedding:
    return SparseEmbedding.from_dict({int(name[1:]): weight for name, weight in weights.items()})


def test_best_first_and_equal_scores_by_position() -> None:
    index = SparseIndex(VECTORS)
    assert len(index) == 4
    assert index.search(query(_1=2.0), 10) == ([2, 0, 3], [6.0, 2.0, 2.0])
    assert index.search(query(_1=2.0), 2) == ([2, 0], [6.0, 2.0])
    assert index.search(query(_1=1.0, _2000000000=1.0, _999=5.0), 1) == ([0], [3.0])


def test_what_shares_no_id_is_not_found() -> None:
    assert SparseIndex(VECTORS).search(query(_999=1.0, _3000000000=1.0), 3) == ([], [])
    assert SparseIndex(VECTORS).search(query(), 3) == ([], [])
    assert SparseIndex().search(query(_1=1.0), 3) == ([], [])
    assert SparseIndex([SparseEmbedding.from_dict({})]).search(query(_1=1.0), 3) == ([], [])


def test_idf_is_that_of_the_index() -> None:
    _, (score,) = SparseIndex(VECTORS).search(query(_7=1.0), 1, idf=True)
    assert score == pytest.approx(math.log((4 - 1 + 0.5) / (1 + 0.5) + 1))
    _, scores = SparseIndex(VECTORS).search(query(_1=1.0), 1, idf=True)
    assert scores[0] == pytest.approx(3 * math.log((4 - 3 + 0.5) / (3 + 0.5) + 1))


def test_extending_leaves_the_old_index_as_it_was() -> None:
    index = SparseIndex(VECTORS[:2])
    longer = index.extended([SparseEmbedding.from_dict({1: 9.0})])
    assert (len(index), len(longer)) == (2, 3)
    assert index.search(query(_1=1.0), 9) == ([0], [1.0])
    assert longer.search(query(_1=1.0), 9) == ([2, 0], [9.0, 1.0])


@given(st.lists(ENTRIES, max_size=8), ENTRIES, st.integers(1, 9))
def test_equals_all_products(documents: list[dict[int, float]], wanted: dict[int, float], k: int) -> None:
    products = [sum(entries.get(key, 0.0) * weight for key, weight in wanted.items()) for entries in documents]
    expected = sorted((position for position, score in enumerate(products) if score), key=lambda p: (-products[p], p))
    positions, scores = SparseIndex(map(SparseEmbedding.from_dict, documents)).search(
        SparseEmbedding.from_dict(wanted), k
    )
    np.testing.assert_allclose(scores, sorted(products, reverse=True)[: len(scores)], rtol=1e-12)
    assert len(positions) == min(k, len(expected))
    assert [products[position] for position in positions] == pytest.approx([products[p] for p in expected[:k]])


def test_bad_input() -> None:
    with pytest.raises(InputTypeError, match=r"vector 1 is a dict; expected a SparseEmbedding"):
        SparseIndex([VECTORS[0], {1: 2.0}])  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match=r"the query is a str; expected a SparseEmbedding"):
        SparseIndex(VECTORS).search("query", 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"k=0: k must be >= 1"):
        SparseIndex(VECTORS).search(VECTORS[0], 0)


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        SparseIndex(VECTORS)

"""MUVERA against fastembed's numbers, and against the definition written out as loops."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.clusters import nearest_few, nearest_many, sum_few, sum_many
from onnxembed.late_interaction.muvera import Muvera
from onnxembed.late_interaction.random_projections import random_projections

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "muvera_fastembed.json").read_text())
SMALL = (np.arange(12).reshape(3, 4) / 10 - 0.5).astype(np.float32)


def by_loops(muvera: Muvera, rows: np.ndarray, fill: bool, average: bool) -> np.ndarray:
    """The definition, in float64 and one vector at a time."""
    random = np.random.default_rng(muvera.random_seed)
    planes = [random.normal(size=(muvera.dim, muvera.k_sim)) for _ in range(muvera.r_reps)]
    signs = random.choice([-1, 1], size=(muvera.r_reps, muvera.dim, muvera.dim_proj))
    rows = rows.astype(np.float64)
    parts = []
    for repetition in range(muvera.r_reps):
        members: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            bits = row @ planes[repetition] > 0
            members.setdefault(sum(1 << j for j, bit in enumerate(bits) if bit), []).append(index)
        for cluster in range(2**muvera.k_sim):
            if cluster in members:
                centre = rows[members[cluster]].sum(axis=0) / (len(members[cluster]) if average else 1)
            elif fill:
                centre = rows[members[min(members, key=lambda other: ((other ^ cluster).bit_count(), other))][0]]
            else:
                centre = np.zeros(muvera.dim)
            if muvera.dim_proj < muvera.dim:
                centre = centre @ signs[repetition] / np.sqrt(muvera.dim_proj)
            parts.append(centre)
    return np.concatenate(parts)


def test_default_settings_give_the_published_numbers() -> None:
    rows = np.random.default_rng(42).random((10, 128))
    muvera = Muvera(128, 5, 16, 20, 42)
    document = muvera.process_document(rows)
    assert document.dtype == np.float32
    assert document.shape == (muvera.embedding_size,) == (10240,)
    expected = [-2.61810007e-04, 1.89005750, -2.32070747, 1.3533353, 1.02501247, 0.380689893]
    np.testing.assert_allclose(document[:6], expected, rtol=1e-7)
    assert document.sum(dtype=np.float64) == pytest.approx(198.0865014167, abs=1e-4)  # of 10,240 rounded numbers
    assert np.linalg.norm(document.astype(np.float64)) == pytest.approx(166.1558430567, abs=1e-6)
    query = muvera.process_query(rows)
    np.testing.assert_allclose(query[query != 0][:4], [-0.85783903, 1.1077204, -0.09522747, 1.35752129], rtol=1e-7)
    assert np.count_nonzero(query) == 1392
    assert query.sum(dtype=np.float64) == pytest.approx(96.5310697475, abs=1e-4)
    assert np.linalg.norm(query.astype(np.float64)) == pytest.approx(163.6814180542, abs=1e-6)


def test_small_matrix_gives_the_published_numbers() -> None:
    muvera = Muvera(4, 2, 2, 3, 42)
    a, b, c, d = 0.28284273, 0.56568542, 0.70710680, 0.14142136
    document = [-a, -b, -a, -a, -a, -a, -a, a, -c, -a, -c, -a, -c, -a, d, b, d, -d, d, -c, d, 0.9899495, d, -d]
    query = [-b, -2 * b, 0, 0, 0, 0, -a, a, -c, -a, 0, 0, 0, 0, a, 2 * b, 0, 0, a, -2 * c, d, 0.9899495, 0, 0]
    np.testing.assert_allclose(muvera.process_document(SMALL), document, atol=1.5e-7)
    np.testing.assert_allclose(muvera.process_query(SMALL), query, atol=1.5e-7)


def test_without_projection_an_empty_cluster_holds_a_row_as_it_was() -> None:
    muvera = Muvera(4, 2, 4, 1, 7)
    document = [-0.1, 0, 0.1, 0.2, -0.5, -0.4, -0.3, -0.2, 0.1, 0.2, 0.3, 0.4, -0.5, -0.4, -0.3, -0.2]
    query = [0] * 8 + [0.2, 0.4, 0.6, 0.8, -0.5, -0.4, -0.3, -0.2]
    np.testing.assert_allclose(muvera.process_document(SMALL), document, atol=1e-7)
    np.testing.assert_allclose(muvera.process_query(SMALL), query, atol=1e-7)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['settings']}-{case['rows']}-{case['type']}")
def test_equals_fastembed(case: dict[str, Any]) -> None:
    muvera = Muvera(*case["settings"])
    rows = np.random.default_rng(case["rows"]).standard_normal((case["rows"], muvera.dim)).astype(case["type"])
    rows[-1] = 0
    results = {
        "document": muvera.process_document(rows),
        "query": muvera.process_query(rows),
        "filled_sums": muvera.process(rows, fill_empty_clusters=True, normalize_by_count=False),
        "means": muvera.process(rows, fill_empty_clusters=False, normalize_by_count=True),
    }
    for name, vector in results.items():
        golden = case["results"][name]
        wide = vector.astype(np.float64)
        largest = np.abs(wide).max() + 1e-30
        assert len(vector) == golden["size"]
        assert np.count_nonzero(vector) == golden["non_zeros"]
        np.testing.assert_allclose(wide[:8], golden["first"], atol=1e-6 * largest, rtol=0)
        np.testing.assert_allclose(wide[::97][:60], golden["every_97th"], atol=1e-6 * largest, rtol=0)
        bound = 1e-6 * golden["norm"] + 1e-12
        assert np.linalg.norm(wide) == pytest.approx(golden["norm"], abs=bound)
        assert wide.sum() == pytest.approx(golden["sum"], abs=10 * bound)
        assert wide @ np.cos(np.arange(len(wide))) == pytest.approx(golden["wave"], abs=10 * bound)


@settings(max_examples=60, deadline=None)
@given(
    dim=st.integers(1, 12),
    k_sim=st.integers(1, 8),
    repetitions=st.integers(1, 4),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    fill=st.booleans(),
    average=st.booleans(),
    data=st.data(),
)
def test_equals_the_definition(
    dim: int, k_sim: int, repetitions: int, lengths: list[int], fill: bool, average: bool, data: st.DataObject
) -> None:
    muvera = Muvera(dim, k_sim, data.draw(st.integers(1, dim)), repetitions, data.draw(st.integers(0, 99)))
    random = np.random.default_rng(sum(lengths))
    documents = [random.standard_normal((length, dim)).astype(np.float32) for length in lengths]
    for document in documents:
        expected = by_loops(muvera, document, fill, average)
        np.testing.assert_allclose(muvera.process(document, fill, average), expected, atol=1e-5)
    batch = muvera.process_documents(documents)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, [by_loops(muvera, document, True, True) for document in documents], atol=1e-5)
    queries = muvera.process_queries(iter(documents))
    np.testing.assert_allclose(queries, [by_loops(muvera, document, False, False) for document in documents], atol=1e-5)


def test_many_documents_of_all_lengths_and_types_equal_single_ones() -> None:
    random = np.random.default_rng(3)
    muvera = Muvera(16, 3, 4, 5)
    lengths = [1, 2000, 3, *[2] * 150, 700, 700]
    types = [np.float32, np.float64, np.float16]
    documents = [random.standard_normal((n, 16)).astype(types[i % 7 % 3]) for i, n in enumerate(lengths)]
    batch = muvera.process_documents(documents)
    assert batch.shape == (len(lengths), muvera.embedding_size)
    np.testing.assert_allclose(batch, [muvera.process_document(document) for document in documents], atol=1e-5)
    assert muvera.process_documents([]).shape == (0, muvera.embedding_size)


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25, 1e38])
def test_rows_next_to_a_hyperplane_lie_where_float64_says(scale: float) -> None:
    projections = random_projections(16, 3, 4, 5, 7)
    planes = projections.hyperplanes
    random = np.random.default_rng(2)
    rows = random.standard_normal((300, 16))
    nearest = planes[np.arange(300) % len(planes)]
    rows -= (rows * nearest).sum(1, keepdims=True) / (nearest**2).sum(1, keepdims=True) * nearest
    near = (np.concatenate([rows, random.standard_normal((300, 16))]) / 10 * scale).astype(np.float32)
    above = (near.astype(np.float64) @ planes.T > 0).reshape(600, 3, 5)
    expected = above[:, 0] + 2 * above[:, 1] + 4 * above[:, 2]
    with np.errstate(over="ignore", invalid="ignore"):
        sides = near @ planes.T.astype(np.float32) > 0
    if scale == 1:
        assert (sides.reshape(600, 3, 5) != above).any(), "float32 alone is right: this shows nothing"
    assert projections.clusters_of(near).tolist() == expected.tolist()
    assert projections.clusters_of(near.astype(np.float64)).tolist() == expected.tolist()


def test_float64_rows_are_projected_in_float64() -> None:
    rows = np.array([[1e8, 1.0], [-1e8, 1.0]])
    muvera = Muvera(2, 1, 1, 4, 5)
    np.testing.assert_allclose(muvera.process_query(rows), by_loops(muvera, rows, False, False), rtol=1e-6)
    whole = muvera.process_query(rows.astype(np.int64))
    assert whole.tolist() == muvera.process_query(rows).tolist()


@pytest.mark.parametrize("filled", [[0], [31], [5, 6, 24], [1, 2, 4, 8, 16], [30, 3]])
def test_nearest_cluster_ties_go_to_the_lowest_number(filled: list[int]) -> None:
    expected = [min(filled, key=lambda other: ((other ^ cluster).bit_count(), other)) for cluster in range(32)]
    ids = np.array(filled)[:, None]
    assert nearest_few(ids, np.ones((1, 1), bool), 32, [len(filled)]).tolist() == expected
    assert nearest_many(np.isin(np.arange(32), filled)[None]).tolist() == expected


def test_both_ways_to_sum_agree() -> None:
    random = np.random.default_rng(0)
    vectors = random.integers(-9, 9, (30, 3, 4)).astype(np.float32)
    cluster_of = random.integers(0, 8, (30, 3))
    cell_of = cluster_of + 8 * np.arange(3) + 24 * np.repeat([0, 1], [10, 20])[:, None]
    expected = np.zeros((48, 4))
    np.add.at(expected, cell_of, vectors)
    assert sum_few(vectors, cluster_of, 8, [10, 20]).tolist() == expected.tolist()
    assert sum_many(vectors, cell_of, 48).tolist() == expected.tolist()


def test_dot_products_follow_maxsim() -> None:
    from onnxembed.late_interaction.maxsim import maxsim

    random = np.random.default_rng(1)
    documents = random.standard_normal((200, 20, 64))
    documents /= np.linalg.norm(documents, axis=2, keepdims=True)
    query = documents[17][:8] + 0.02 * random.standard_normal((8, 64))
    muvera = Muvera(64)
    approximate = muvera.process_documents(documents) @ muvera.process_query(query)
    assert approximate.argmax() == maxsim(query, documents).argmax() == 17


def test_settings_come_from_a_model_and_survive_a_pickle() -> None:
    muvera = Muvera.from_multivector_model(SimpleNamespace(embedding_size=96), r_reps=3, random_seed=9)
    assert muvera == Muvera(96, 5, 16, 3, 9)
    assert muvera.embedding_size == 3 * 32 * 16
    rows = np.ones((2, 96), np.float32)
    muvera.process_query(rows)
    sent = pickle.dumps(muvera)
    assert len(sent) < 300
    assert pickle.loads(sent).process_query(rows).tolist() == muvera.process_query(rows).tolist()
    assert Muvera(cast("int", np.int64(96)), r_reps=3, random_seed=9) == muvera
    with pytest.raises(AttributeError):
        muvera.dim = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 8}, "dim_proj=16 is more than dim=8"),
        ({"dim": 0}, "dim=0; expected 1 or more"),
        ({"dim": 32, "k_sim": 0}, "k_sim=0; expected 1 or more"),
        ({"dim": 32, "dim_proj": 0}, "dim_proj=0; expected 1 or more"),
        ({"dim": 32, "r_reps": -1}, "r_reps=-1; expected 1 or more"),
        ({"dim": 32, "random_seed": -1}, "random_seed=-1; expected 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Muvera(**arguments)


@pytest.mark.parametrize("value", ["5", 5.0, True, None])
def test_settings_of_the_wrong_type_are_refused(value: object) -> None:
    with pytest.raises(InputTypeError, match=r"k_sim is .*expected an integer of 1 or more"):
        Muvera(32, k_sim=value)  # type: ignore[arg-type]


def test_a_model_without_a_dimension_is_refused() -> None:
    with pytest.raises(InputTypeError, match="str has no embedding_size"):
        Muvera.from_multivector_model("colbert-ir/colbertv2.0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.ones((3, 96)), InputError, "vectors of 96 numbers; this Muvera was made for dim=32"),
        (np.ones((0, 32)), InputError, "has no rows"),
        (np.ones(32), InputError, r"shape \(32,\).*write \[vector\]"),
        (np.ones((1, 3, 32)), InputError, r"shape \(1, 3, 32\).*as a list"),
        (np.float32(1), InputError, r"shape \(\)"),
        ("a text", InputTypeError, r"is str.*Embed it first"),
        (["a", "b"], InputTypeError, "is list holding str"),
        ([[1.0, 2.0], [3.0]], InputTypeError, "cannot be made an array"),
        (np.ones((2, 32), complex), InputTypeError, "holding complex128"),
        (None, InputTypeError, "NoneType holding object"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(matrix: object, error: type, message: str) -> None:
    muvera = Muvera(32)
    for process in (muvera.process, muvera.process_document, muvera.process_query):
        with pytest.raises(error, match=f"the matrix .*{message}"):
            process(matrix)
    with pytest.raises(error, match=f"document 1 .*{message}"):
        muvera.process_documents([np.ones((1, 32)), matrix])


@pytest.mark.parametrize("matrices", ["text", b"text", 7])
def test_what_is_no_list_of_matrices_is_refused(matrices: object) -> None:
    with pytest.raises(InputTypeError, match=r"iterable of matrices \(tokens, 32\), one per query"):
        Muvera(32).process_queries(matrices)  # type: ignore[arg-type]

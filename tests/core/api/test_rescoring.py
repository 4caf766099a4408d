"""Search in signs and the order by float queries: recall, values, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxembed import hamming_top_k, quantization_ranges, quantize_embeddings, rescore
from onnxembed.api.output_precision import OutputPrecision
from onnxembed.errors import InputError, InputTypeError

Array = np.ndarray[Any, np.dtype[Any]]
TOP = 10


def collection(documents: int = 2000, queries: int = 40, dim: int = 252) -> tuple[Array, Array]:
    """Unit vectors around 50 topics, and queries near some of them."""
    random = np.random.default_rng(5)
    topics = random.standard_normal((50, dim))
    rows = topics[random.integers(0, 50, documents)] + 1.2 * random.standard_normal((documents, dim))
    asked = rows[random.integers(0, documents, queries)] + 0.8 * random.standard_normal((queries, dim))
    return unit(rows), unit(asked)


def unit(rows: Array) -> Array:
    scaled: Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def recall(found: Array, exact: Array) -> float:
    return float(np.mean([len(set(one) & set(other)) / TOP for one, other in zip(found, exact, strict=True)]))


@pytest.mark.parametrize("precision", ["binary", "ubinary"])
def test_rescoring_finds_more(precision: OutputPrecision) -> None:
    documents, queries = collection()
    exact = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :TOP]
    signs = quantize_embeddings(documents, precision)
    coarse = quantize_embeddings(queries, precision)
    _, alone = hamming_top_k(coarse, signs, TOP)
    _, wide = hamming_top_k(coarse, signs, 4 * TOP)
    _, by_signs = rescore(queries, wide, signs, precision, TOP)
    ranges = quantization_ranges(documents)
    _, by_steps = rescore(queries, wide, quantize_embeddings(documents, "int8", ranges), "int8", TOP, ranges=ranges)
    scores, by_floats = rescore(queries, wide, documents, "float32", TOP)
    recalls = [recall(found, exact) for found in (alone, by_signs, by_steps, by_floats)]
    assert recalls == sorted(recalls)
    assert recalls[0] > 0.5
    assert recalls[1] > recalls[0] + 0.05
    assert recalls[2] > 0.95
    assert recalls[3] > 0.97
    assert np.allclose(scores, np.take_along_axis(queries @ documents.T, by_floats, axis=1), atol=1e-6)


def test_distances_are_bits_that_differ() -> None:
    documents = np.array([[0b11110000, 0], [0b11110000, 0b11], [0, 0], [0b11110000, 0]], np.uint8)
    queries = np.array([[0b11110000, 0b1], [0, 0]], np.uint8)
    distances, positions = hamming_top_k(queries, documents, 3)
    assert positions.tolist() == [[0, 1, 3], [2, 0, 3]]
    assert distances.tolist() == [[1, 1, 1], [0, 4, 4]]
    assert [found.shape for found in hamming_top_k(queries, documents, 9)] == [(2, 4), (2, 4)]
    assert [found.shape for found in hamming_top_k(queries, documents[:0])] == [(2, 0), (2, 0)]
    asked, held = ((array ^ np.uint8(128)).view(np.int8) for array in (queries, documents))
    assert np.array_equal(hamming_top_k(asked, held, 3)[1], positions)


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_steps_are_read_as_their_middle(precision: OutputPrecision) -> None:
    documents, queries = collection(300, 5)
    ranges = quantization_ranges(documents)
    everything = np.tile(np.arange(300), (5, 1))
    stored = quantize_embeddings(documents, precision, ranges)
    scores, positions = rescore(queries, everything, stored, precision, 300, ranges=ranges)
    assert np.abs(scores - np.take_along_axis(queries @ documents.T, positions, axis=1)).max() < 2e-3


def test_places_without_a_candidate_come_last() -> None:
    queries = np.array([[1.0, -1.0], [1.0, 1.0]], np.float32)
    signs = quantize_embeddings(np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]), "ubinary")
    scores, positions = rescore(queries, np.array([[-1, 0, 1], [-1, -1, 2]]), signs, "ubinary")
    assert positions.tolist() == [[1, 0, -1], [2, -1, -1]]
    assert scores.tolist() == [[2, 0, -np.inf], [0, -np.inf, -np.inf]]


FLOATS, SIGNS = np.ones((1, 16), np.float32), np.zeros((3, 2), np.uint8)
FIRST = np.array([[0]])


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((FLOATS.astype(np.int8), FIRST, SIGNS, "ubinary"), InputTypeError, "queries are int8; expected the float"),
        ((FLOATS, FIRST.astype(float), SIGNS, "ubinary"), InputTypeError, "candidates are float64; expected positions"),
        ((FLOATS[0], FIRST, SIGNS, "ubinary"), InputError, r"queries have the shape \(16,\)"),
        ((FLOATS, FIRST, SIGNS, "binary"), InputError, r"documents are uint8 of the shape \(3, 2\); expected int8"),
        ((FLOATS[:, :8], FIRST, SIGNS, "ubinary"), InputError, r"of the shape \(documents, 1\), ubinary of vectors of"),
        ((FLOATS, FIRST + 3, SIGNS, "ubinary"), InputError, "positions outside the 3 documents"),
        ((FLOATS, FIRST, FLOATS.astype(np.int8), "int8"), InputError, "cannot be read without the ranges="),
        ((FLOATS, FIRST, SIGNS, "ubinary", 0), InputError, "top_k=0"),
        ((FLOATS, FIRST, [[0, 0]], "ubinary"), InputTypeError, "documents are a list; expected an array"),
        ((FLOATS * np.nan, FIRST, SIGNS, "ubinary"), InputError, "queries hold numbers that are not finite"),
        ((FLOATS, FIRST, FLOATS * np.nan, "float32"), InputError, "the document at 0 holds NaN"),
    ],
)
def test_refusals_of_rescoring(arguments: tuple[Any, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        rescore(*arguments)


@pytest.mark.parametrize("dim", [1, 15])
def test_ranges_of_other_vectors_are_refused(dim: int) -> None:
    ranges = np.stack([np.zeros(dim), np.ones(dim)])
    with pytest.raises(InputError, match=f"ranges= are of {dim} dimensions, the vectors have 16"):
        rescore(FLOATS, FIRST, FLOATS.astype(np.int8), "int8", ranges=ranges)


@pytest.mark.parametrize(
    ("queries", "documents", "error", "said"),
    [
        (FLOATS, SIGNS, InputTypeError, "queries: expected packed signs"),
        (SIGNS, FLOATS, InputTypeError, "documents: expected packed signs"),
        (SIGNS[:, :1], SIGNS, InputError, "expected matrices of one width"),
        (SIGNS.view(np.int8), SIGNS, InputError, "queries are int8, documents uint8"),
    ],
)
def test_refusals_of_the_search(queries: Array, documents: Array, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        hamming_top_k(queries, documents)

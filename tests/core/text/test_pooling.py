"""Pooling and normalization against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from onnxembed.api.vectors import normalize
from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType
from onnxembed.text.pooling import first_token, last_token, mean, pool, shorten

HIDDEN = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
RIGHT = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
LEFT = RIGHT[:, ::-1]


def test_first_token_is_the_first_real_one() -> None:
    assert first_token(HIDDEN, RIGHT).tolist() == [[0, 1, 2], [12, 13, 14]]
    assert first_token(HIDDEN, LEFT).tolist() == [[6, 7, 8], [12, 13, 14]]


def test_last_token_is_the_last_real_one() -> None:
    assert last_token(HIDDEN, RIGHT).tolist() == [[3, 4, 5], [21, 22, 23]]
    assert last_token(HIDDEN, LEFT).tolist() == [[9, 10, 11], [21, 22, 23]]
    assert last_token(HIDDEN[:1], np.array([[0, 1, 1, 0]])).tolist() == [[6, 7, 8]]


def test_mean_leaves_padding_out() -> None:
    assert mean(HIDDEN, RIGHT).tolist() == [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]
    assert mean(HIDDEN, np.zeros_like(RIGHT)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_mean_of_thousands_of_alike_tokens_is_as_exact_as_float32() -> None:
    rng = np.random.default_rng(0)
    hidden = (rng.normal(scale=0.01, size=(1, 8192, 64)) + rng.normal(scale=3, size=64)).astype(np.float32)
    expected = hidden.astype(np.float64).mean(axis=1)
    given = mean(hidden, np.ones((1, 8192), np.int64))
    np.testing.assert_allclose(given, expected, rtol=0, atol=5e-7 * np.abs(expected).max())


def test_mean_keeps_float32_and_widens_the_rest() -> None:
    assert mean(HIDDEN, RIGHT).dtype == np.float32
    assert mean(HIDDEN.astype(np.float16), RIGHT).dtype == np.float64
    large = np.full((1, 4, 1), 60000, np.float16)  # their sum is beyond float16
    assert mean(large, np.ones((1, 4), np.int64)).tolist() == [[60000.0]]


def test_halves_are_summed_as_float64_does() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(1, -1, 8)  # all float16 numbers, subnormal ones among them
    ones = np.ones(finite.shape[:2], np.int64)
    expected = np.einsum("bt,btd->bd", ones, finite.astype(np.float64)) / ones.sum()
    np.testing.assert_allclose(mean(finite, ones), expected, rtol=1e-6, atol=1e-3)
    random = np.random.default_rng(3).standard_normal((4, 200, 16)).astype(np.float16)
    mask = (np.arange(200) < np.array([[200], [1], [77], [64]])).astype(np.int64)
    exact = (random.astype(np.float64) * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    assert np.array_equal(mean(random, mask).astype(np.float16), exact.astype(np.float16))


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_halves_that_are_not_finite_are_not_lost(number: float) -> None:
    hidden = np.ones((2, 3, 4), np.float16)
    hidden[1, 2, 3] = number
    pooled = mean(hidden, np.ones((2, 3), np.int64))
    assert np.isfinite(pooled[0]).all()
    assert not np.isfinite(pooled[1, 3])


def test_normalize_keeps_the_type_and_leaves_zeros() -> None:
    halves = normalize(np.array([[300, 400]], np.float16))  # the squares are beyond float16
    assert halves.dtype == np.float16
    assert halves.tolist() == [[float(np.float16(0.6)), float(np.float16(0.8))]]
    assert normalize(np.array([[0, 0], [3, 4]], np.float32)).tolist() == [[0, 0], [np.float32(0.6), np.float32(0.8)]]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (PoolingType.CLS, [[0, 1, 2], [12, 13, 14]]),
        (PoolingType.MEAN, [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]),
        (PoolingType.LAST_TOKEN, [[3, 4, 5], [21, 22, 23]]),
    ],
)
@pytest.mark.parametrize("element", [np.float16, np.float32, np.float64, np.int32])
def test_pool_gives_float32(pooling: PoolingType, expected: list[list[float]], element: type) -> None:
    vectors = pool(HIDDEN.astype(element), RIGHT, pooling, normalized=False)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == expected
    unit = pool(HIDDEN.astype(element), RIGHT, pooling, normalized=True)
    if element is not np.int32 or pooling is PoolingType.MEAN:
        assert np.linalg.norm(unit, axis=1) == pytest.approx([1, 1], abs=1e-3)


def test_pool_rounds_to_the_precision_of_the_graph() -> None:
    hidden = np.array([[[1.0], [1.0], [1.001]]], np.float16)
    vectors = pool(hidden, np.ones((1, 3), np.int64), PoolingType.MEAN, normalized=False)
    assert vectors[0, 0] == np.float32(np.float16(hidden.astype(np.float64).mean()))


@pytest.mark.parametrize("pooling", [PoolingType.CLS, PoolingType.DISABLED])
def test_pool_takes_pooled_outputs_as_they_are(pooling: PoolingType) -> None:
    assert pool(HIDDEN[0], RIGHT, pooling, normalized=False).tolist() == HIDDEN[0].tolist()


@pytest.mark.parametrize("pooling", [PoolingType.MEAN, PoolingType.LAST_TOKEN])
def test_pool_needs_token_vectors_for_some_kinds(pooling: PoolingType) -> None:
    with pytest.raises(ModelError, match=rf"pooling={pooling.value} needs token vectors .* gives shape \[4, 3\]"):
        pool(HIDDEN[0], RIGHT, pooling, normalized=False)


def test_pool_needs_a_pooled_output_when_disabled() -> None:
    with pytest.raises(ModelError, match=r"token vectors of shape \[2, 4, 3\].*use PoolingType.MEAN"):
        pool(HIDDEN, RIGHT, PoolingType.DISABLED, normalized=False)
    with pytest.raises(ModelError, match=r"shape \[2, 4, 3, 1\]"):
        pool(HIDDEN[..., None], RIGHT, PoolingType.CLS, normalized=False)


def test_shorten_cuts_and_scales() -> None:
    vectors = np.array([[3, 4, 12]], np.float32)
    assert shorten(vectors, 2, layer_norm=False, normalized=False).tolist() == [[3, 4]]
    assert shorten(vectors, 2, layer_norm=False, normalized=True).tolist() == [[np.float32(0.6), np.float32(0.8)]]
    assert vectors.tolist() == [[3, 4, 12]]


def test_shorten_standardises_the_full_vector_first() -> None:
    vectors = np.array([[1, 2, 3, 6]], np.float32)  # mean 3, variance 3.5
    short = shorten(vectors, 2, layer_norm=True, normalized=False)
    assert short == pytest.approx(np.array([[-2, -1]]) / np.sqrt(3.5 + 1e-5), abs=1e-6)
    unit = shorten(vectors, 2, layer_norm=True, normalized=True)
    assert unit == pytest.approx(np.array([[-2, -1]]) / np.sqrt(5), abs=1e-6)

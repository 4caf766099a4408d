"""Vectors in fewer bits, as sentence-transformers encodes them: values, ranges, refusals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import quantization_ranges, quantize_embeddings
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.quantized_vectors import PRECISIONS, digest, ranges, taken, vectors, ways
from tests.walls.copies import ROOT

GOLDEN = json.loads(Path(ROOT, "tests/golden/quantized.json").read_text(encoding="utf-8"))["digests"]
WAYS = ways()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("way", WAYS)
def test_bits_are_those_of_sentence_transformers(way: str, precision: Any) -> None:
    given, arguments = WAYS[way]
    encoded = quantize_embeddings(given, precision, **taken(precision, arguments))
    assert digest(encoded) == GOLDEN[way][precision]


def test_float16() -> None:
    encoded = quantize_embeddings(vectors(), "float16")
    assert encoded.dtype == np.float16
    assert np.array_equal(encoded, vectors().astype(np.float16))


def test_values() -> None:
    two = np.array([[0.0, -1.0, 6.0], [1.0, 0.5, 6.0]], np.float32)
    given = [[0, -1, 0], [2, 1, 5]]
    assert quantize_embeddings(two, "uint8", given).tolist() == [[0, 0, 255], [127, 191, 255]]
    assert quantize_embeddings(two, "int8", given).tolist() == [[-128, -128, 127], [-1, 63, 127]]
    assert quantize_embeddings(two, "ubinary").tolist() == [[0b00100000], [0b11100000]]
    assert quantize_embeddings(two, "binary").tolist() == [[32 - 128], [224 - 128]]
    assert quantize_embeddings([[0.5, -0.5]], "ubinary").tolist() == [[0b10000000]]
    assert quantize_embeddings([], "int8") == []


def test_ranges_of_matrices_are_those_of_all_rows() -> None:
    rows = vectors()
    found = quantization_ranges([rows[:400], rows[400:]])
    assert found.dtype == np.float32
    assert np.array_equal(found, [rows.min(axis=0), rows.max(axis=0)])
    assert np.array_equal(found, quantization_ranges(rows))


def test_few_vectors_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "onnxembed.output"):
        quantize_embeddings(vectors()[:99], "int8")
        quantize_embeddings(vectors()[:100], "int8")
        quantize_embeddings(vectors()[:2], "binary")
    assert [record.getMessage() for record in caplog.records] == [
        "the ranges of int8 and uint8 are measured with 99 vectors only; pass those of 100 or more as ranges="
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (([[0.5]], "int4"), InputError, "precision='int4': expected one of 'float32'"),
        (([[0.5]], "unary"), InputError, "Did you mean 'ubinary' or 'binary'"),
        (([[0.5]], None), InputTypeError, "precision=None: expected one of"),
        ((np.zeros((2, 3), np.int8), "binary"), InputTypeError, "vectors are int8, which is encoded already"),
        ((["a"], "binary"), InputTypeError, "given list holding str32"),
        ((np.zeros((1, 2, 3)), "binary"), InputError, r"vectors have the shape \(1, 2, 3\)"),
        (([[0.5]], "int8"), InputError, "fewer than two vectors: pass ranges="),
        (([0.5, 0.5], "uint8"), InputError, "fewer than two vectors: pass ranges="),
        (([[0.5]], "binary", [[0], [1]]), InputError, "ranges= goes with int8 and uint8; binary needs none"),
        (([[0.5]], "float32", None, [[0.5]]), InputError, "calibration= goes with int8 and uint8"),
        (([[0.5]], "int8", [[0], [1]], [[0.5], [1]]), InputError, "pass one of them"),
        (([[0.5]], "int8", [[0, 0], [1, 1]]), InputError, "ranges= are of 2 dimensions, the vectors have 1"),
        (([[0.5]], "int8", [[1], [0]]), InputError, "a least value is above the largest"),
        (([[0.5]], "int8", [0, 1]), InputError, r"ranges have the shape \(2,\)"),
        (([[0.5]], "int8", "wide"), InputTypeError, r"ranges: expected ranges \(2, dim\)"),
        (([[0.5]], "int8", [[0], [float("inf")]]), InputError, "ranges hold numbers that are not finite"),
        (([[float("inf")]], "int8", [[0], [1]]), InputError, "not finite, which int8 cannot"),
        (([[float("nan")]], "ubinary"), InputError, "NaN, which has no sign"),
        (([[0.5]], "int8", [[-3e38], [3e38]]), InputError, "ranges are further apart than float32 can hold"),
        (([[0.5]], "int8", [[0], [1e300]]), InputError, "ranges hold numbers that are not finite"),
        (([np.ones((2, 3)), np.ones((2, 4))], "ubinary"), InputError, "matrices of 3, 4 numbers a row"),
        (([np.ones((2, 3)), np.ones((2, 4))], "int8"), InputError, "matrices of 3, 4 numbers a row"),
        (([[1e5]], "float16"), InputError, r"100000, more than float16 can \(65504\)"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        quantize_embeddings(*arguments)


def test_ranges_need_several_vectors() -> None:
    with pytest.raises(InputError, match="fewer than two vectors"):
        quantization_ranges(ranges()[:1])

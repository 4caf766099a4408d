"""The store of token vectors: what it gives back, how far it rounds, what it refuses."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.maxsim import maxsim
from onnxembed.late_interaction.multi_vectors import MultiVectors, Storage
from tests.fixtures.maxsim import maxsim_reference


def documents(scale: float = 1.0) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [scale * random.standard_normal((length, 32)) for length in (3, 0, 5, 1)]


def test_float32_gives_back_what_was_packed() -> None:
    given = [document.astype(np.float32) for document in documents()]
    packed = MultiVectors.pack(iter(given))
    assert len(packed) == 4
    assert packed.dim == 32
    assert packed.offsets.tolist() == [0, 3, 3, 8, 9]
    assert packed.nbytes == 9 * 32 * 4 + 5 * 8
    for stored, document in zip(packed, given, strict=True):
        assert stored.dtype == np.float32
        assert stored.tolist() == document.tolist()
    assert packed[-1].tolist() == given[-1].tolist()
    for beyond in (4, -5):
        with pytest.raises(IndexError, match=f"document {beyond} of 4"):
            packed[beyond]
    with pytest.raises(ValueError, match="read-only"):
        packed.values[0, 0] = 1


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_rounding_stays_within_its_bound(dtype: Storage, scale: float) -> None:
    given = documents(scale)
    packed = MultiVectors.pack(given, dtype)
    assert packed.nbytes == 9 * 32 * {"float16": 2, "int8": 1}[dtype] + 5 * 8 + (9 * 4 if dtype == "int8" else 0)
    query = np.random.default_rng(1).standard_normal((4, 32))
    for stored, document in zip(packed, given, strict=True):
        if dtype == "int8":
            bound = np.abs(document).max(axis=1, initial=0, keepdims=True) / 254
        else:
            bound = np.maximum(np.abs(document) * 2.0**-11, 2.0**-25)
        bound = np.broadcast_to(bound * 1.0001, document.shape)
        assert (np.abs(stored - document) <= bound).all()
        assert (np.abs(stored @ query.T - document @ query.T) <= bound @ np.abs(query).T + 1e-5 * scale).all()
    np.testing.assert_allclose(maxsim(query, packed), maxsim_reference(query, packed), rtol=1e-5, atol=1e-6 * scale)


def test_every_float16_is_widened_exactly() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(-1, 64)
    for rows in (every, every[np.isfinite(every).all(axis=1)]):
        packed = MultiVectors(rows, np.array([0, len(rows)], np.int64))
        np.testing.assert_array_equal(packed[0].view(np.uint32), rows.astype(np.float32).view(np.uint32))
    for value in (np.inf, -np.inf, np.nan):
        assert MultiVectors.pack([[[1.0, value]]], "float16")[0].tolist()[0] == [1.0, pytest.approx(value, nan_ok=True)]


def test_vectors_of_zeros_survive_int8() -> None:
    packed = MultiVectors.pack([np.zeros((2, 3)), [[1e-45, 0, 0]], [[-2, 1, 0.5]]], "int8")
    assert packed[0].tolist() == [[0, 0, 0]] * 2
    assert packed.values[3].tolist() == [-127, 64, 32]
    assert np.abs(packed[1]).max() < 1e-44


def test_arrays_can_be_saved_and_mapped(tmp_path: Path) -> None:
    packed = MultiVectors.pack(documents(), "int8")
    names = ("values", "offsets", "scales")
    for name in names:
        np.save(tmp_path / name, getattr(packed, name), allow_pickle=False)
    mapped = MultiVectors(*(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in names))
    query = documents()[0]
    expected = maxsim(query, packed).tolist()
    assert maxsim(query, mapped).tolist() == expected
    assert maxsim(query, pickle.loads(pickle.dumps(packed))).tolist() == expected


def test_nothing_packed_is_empty() -> None:
    for dtype in ("float32", "float16", "int8"):
        assert len(MultiVectors.pack([], dtype)) == 0
        assert [document.shape for document in MultiVectors.pack([np.empty((0, 4))], dtype)] == [(0, 4)]


@pytest.mark.parametrize(
    ("given", "dtype", "error", "message"),
    [
        ([np.ones((1, 2))], "float8", InputError, "dtype='float8'; expected one of float32, float16, int8.*Did you"),
        ("text", "float32", InputTypeError, "one per document; given str"),
        (3, "float32", InputTypeError, "one per document; given int"),
        (["text"], "float32", InputTypeError, "document 0 is str"),
        ([np.ones((1, 2)), np.ones((1, 3))], "float32", InputError, "document 1 has vectors of 3 numbers"),
        ([np.ones((1, 2)), [[0, -70000]]], "float16", InputError, "document 1 holds 70000, more than float16"),
        ([[[np.nan]]], "int8", InputError, "document 0 holds numbers that are not finite"),
        ([[[np.inf]]], "int8", InputError, "document 0 holds numbers that are not finite"),
    ],
)
def test_what_cannot_be_packed_is_refused(given: object, dtype: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        MultiVectors.pack(given, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "offsets", "scales", "message"),
    [
        (np.ones((2, 3)), [0, 2], None, "values are float64"),
        (np.ones(2, np.float32), [0, 2], None, r"shape \(2,\)"),
        (np.ones((2, 3), np.float32), [0, 3], None, "rise from 0 to 2"),
        (np.ones((2, 3), np.float32), [1, 2], None, "rise from 0 to 2"),
        (np.ones((2, 3), np.float32), [0, 2, 1, 2], None, "rise from 0 to 2"),
        (np.ones((2, 3), np.float32), [], None, "rise from 0 to 2"),
        (np.ones((2, 3), np.float32), [[0, 2]], None, "rise from 0 to 2"),
        (np.ones((2, 3), np.int8), [0, 2], None, "scales go with int8"),
        (np.ones((2, 3), np.float16), [0, 2], np.ones(2, np.float32), "scales go with int8"),
        (np.ones((2, 3), np.int8), [0, 2], np.ones(3, np.float32), "one for each of 2 vectors"),
        (np.ones((2, 3), np.int8), [0, 2], np.ones(2), "scales are float64"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    values: np.ndarray, offsets: list[int], scales: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        MultiVectors(values, np.array(offsets, np.int64), scales)
    with pytest.raises(InputError, match="offsets must be int64"):
        MultiVectors(np.ones((2, 3), np.float32), np.array([0, 2], np.int32))

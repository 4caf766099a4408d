"""How a model is computed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from onnxembed import SparseTextEmbedding, TextEmbedding
from onnxembed.errors import InputError, InputTypeError
from onnxembed.runtime.precision import (
    GraphNumbers,
    Precision,
    has_bfloat16,
    has_dot_products,
    integer_form,
    parse_precision,
)
from tests.fixtures.small_models import write_bert_folder

TEXTS = ["hello world", "the quick brown fox", "a", "of the world and the fox " * 5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose products are large enough for 8 bits."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_bert_folder(folder, hidden=256, layers=2)
    return folder


@pytest.mark.parametrize("name", ["INT8", "int8", Precision.INT8])
def test_names_in_any_case(name: str) -> None:
    assert parse_precision(name, "precision") is Precision.INT8


def test_others_are_refused_by_name() -> None:
    known = r"'fp32', 'tf32', 'int8', 'fp16', 'bf16', 'auto'"
    with pytest.raises(InputError, match=rf"precision='int4' is no precision; known are {known}\. .*'int8'"):
        TextEmbedding(precision="int4", lazy_load=True)
    with pytest.raises(InputTypeError, match=r"precision=8: expected a precision"):
        TextEmbedding(precision=8, lazy_load=True)  # type: ignore[arg-type]


def test_what_has_no_graph_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"precision='int8': 'Qdrant/bm25' has no graph"):
        SparseTextEmbedding("Qdrant/bm25", precision="int8")


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", True),
        ("flags\t\t: fpu avx2 avx_vnni", True),
        ("Features\t: fp asimd asimddp", True),
        ("flags\t\t: fpu avx2", False),
        ("", False),
    ],
)
def test_what_a_processor_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, has: bool) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\n{flags}\n")
    assert has_dot_products(path) is has
    assert not has_dot_products(tmp_path / "missing")  # an unknown processor is taken for one without


def test_form_by_what_the_processor_has(caplog: pytest.LogCaptureFixture) -> None:
    assert integer_form(dot_products=True) is GraphNumbers.INT8
    assert not caplog.text
    assert integer_form(dot_products=False) is GraphNumbers.INT7
    assert "no 8-bit dot products" in caplog.text


@pytest.mark.parametrize(
    ("flags", "has"),
    [("flags\t: avx512_vnni avx512_bf16", True), ("Features\t: asimddp bf16", True), ("flags\t: avx512_vnni", False)],
)
def test_products_of_bfloat16(tmp_path: Path, flags: str, has: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"{flags}\n")
    assert has_bfloat16(path) is has


def test_vectors_near_full_precision_that_keep_to_themselves(folder: Path, tmp_path: Path) -> None:
    full = TextEmbedding(folder, cache_dir=tmp_path)
    rounded = TextEmbedding(folder, cache_dir=tmp_path, precision="int8")
    exact, near = full.embed_to_array(TEXTS), rounded.embed_to_array(TEXTS)
    cosines = (exact * near).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert cosines.min() > 0.99
    assert not np.array_equal(exact, near)
    scale = np.abs(near).max()
    for text, vector in zip(TEXTS, near, strict=True):
        assert np.abs(rounded.embed_to_array([text])[0] - vector).max() < 1e-6 * max(1, scale)
    assert full.fingerprint != rounded.fingerprint
    assert rounded.options["precision"] == "int8"
    again = pickle.loads(pickle.dumps(rounded))
    assert np.array_equal(again.embed_to_array(TEXTS), near)


def test_the_graph_is_made_once(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        TextEmbedding(folder, cache_dir=tmp_path, precision="int8").embed_to_array(TEXTS[:1])
    graphs = list(tmp_path.rglob("model.onnx"))
    assert len(graphs) == 2
    sizes = sorted(path.with_name("model.onnx.data").stat().st_size for path in graphs)
    assert sizes[0] < 0.35 * sizes[1]


def test_a_graph_that_is_loaded_again_stays_in_8_bits(folder: Path, tmp_path: Path) -> None:
    model = TextEmbedding(folder, cache_dir=tmp_path, precision="int8")
    near = model.embed_to_array(TEXTS)
    for data in tmp_path.rglob("model.onnx.data"):
        content = data.read_bytes()
        data.unlink()  # the mapped file is another one from now on
        data.write_bytes(content)
    np.testing.assert_array_equal(model.embed_to_array(TEXTS), near)
    for data in tmp_path.rglob("model.onnx.data"):
        os.utime(data)
    np.testing.assert_array_equal(model.embed_to_array(TEXTS), near)

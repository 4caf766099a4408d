"""What ``precision="auto"`` has found is compared with single precision before it is used."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

import onnxembed
from onnxembed import SparseTextEmbedding, TextEmbedding
from onnxembed.api.precision_check import AUTO_COSINE, TEXTS, least_agreement
from onnxembed.runtime import cuda
from onnxembed.runtime.precision_choice import Machine
from tests.fixtures.model_rows import CLASSES, all_rows, write_row
from tests.fixtures.small_models import write_bert_folder

VNNI = Machine(dot_products=True, bfloat16=False, arm_linux=False)
KINDS = ("dense", "image", "late_interaction", "rerank", "sparse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose products are large enough for 8 bits."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_bert_folder(folder, hidden=256, layers=2)
    return folder


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine wherever the tests run: a processor with 8-bit dot products."""
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: VNNI))


def test_what_was_found_is_used_and_said(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onnxembed.models")
    model = TextEmbedding(folder, cache_dir=tmp_path, precision="auto", lazy_load=True)
    assert not model.loaded
    assert model.options["precision"] == "auto"
    assert model.precision == model.description["precision"] == "int8"
    assert "8-bit dot products, and its least cosine to single precision on 8 texts is 0.99" in model.precision_reason
    assert f"precision 'int8' is used: {model.precision_reason}" in caplog.text
    asked = TextEmbedding(folder, cache_dir=tmp_path, precision="int8")
    assert asked.precision_reason == ""
    assert model.fingerprint == asked.fingerprint != TextEmbedding(folder, cache_dir=tmp_path).fingerprint
    assert model.loaded
    np.testing.assert_array_equal(model.embed_to_array(TEXTS), asked.embed_to_array(TEXTS))
    again = pickle.loads(pickle.dumps(model))
    assert (again.precision, again.fingerprint) == ("int8", model.fingerprint)
    exported = TextEmbedding(model.export(tmp_path / "exported"))
    assert (exported.precision, exported.fingerprint) == ("int8", model.fingerprint)


def test_it_is_measured_once(folder: Path, tmp_path: Path) -> None:
    first = TextEmbedding(folder, cache_dir=tmp_path, precision="auto", lazy_load=True)
    assert first.precision == "int8"
    (remembered,) = tmp_path.rglob("precisions/*.json")
    assert json.loads(remembered.read_text())["least_cosine"] > AUTO_COSINE
    # A smaller one decides otherwise, so that it is what is read.
    remembered.write_text('{"least_cosine": 0.9}')
    second = TextEmbedding(folder, cache_dir=tmp_path, precision="auto", lazy_load=True)
    assert second.precision == "fp32"
    for damaged in ("damaged", '{"least_cosine": "nan"}', '{"least_cosine": 7}'):
        remembered.write_text(damaged)
        third = TextEmbedding(folder, cache_dir=tmp_path, precision="auto", lazy_load=True)
        assert third.precision == "int8"
        assert 0.99 < float(third.precision_reason.rpartition(" is ")[2]) < 1


def test_what_falls_below_the_bound_is_computed_in_single_precision(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxembed.api.precision_check.AUTO_COSINE", 0.99999)
    model = TextEmbedding(folder, cache_dir=tmp_path, precision="auto")
    plain = TextEmbedding(folder, cache_dir=tmp_path)
    assert model.precision == "fp32"
    assert model.precision_reason.startswith("'int8' is too far away: its least cosine")
    assert model.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(model.embed_to_array(TEXTS), plain.embed_to_array(TEXTS))


def test_a_device_that_does_not_start(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxembed.api.settings.available_providers", lambda *_: providers)
    monkeypatch.setattr("onnxembed.api.precision_check.available_providers", lambda *_: providers)
    monkeypatch.setattr(cuda, "driver", lambda: cuda.Driver(found=True, text="an NVIDIA driver was found"))
    model = TextEmbedding(folder, cache_dir=tmp_path, precision="auto", lazy_load=True)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):  # of ONNX Runtime, which has none
        precision = model.precision
    assert precision == "fp32"
    assert model.precision_reason.startswith("'fp16' does not run here (CUDAExecutionProvider was asked for")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_it(kind: str, tmp_path: Path) -> None:
    """Small models have no product that is worth 8 bits; each kind says so instead of failing."""
    row = next(param.values[0] for param in all_rows(kind) if "model.safetensors" in param.values[0].weights)
    folder = write_row(row, tmp_path / "model")
    model = getattr(onnxembed, CLASSES[kind])(folder, cache_dir=tmp_path / "cache", precision="auto", **row.options)
    assert model.precision == "fp32"
    assert "no product of single precision that is worth 8 bits" in model.precision_reason


def test_what_has_no_graph() -> None:
    model = SparseTextEmbedding("Qdrant/bm25", precision="auto")
    assert (model.precision, model.precision_reason) == ("fp32", "the model has no graph")


def test_agreement_of_vectors_and_of_scores() -> None:
    one, other = np.ones((1, 16)), np.ones((1, 16))
    other[0, 0] = -1
    assert least_agreement([one, one], [one, other]) == pytest.approx(14 / 16)
    assert least_agreement([one], [one * np.nan]) == -1
    scores = [np.array([[value]]) for value in (1.0, 2.0, 3.0)]
    # A score moves no angle, but their order about their mean does.
    assert least_agreement(scores, scores[::-1]) == pytest.approx(-1)
    assert least_agreement(scores, [score + 5 for score in scores]) == pytest.approx(1)

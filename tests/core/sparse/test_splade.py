"""SPLADE: logits to weights, pruning, and the forms that graphs give."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.errors import ModelError
from onnxembed.sparse import engine
from onnxembed.sparse.engine import SparseEngine
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.sparse.splade import Pruning, SpladeWeigher, largest_logits
from onnxembed.text.graph import PaddedTokens
from tests.fixtures.bert_reference import bert_hidden_states, masked_language_logits
from tests.fixtures.dense_tokenizers import word_pieces
from tests.fixtures.sparse_models import TEXTS, VOCABULARY_SIZE, write_masked_language_model, write_splade

NAME = "prithivida/Splade_PP_en_v1"
# One text, two positions.
LOGITS = np.array([[[1, -1, 0, 3], [2, 0.5, -4, 9]]], dtype=np.float32)


def padded(*masks: list[int]) -> PaddedTokens:
    mask = np.array(masks, dtype=np.int64)
    return PaddedTokens(np.zeros_like(mask), mask)


def weigher(pruning: Pruning | None = None, **options: Any) -> SpladeWeigher:
    return SpladeWeigher("logits", pruning=pruning or Pruning(), **options)


def test_weights_are_logarithms_of_the_largest_logits() -> None:
    (vector,) = weigher().weigh(LOGITS, padded([1, 0]))
    assert vector.as_dict() == pytest.approx({0: 0.69314718, 3: 1.38629436}, abs=1e-7)
    assert vector.values.dtype == np.float64
    assert vector.indices.dtype == np.int64
    assert not vector.values.flags.writeable


def test_inference_free_form_takes_two_logarithms_and_leaves_special_tokens_out() -> None:
    form = weigher(logarithms=2, left_out=np.array([3, 1000]))
    (vector,) = form.weigh(LOGITS, padded([1, 1]))
    assert vector.as_dict() == pytest.approx({0: 0.74127631, 1: 0.34036829}, abs=1e-7)


@pytest.mark.parametrize("mask", [[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
def test_padding_on_either_side_never_counts(mask: list[int]) -> None:
    logits = np.random.RandomState(1).normal(size=(2, 6, 50)).astype(np.float32)
    maxima = largest_logits(logits, np.array([mask, [1] * 6]), "logits")
    kept = np.array(mask, dtype=bool)
    assert np.array_equal(maxima[0], logits[0, kept].max(axis=0))
    assert np.array_equal(maxima[1], logits[1].max(axis=0))


def test_maximum_taken_in_the_graph_gives_the_same() -> None:
    inside = weigher().weigh(LOGITS.max(axis=1), padded([1, 1]))
    assert inside == weigher().weigh(LOGITS, padded([1, 1]))


@pytest.mark.parametrize("logits", [LOGITS, LOGITS[:, 0]])
def test_text_without_tokens_has_the_empty_vector(logits: np.ndarray) -> None:
    empty, full = weigher().weigh(np.concatenate([logits, logits]), padded([0, 0], [1, 0]))
    assert len(empty) == 0
    assert full.indices.tolist() == [0, 3]


def test_finished_weights_are_taken_as_they_are() -> None:
    (vector,) = weigher(logarithms=0).weigh(LOGITS[:, 1], padded([1, 1]))
    assert vector.as_dict() == {0: 2.0, 1: 0.5, 3: 9.0}


def test_tiny_weights_are_not_lost() -> None:
    (vector,) = weigher().weigh(np.array([[[1e-12, 0.0]]], dtype=np.float32), padded([1]))
    assert vector.as_dict() == pytest.approx({0: 1e-12}, rel=1e-6)


def test_half_precision_is_widened_before_the_logarithm() -> None:
    (vector,) = weigher().weigh(LOGITS.astype(np.float16), padded([1, 1]))
    assert vector.as_dict() == pytest.approx({0: np.log(3), 1: np.log(1.5), 3: np.log(10)}, abs=1e-7)


@pytest.mark.parametrize(
    ("pruning", "ids"),
    [
        (Pruning(top_k=1), [[3], [1]]),
        (Pruning(top_k=2), [[0, 3], [1, 2]]),
        (Pruning(top_k=9), [[0, 1, 3], [0, 1, 2, 3]]),
        (Pruning(min_weight=1.0), [[0, 3], [1]]),
        (Pruning(min_weight=0.7, top_k=2), [[0, 3], [1, 2]]),
        (Pruning(min_weight=99.0), [[], []]),
    ],
)
def test_pruning_keeps_the_heaviest(pruning: Pruning, ids: list[list[int]]) -> None:
    weights = np.array([[2, 0.5, 0, 9], [0.2, 1.5, 0.7, 0.7]], dtype=np.float32)
    vectors = weigher(pruning, logarithms=0).weigh(weights, padded([1], [1]))
    assert [vector.indices.tolist() for vector in vectors] == ids
    for vector, row in zip(vectors, weights, strict=True):
        assert np.array_equal(vector.values, row[vector.indices])


def test_pruning_chooses_as_sorting_does() -> None:
    logits = np.random.RandomState(2).normal(size=(7, 9, 300)).astype(np.float32)
    mask = padded(*[[1] * 9] * 7)
    whole = weigher().weigh(logits, mask)
    pruned = weigher(Pruning(top_k=25)).weigh(logits, mask)
    for full, short in zip(whole, pruned, strict=True):
        best = sorted(full.as_dict().items(), key=lambda entry: (-entry[1], entry[0]))[:25]
        assert short.as_dict() == dict(best)


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 2, 4), (1, 4, 2, 4), (4,)])
def test_output_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"'logits' has the shape .* expected \(batch, sequence, vocabulary\)"):
        weigher().weigh(np.zeros(shape, np.float32), padded([1, 1]))


def test_infinite_logits_are_refused() -> None:
    with pytest.raises(ModelError, match="infinite"):
        weigher().weigh(np.full((1, 1, 3), np.inf, np.float32), padded([1]))


@pytest.mark.parametrize("pooled", ["max_logits", "weights"])
def test_graphs_that_reduce_by_themselves_give_the_same(pooled: str, tmp_path: Path) -> None:
    whole = SparseTextEmbedding(NAME, specific_model_path=write_splade(tmp_path / "whole"))
    inside = SparseTextEmbedding(NAME, specific_model_path=write_splade(tmp_path / "inside", pooled=pooled))
    for one, other in zip(whole.embed(TEXTS[:30]), inside.embed(TEXTS[:30]), strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert np.abs(one.values - other.values).max(initial=0) <= 1e-6


def test_top_k_and_min_weight_are_options_of_the_facade(tmp_path: Path) -> None:
    folder = write_splade(tmp_path)
    whole = list(SparseTextEmbedding(NAME, specific_model_path=folder).embed(TEXTS[:30]))
    pruned = SparseTextEmbedding(NAME, specific_model_path=folder, top_k=7, min_weight=0.2)
    for full, short in zip(whole, pruned.embed(TEXTS[:30]), strict=True):
        kept = [entry for entry in full.as_dict().items() if entry[1] >= 0.2]
        assert short.as_dict() == pytest.approx(dict(sorted(kept, key=lambda entry: -entry[1])[:7]), abs=1e-6)
        assert len(short) <= 7


@pytest.mark.parametrize("kept", [True, False])
def test_logits_bound_the_batches(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the maximum is taken in a copy of the graph, or, where none can be kept, outside."""
    folder = write_splade(tmp_path / "model")
    expected = list(SparseTextEmbedding(NAME, specific_model_path=folder).embed(TEXTS[:20]))
    cache = tmp_path / "cache"
    if not kept:
        cache.write_text("a file where the cache would be", encoding="utf-8")
        caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(engine, "LOGIT_BYTES", 4 * VOCABULARY_SIZE * 20)
    model = SparseTextEmbedding(NAME, cache_dir=cache, specific_model_path=folder)
    loaded = model._engine
    assert isinstance(loaded, SparseEngine)
    assert loaded.work("document", model._options)[1].budget == 20
    assert [output.name for output in loaded.base.graph.file.outputs] == ["max_logits" if kept else "logits"]
    for one, other in zip(model.embed(TEXTS[:20]), expected, strict=True):
        assert one.indices.tolist() == other.indices.tolist()
        assert np.abs(one.values - other.values).max(initial=0) <= 1e-6


@pytest.mark.parametrize("name", [NAME, ""])
def test_weights_without_a_graph_are_compiled(name: str, tmp_path: Path) -> None:
    """A published checkpoint of a masked-language model: the maximum is taken while the logits are made."""
    config, weights = write_masked_language_model(tmp_path)
    entries = config["vocab_size"]
    model = SparseTextEmbedding(name or tmp_path, specific_model_path=tmp_path if name else None)
    texts = ["hello world", "", "the quick brown fox and running"]
    for text, vector in zip(texts, model.embed(texts), strict=True):
        ids = np.array([word_pieces().encode(text).ids])
        mask = np.ones_like(ids)
        states = bert_hidden_states(weights, config, ids, mask, np.zeros_like(ids))
        largest = masked_language_logits(weights, config, states)[0].max(axis=0)
        expected = np.log1p(np.maximum(largest, 0))
        dense = np.zeros(entries)
        dense[vector.indices] = vector.values
        assert np.abs(dense - expected).max() <= 1e-5
        assert 0 < len(vector) < entries
    loaded = model._engine
    assert isinstance(loaded, SparseEngine)
    assert loaded.work("document", model._options)[1] == loaded._text.text.get().plan

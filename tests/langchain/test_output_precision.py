"""``output_precision=`` of `OnnxEmbeddings`: the core's numbers in lists, caches apart, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_onnxembed import OnnxEmbeddings
from onnxembed import TextEmbedding, quantization_ranges
from onnxembed.api.output_precision import OUTPUT_PRECISIONS, STEPPED, OutputPrecision
from onnxembed.errors import InputError
from tests.fixtures.text_models import small_model

TEXTS = [f"text {number}" for number in range(101)]


@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("precision", OUTPUT_PRECISIONS)
def test_lists_hold_the_cores_numbers(precision: OutputPrecision, progress: bool) -> None:
    core = TextEmbedding(small_model())
    ranges = quantization_ranges(core.embed_to_array(TEXTS)).tolist() if precision in STEPPED else None
    embeddings = OnnxEmbeddings(model=small_model(), output_precision=precision, ranges=ranges, show_progress=progress)
    wanted = core.embed_to_array(TEXTS, input_type="document", output_precision=precision, ranges=ranges)
    documents = embeddings.embed_documents(TEXTS)
    assert documents == wanted.tolist()
    assert {type(number) for number in documents[0]} == {float if precision.startswith("float") else int}
    assert len(embeddings.embed_query("text")) == embeddings.dimension == wanted.shape[1]


def test_caches_are_apart() -> None:
    low, high = [[-1.0] * 32], [[0.5] * 32, [1.0] * 32]
    made: list[dict[str, Any]] = [
        {},
        {"output_precision": "binary"},
        {"output_precision": "ubinary"},
        {"output_precision": "int8", "ranges": low + high[:1]},
        {"output_precision": "int8", "ranges": low + high[1:]},
    ]
    assert len({OnnxEmbeddings(model=small_model(), **options).cache_namespace for options in made}) == len(made)
    assert OnnxEmbeddings(model=small_model()).cache_namespace == TextEmbedding(small_model()).fingerprint


def test_ranges_are_needed_and_not_passed_over() -> None:
    with pytest.raises(InputError, match="output_precision='int8' needs ranges="):
        OnnxEmbeddings(model=small_model(), output_precision="int8")
    with pytest.raises(InputError, match="binary needs none"):
        OnnxEmbeddings(model=small_model(), output_precision="binary", ranges=[[0.0], [1.0]])
    with pytest.raises(ValueError, match="output_precision"):
        OnnxEmbeddings(model=small_model(), output_precision="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("ranges", [[[1.0] * 32, [0.0] * 32], [[0.0] * 32, [float("nan")] * 32], [[0.0] * 32]])
def test_ranges_that_cannot_be_are_refused_at_once(ranges: list[list[float]]) -> None:
    with pytest.raises(InputError, match="ranges"):
        OnnxEmbeddings(model=small_model(), output_precision="int8", ranges=ranges, lazy_load=True)
    embeddings = OnnxEmbeddings(model=small_model(), lazy_load=True)
    embeddings.output_precision = "bits"  # type: ignore[assignment]
    with pytest.raises(InputError, match="output_precision='bits': expected one of"):
        embeddings.embed_query("text")

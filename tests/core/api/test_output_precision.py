"""``output_precision=`` of the calls: what `quantize_embeddings` gives of the same vectors, streamed and whole."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import LateInteractionTextEmbedding, TextEmbedding, quantization_ranges, quantize_embeddings
from onnxembed.api.output_precision import OUTPUT_PRECISIONS, OutputPrecision
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.text_models import small_model

TEXTS = [f"a text of {number} words about number {number * 7}" for number in range(120)]


@pytest.fixture(scope="module")
def dense() -> TextEmbedding:
    return TextEmbedding(small_model())


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory) -> LateInteractionTextEmbedding:
    folder = write_form(tmp_path_factory.mktemp("form"), FORMS[0])
    return LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=folder)


@pytest.mark.parametrize("precision", OUTPUT_PRECISIONS)
def test_dense_vectors(dense: TextEmbedding, precision: OutputPrecision) -> None:
    expected = quantize_embeddings(dense.embed_to_array(TEXTS), precision)
    array = dense.embed_to_array(TEXTS, output_precision=precision)
    assert array.dtype == expected.dtype
    assert np.array_equal(array, expected)
    for method in (dense.embed, dense.passage_embed, dense.query_embed):
        wanted = quantize_embeddings(np.stack(list(method(TEXTS))), precision)
        assert np.array_equal(np.stack(list(method(TEXTS, output_precision=precision))), wanted)
    none = dense.embed_to_array([], output_precision=precision)
    assert (none.shape, none.dtype) == ((0, expected.shape[1]), expected.dtype)
    assert list(dense.embed([], output_precision=precision)) == []


@pytest.mark.parametrize("precision", OUTPUT_PRECISIONS)
def test_token_vectors(colbert: LateInteractionTextEmbedding, precision: OutputPrecision) -> None:
    for method in (colbert.embed, colbert.passage_embed, colbert.query_embed):
        expected = quantize_embeddings(list(method(TEXTS)), precision)
        encoded = list(method(TEXTS, output_precision=precision))
        assert [array.dtype for array in encoded] == [array.dtype for array in expected]
        assert all(map(np.array_equal, encoded, expected))


def test_ranges_of_documents_serve_queries(dense: TextEmbedding) -> None:
    ranges = quantization_ranges(dense.embed_to_array(TEXTS))
    (query,) = dense.query_embed(TEXTS[3], output_precision="uint8", ranges=ranges.tolist())
    (plain,) = dense.query_embed(TEXTS[3])
    assert np.array_equal(query, quantize_embeddings(plain, "uint8", ranges))


@pytest.mark.parametrize("precision", ["float16", "ubinary", "int8"])
def test_endless_texts_are_streamed(dense: TextEmbedding, precision: OutputPrecision) -> None:
    ranges = quantization_ranges(dense.embed_to_array(TEXTS)) if precision == "int8" else None
    endless = (TEXTS[number % 120] for number in count())
    vectors = dense.embed(endless, batch_size=32, output_precision=precision, ranges=ranges)
    assert len(list(islice(vectors, 5))) == 5
    vectors.close()  # type: ignore[attr-defined]


async def test_asynchronous_twins(dense: TextEmbedding) -> None:
    signs = dense.embed_to_array(TEXTS, output_precision="ubinary")
    assert np.array_equal(await dense.aembed_to_array(TEXTS, output_precision="ubinary"), signs)
    streamed = [vector async for vector in dense.aembed(TEXTS, output_precision="ubinary")]
    assert np.array_equal(np.stack(streamed), signs)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"output_precision": "int4"}, InputError, "output_precision='int4': expected one of"),
        ({"output_precision": None}, InputTypeError, "output_precision=None"),
        ({"ranges": [[0], [1]]}, InputError, "ranges= goes with int8 and uint8; float32 needs none"),
        ({"output_precision": "int8", "ranges": [[1], [0]]}, InputError, "a least value is above the largest"),
    ],
)
def test_refused_before_anything_is_loaded(tmp_path: Path, arguments: Any, error: type[Exception], said: str) -> None:
    model = TextEmbedding(small_model(), lazy_load=True, threads=1, token_budget=4321)
    with pytest.raises(error, match=said):
        model.embed(["a"], **arguments)
    with pytest.raises(error, match=said):
        model.aembed(["a"], **arguments)
    with pytest.raises(error, match=said):
        model.embed_to_array(["a"], **arguments)


def test_one_text_has_no_ranges_of_its_own(dense: TextEmbedding) -> None:
    with pytest.raises(InputError, match="fewer than two vectors: pass ranges="):
        dense.embed_to_array("alone", output_precision="int8")
    with pytest.raises(InputError, match="ranges= are of 3 dimensions, the vectors have"):
        dense.embed_to_array("alone", output_precision="int8", ranges=np.array([[0, 0, 0], [1, 1, 1]]))

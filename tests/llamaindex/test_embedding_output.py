"""``output_precision=`` of `OnnxEmbedding`: the core's numbers in lists, and what bytes of signs are not used for."""

from __future__ import annotations

import pickle

import pytest

from llama_index.embeddings.onnxembed import OnnxEmbedding
from onnxembed import TextEmbedding, quantization_ranges
from onnxembed.api.output_precision import OUTPUT_PRECISIONS, STEPPED, OutputPrecision
from onnxembed.errors import InputError
from tests.fixtures.text_models import small_model

TEXTS = [f"text {number}" for number in range(101)]


@pytest.mark.parametrize("precision", OUTPUT_PRECISIONS)
def test_lists_hold_the_cores_numbers(precision: OutputPrecision) -> None:
    core = TextEmbedding(small_model())
    ranges = quantization_ranges(core.embed_to_array(TEXTS)).tolist() if precision in STEPPED else None
    embedding = OnnxEmbedding(model_name=small_model(), output_precision=precision, ranges=ranges)
    wanted = core.embed_to_array(TEXTS, input_type="document", output_precision=precision, ranges=ranges).tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == wanted
    assert OnnxEmbedding.from_dict(embedding.to_dict()).get_text_embedding_batch(TEXTS) == wanted
    assert pickle.loads(pickle.dumps(embedding)).get_query_embedding("text") == embedding.get_query_embedding("text")
    assert embedding.dimension == len(wanted[0])


async def test_bytes_of_signs_are_no_numbers() -> None:
    signs = OnnxEmbedding(model_name=small_model(), output_precision="ubinary")
    vector = signs.get_query_embedding("text")
    with pytest.raises(InputError, match="packs signs into bytes"):
        signs.get_agg_embedding_from_queries(["a", "b"])
    with pytest.raises(InputError, match="packs signs into bytes"):
        await signs.aget_agg_embedding_from_queries(["a", "b"])
    with pytest.raises(InputError, match="packs signs into bytes"):
        signs.similarity(vector, vector)
    first = signs.get_agg_embedding_from_queries(["text", "b"], agg_fn=lambda vectors: vectors[0])
    assert first == vector
    halves = OnnxEmbedding(model_name=small_model(), output_precision="float16")
    assert halves.similarity(halves.get_query_embedding("a"), halves.get_query_embedding("a")) == pytest.approx(1)
    assert len(halves.get_agg_embedding_from_queries(["a", "b"])) == halves.dimension

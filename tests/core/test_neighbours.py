"""Any text alone equals itself among any neighbours: every kind of model that reads texts, both padding sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextCrossEncoder, TextEmbedding
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_models import write_static
from tests.fixtures.dense_tokenizers import TokenizerForm, write_json, write_tokenizer
from tests.fixtures.late_interaction_models import FORMS, write_form, write_token_graph
from tests.fixtures.small_models import bert_config, write_bert_folder
from tests.fixtures.sparse_models import write_bm42, write_inference_free, write_minicoil, write_splade

SIDES = ("left", "right")
TOLERANCE = 1e-5
Run = Callable[[list[str]], list[Any]]


def read_last_position(path: Path) -> None:
    """Make a graph of token vectors give the vector at its last position, whatever lies there."""
    model = onnx.load(path)
    last = numpy_helper.from_array(np.array(-1, np.int64), "last")
    model.graph.initializer.append(last)
    model.graph.node.append(helper.make_node("Gather", ["vectors", "last"], ["at_last"], axis=1))
    dim = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("at_last", TensorProto.FLOAT, ["batch", dim]))
    onnx.save(model, path)


def _tokenizer(folder: Path, side: str, **model_config: Any) -> None:
    write_tokenizer(folder, TokenizerForm(config={"padding_side": side}, model_config=model_config))


def _token_graph(folder: Path, side: str, *, last: bool = False, dim: int | None = 4) -> Path:
    """A graph whose positions are those of its columns, padding included."""
    _tokenizer(folder, side)
    write_token_graph(folder / "model.onnx", seed=5, dim=dim)
    if last:
        read_last_position(folder / "model.onnx")
    return folder


def _dense(pooling: str, *, last: bool = False) -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        model = TextEmbedding(_token_graph(folder, side, last=last), pooling=pooling)
        return lambda texts: list(model.embed(texts))

    return make


def _compiled(pooling: str) -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        write_bert_folder(folder)
        _tokenizer(folder, side, **bert_config())
        model = TextEmbedding(folder, pooling=pooling)
        return lambda texts: list(model.embed(texts))

    return make


def _form(form: GraphForm) -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        _tokenizer(folder, side)
        write_graph(folder / "model.onnx", form)
        model = TextEmbedding(folder, pooling="LAST_TOKEN")
        return lambda texts: list(model.embed(texts))

    return make


def _static(folder: Path, side: str) -> Run:
    write_static(folder, "pieces")
    write_json(folder / "config.json", {"model_type": "model2vec"})
    write_json(folder / "tokenizer_config.json", {"padding_side": side})
    model = TextEmbedding(folder)
    return lambda texts: list(model.embed(texts))


def _sparse(name: str, write: Callable[[Path], Path], method: str = "embed") -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        write(folder)
        write_json(folder / "tokenizer_config.json", {"model_max_length": 48, "padding_side": side})
        model = SparseTextEmbedding(name, specific_model_path=folder)
        return lambda texts: [vector.as_dict() for vector in getattr(model, method)(texts)]

    return make


def _late(method: str) -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        write_form(folder, FORMS[0])
        write_json(folder / "tokenizer_config.json", {"model_max_length": 40, "padding_side": side})
        model = LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=folder)
        return lambda texts: list(getattr(model, method)(texts))

    return make


def _rerank(*, last: bool) -> Callable[[Path, str], Run]:
    def make(folder: Path, side: str) -> Run:
        _token_graph(folder, side, last=True, dim=1)
        if not last:
            write_graph(folder / "model.onnx", GraphForm(output="sentence", seed=50))
            _narrow(folder / "model.onnx")
        model = TextCrossEncoder(folder)
        return lambda texts: list(model.rerank("hello", texts))

    return make


def _narrow(path: Path) -> None:
    """Keep one number of each sentence."""
    model = onnx.load(path)
    name = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first_number"))
    model.graph.node.append(helper.make_node("Gather", [name, "first_number"], ["logits"], axis=1))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1]))
    onnx.save(model, path)


KINDS: dict[str, Callable[[Path, str], Run]] = {
    "mean": _dense("MEAN"),
    "first": _dense("CLS"),
    "last": _dense("LAST_TOKEN"),
    "pooled by the graph at its last position": _dense("DISABLED", last=True),
    "compiled": _compiled("MEAN"),
    "compiled, last": _compiled("LAST_TOKEN"),
    "position_ids": _form(GraphForm(("input_ids", "attention_mask", "position_ids"), seed=50)),
    "no mask": _form(GraphForm(("input_ids",), seed=51)),
    "quantised": _form(GraphForm(quantized=True, seed=52)),
    "static": _static,
    "splade": _sparse("prithivida/Splade_PP_en_v1", write_splade),
    "inference-free": _sparse("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte", write_inference_free),
    "bm42": _sparse("Qdrant/bm42-all-minilm-l6-v2-attentions", write_bm42),
    "minicoil": _sparse("Qdrant/minicoil-v1", write_minicoil),
    "documents": _late("embed"),
    "queries": _late("query_embed"),
    "cross-encoder": _rerank(last=False),
    "cross-encoder that reads the last position": _rerank(last=True),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    @cache
    def get(kind: str, side: str) -> Run:
        return KINDS[kind](tmp_path_factory.mktemp("neighbours"), side)

    return get


# The left side needs a graph that reads the last position: padding on the right is none of its business.
CASES = [(kind, side) for kind in KINDS for side in SIDES if side == "left" or "last position" not in kind]
WORDS = st.sampled_from(["hello", "world", "the", "quick", "fox", "a", "-", "[SIDE]", "東京", "brown fox and of"])
TEXTS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), min_size=2, max_size=6)


@pytest.mark.parametrize(("kind", "side"), CASES)
@given(texts=TEXTS)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_neighbours_do_not_matter(kind: str, side: str, texts: list[str], opened: Callable[[str, str], Run]) -> None:
    run = opened(kind, side)
    together = run(texts)
    assert len(together) == len(texts)
    for text, among in zip(texts, together, strict=True):
        (alone,) = run([text])
        _assert_same(alone, among)


def _assert_same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        # What is nearly nothing may be left out of one and not of the other.
        keys = sorted(set(one) | set(other))
        one, other = ([vector.get(key, 0.0) for key in keys] for vector in (one, other))
    np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_the_side_does_not_matter_where_the_tokens_are_pooled_here(tmp_path: Path) -> None:
    """A text has the vector of the graph's own positions, whichever side its tokenizer's files name."""
    texts: Sequence[str] = ["hello", "the quick brown fox and a world of others"]
    vectors = []
    for side in SIDES:
        folder = tmp_path / side
        folder.mkdir()
        vectors.append(TextEmbedding(_token_graph(folder, side), pooling="MEAN").embed_to_array(texts))
    one, other = vectors
    np.testing.assert_allclose(one, other, atol=TOLERANCE)

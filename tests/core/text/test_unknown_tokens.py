"""Tokens that a model's table has no row for, graphs that were exported for one text, and numbers that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import helper, numpy_helper

from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.errors import InputError, ModelError
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_tokenizers import MAPPED_ID, MAPPED_TOKEN, TokenizerForm, write_json, write_tokenizer
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.rerank_models import variant, write_variant
from tests.fixtures.sparse_models import write_splade

IMAGE = "<image_soft_token>"
TEXTS = ["hello world", f"a text with {IMAGE} in it", "the fox"]


def with_token(folder: Path, text: str, **config: Any) -> Path:
    """A graph of so many rows as the tokenizer has tokens, and a token more in tokenizer.json."""
    write_tokenizer(folder, TokenizerForm(model_config=config))
    write_json(folder / "special_tokens_map.json", {})
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([text])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_graph(folder / "model.onnx", GraphForm(vocabulary=MAPPED_ID, seed=70))
    return folder


def test_tokens_of_the_map_without_a_row_stay_text(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, TokenizerForm(model_config={"vocab_size": MAPPED_ID}))
    write_graph(tmp_path / "model.onnx", GraphForm(vocabulary=MAPPED_ID, seed=70))
    model = TextEmbedding(tmp_path, pooling="MEAN")
    vectors = model.embed_to_array([f"hello {MAPPED_TOKEN}", "hello [side]"])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_tokens_of_the_map_with_a_row_are_special(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, TokenizerForm(model_config={"vocab_size": MAPPED_ID + 1}))
    write_graph(tmp_path / "model.onnx", GraphForm(vocabulary=MAPPED_ID + 1, seed=70))
    model = TextEmbedding(tmp_path, pooling="MEAN")
    assert model.token_count(MAPPED_TOKEN) == 3


@pytest.mark.parametrize(
    "config",
    [{"vocab_size": MAPPED_ID}, {"text_config": {"vocab_size": MAPPED_ID}}, {}],
    ids=["stated", "nested", "learned from the failure"],
)
@pytest.mark.parametrize("before", [0, 600])
def test_texts_with_a_token_without_a_row_are_named(config: dict[str, Any], before: int, tmp_path: Path) -> None:
    model = TextEmbedding(with_token(tmp_path, IMAGE, **config), pooling="MEAN")
    with pytest.raises(
        InputError, match=rf"text {before + 1} holds the token '{IMAGE}', whose id {MAPPED_ID} lies beyond"
    ):
        model.embed_to_array(["hello"] * before + TEXTS)
    with pytest.raises(InputError, match=f"text 0 holds the token '{IMAGE}'"):
        model.embed_to_array(IMAGE)
    assert model.embed_to_array(["hello", "world"]).shape == (2, 16)


@pytest.mark.parametrize("config", [{"vocab_size": MAPPED_ID}, {}], ids=["stated", "learned"])
def test_pairs_with_a_token_without_a_row_are_named(config: dict[str, Any], tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "model", variant("minilm_6"))
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([f"<{number}>" for number in range(200 - tokenizer.get_vocab_size())])
    tokenizer.save(str(folder / "tokenizer.json"))
    token = tokenizer.id_to_token(199)
    write_json(
        folder / "config.json", {"model_type": "bert", "pad_token_id": 0} | ({"vocab_size": 128} if config else {})
    )
    model = TextCrossEncoder(folder)
    with pytest.raises(InputError, match=f"text 1 holds the token '{token}', whose id 199 lies beyond"):
        list(model.rerank("hello", ["world", f"a {token}", "fox"]))


def test_padding_without_a_row_is_any_token(tmp_path: Path) -> None:
    folder = with_token(tmp_path, IMAGE, vocab_size=MAPPED_ID, pad_token_id=MAPPED_ID)
    model = TextEmbedding(folder, pooling="MEAN")
    together = model.embed_to_array(["hello", "the quick brown fox"])
    np.testing.assert_allclose(together[0], model.embed_to_array("hello")[0], atol=1e-6)


# -- what a graph gives ----------------------------------------------------------------------------------------------


def dense(folder: Path) -> tuple[Path, Callable[[list[str]], object]]:
    write_tokenizer(folder)
    write_graph(folder / "model.onnx", GraphForm(seed=71))
    return folder / "model.onnx", lambda texts: TextEmbedding(folder, pooling="MEAN").embed_to_array(texts)


def sparse(folder: Path) -> tuple[Path, Callable[[list[str]], object]]:
    write_splade(folder)
    name = "prithivida/Splade_PP_en_v1"
    graph = next(folder.rglob("*.onnx"))
    return graph, lambda texts: list(SparseTextEmbedding(name, specific_model_path=folder).embed(texts))


def late(folder: Path) -> tuple[Path, Callable[[list[str]], object]]:
    write_form(folder, FORMS[0])
    name = FORMS[0].name
    graph = next(folder.rglob("*.onnx"))
    return graph, lambda texts: list(LateInteractionTextEmbedding(name, specific_model_path=folder).embed(texts))


def rerank(folder: Path) -> tuple[Path, Callable[[list[str]], object]]:
    write_variant(folder, variant("minilm_6"))
    graph = next(folder.rglob("*.onnx"))
    return graph, lambda texts: list(TextCrossEncoder(folder).rerank("a", texts))


KINDS = (dense, sparse, late, rerank)


def append(path: Path, operator: str, values: Any, **attributes: Any) -> None:
    """Put one more operation behind a graph's first output."""
    model = onnx.load(path)
    output = model.graph.output[0]
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), "appended"))
    inner = f"{output.name}_before"
    for node in model.graph.node:
        node.output[:] = [inner if name == output.name else name for name in node.output]
        node.input[:] = [inner if name == output.name else name for name in node.input]
    model.graph.node.append(helper.make_node(operator, [inner, "appended"], [output.name], **attributes))
    if operator == "Gather":
        output.type.tensor_type.ClearField("shape")
    onnx.save(model, path)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_graphs_that_give_one_row_for_two_texts(kind: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    graph, run = kind(folder)
    append(graph, "Gather", np.array([0], np.int64), axis=0)
    with pytest.raises(ModelError, match=r"for a batch of \[2, \d+\]; expected numbers with one row per text"):
        run(["hello", "world"])


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_graphs_that_give_no_numbers(kind: Callable[..., Any], number: float, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    graph, run = kind(folder)
    append(graph, "Mul", np.float32(number))
    with pytest.raises(ModelError, match=r"text 0: the graph gives numbers that are not finite|holds infinite numbers"):
        run(["hello", "world"])

"""Every kind of model gives the vectors of fastembed 0.9.1, and the right ones where those are wrong.

The golden file is made by ``tests/golden/make_dense.py`` with the same folders.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from onnxembed import TextEmbedding
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.dense_models import STATIC_DIM, TEXTS, VARIANTS, variant
from tests.fixtures.dense_tokenizers import TokenizerForm, word_pieces, write_tokenizer

if TYPE_CHECKING:
    from tests.core.conftest import FolderOf
    from tests.core.text.conftest import OpenVariant

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "dense_fastembed.json").read_text(encoding="utf-8")
)
NAMES = [one.name for one in VARIANTS]
BOUND = 1e-5
# On machines with other instructions the last digit of the norm may differ, and with it the rounding to float16.
UNIT_IN_LAST_PLACE = 2.0**-11


def golden(name: str, way: str = "embed") -> np.ndarray:
    return np.array(GOLDEN["variants"][name][way])


def largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


def test_golden_file_belongs_to_these_texts_and_variants() -> None:
    assert GOLDEN["texts"] == list(TEXTS)
    assert list(GOLDEN["variants"]) == NAMES
    assert GOLDEN["made_with"]["fastembed"] == "0.9.1"


@pytest.mark.parametrize("name", NAMES)
def test_vectors_equal_those_of_fastembed(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    vectors = model.embed_to_array(TEXTS)
    if name.startswith("float16"):
        different = np.abs(vectors - golden(name)) > BOUND
        assert different.mean() <= 0.01
        assert largest(vectors, golden(name)) <= UNIT_IN_LAST_PLACE
        assert np.array_equal(vectors, vectors.astype(np.float16))
    else:
        assert largest(vectors, golden(name)) <= BOUND


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("batch_size", "parallel", "token_budget"), [(1, None, None), (2, 2, 40), (256, None, 1), (5, 0, 100_000)]
)
def test_no_choice_of_batches_changes_a_vector(
    name: str, batch_size: int, parallel: int | None, token_budget: int | None, open_variant: OpenVariant
) -> None:
    model = open_variant(name, token_budget=token_budget)
    vectors = np.stack(list(model.embed(iter(TEXTS), batch_size=batch_size, parallel=parallel)))
    assert largest(vectors, golden(name)) <= (UNIT_IN_LAST_PLACE if name.startswith("float16") else BOUND)


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_nor_neighbours_change_a_vector(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    order = list(range(len(TEXTS))) * 3
    random.Random(5).shuffle(order)
    vectors = model.embed_to_array([TEXTS[position] for position in order])
    assert largest(vectors, golden(name)[order]) <= (UNIT_IN_LAST_PLACE if name.startswith("float16") else BOUND)
    alone = np.stack([next(model.embed(text)) for text in TEXTS])
    assert largest(alone, golden(name)) <= (UNIT_IN_LAST_PLACE if name.startswith("float16") else BOUND)


@pytest.mark.parametrize("name", ["cls", "mean_norm", "qwen3", "jina_v3", "no_mask"])
def test_batches_of_equal_lengths(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    same = [TEXTS[0]] * 7
    vectors = model.embed_to_array(same)
    assert largest(vectors, np.tile(golden(name)[0], (7, 1))) <= BOUND


def test_jina_sides_have_their_tasks(open_variant: OpenVariant) -> None:
    model = open_variant("jina_v3", query_prompt="", passage_prompt="")
    assert largest(np.stack(list(model.query_embed(TEXTS))), golden("jina_v3", "query")) <= BOUND
    assert largest(np.stack(list(model.passage_embed(TEXTS))), golden("jina_v3", "passage")) <= BOUND
    for task in (4, "text-matching"):
        assert largest(np.stack(list(model.embed(TEXTS, task_id=task))), golden("jina_v3", "task_4")) <= BOUND
    by_default = open_variant("jina_v3", task_id="text-matching")
    assert largest(by_default.embed_to_array(TEXTS), golden("jina_v3", "task_4")) <= BOUND
    assert largest(by_default.embed_to_array(TEXTS, task_id=0), golden("jina_v3", "query")) <= BOUND


# -- where fastembed is wrong, or says too little --------------------------------------------------------------------


def test_first_token_pooling_takes_a_pooled_output_as_it_is(open_variant: OpenVariant, folder_of: FolderOf) -> None:
    """fastembed takes the first number of each vector there: one number a text."""
    pooled = open_variant("custom_disabled")
    by_first = TextEmbedding(pooled.model_name, specific_model_path=folder_of("custom_disabled"), pooling="CLS")
    vectors = by_first.embed_to_array(TEXTS)
    assert largest(vectors, golden("custom_disabled")) <= BOUND


def test_normalisation_can_be_chosen(open_variant: OpenVariant) -> None:
    """fastembed gives vectors of length 1 or not, by model; the choice cannot be made there."""
    raw = golden("mean")
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert largest(open_variant("mean", normalize=True).embed_to_array(TEXTS), unit) <= BOUND
    plain = open_variant("mean_norm", normalize=False).embed_to_array(TEXTS)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.ptp(lengths) > 0.1
    assert largest(plain / lengths, golden("mean_norm")) <= BOUND
    assert largest(open_variant("mean_norm", normalize=True).embed_to_array(TEXTS), golden("mean_norm")) <= BOUND


@pytest.mark.parametrize("where", ["config", "special_tokens_map"])
def test_pad_token_may_be_an_object(where: str, tmp_path: Path, open_variant: OpenVariant) -> None:
    """fastembed fails with a TypeError when no padding is stored and the pad token is an object."""
    one = variant("mean")
    pad = {"content": "[PAD]", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    write_tokenizer(tmp_path, TokenizerForm(config={"pad_token": pad}, model_config={"pad_token_id": None}))
    if where == "special_tokens_map":
        path = tmp_path / "special_tokens_map.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"pad_token": pad}), encoding="utf-8")
    assert one.graph is not None
    write_graph(tmp_path / one.model_file, one.graph)
    model = TextEmbedding(one.model, specific_model_path=tmp_path)
    assert largest(model.embed_to_array(TEXTS), golden("mean")) <= BOUND


@pytest.mark.parametrize("pooling", ["CLS", "MEAN", "LAST_TOKEN", "DISABLED"])
@pytest.mark.parametrize("normalize", [True, False])
def test_text_without_any_token_is_the_zero_vector(pooling: str, normalize: bool, tmp_path: Path) -> None:
    """fastembed gives the vector of a padding token, or fails when the text is alone."""
    write_tokenizer(tmp_path, TokenizerForm(special_tokens=False))
    output = "sentence" if pooling == "DISABLED" else "tokens"
    write_graph(tmp_path / "model.onnx", GraphForm(output=output, seed=40))
    model = TextEmbedding(tmp_path, pooling=pooling, normalize=normalize)
    alone = model.embed_to_array([""])
    assert np.array_equal(alone, np.zeros((1, HIDDEN), np.float32))
    vectors = model.embed_to_array(["hello", "", "  ", "hello world"])
    assert np.array_equal(vectors[1:3], np.zeros((2, HIDDEN), np.float32))
    assert np.abs(vectors[0] - next(model.embed("hello"))).max() <= BOUND
    assert np.linalg.norm(vectors[[0, 3]], axis=1).min() > 0.1


@pytest.mark.parametrize("name", ["static_pieces", "static_words"])
def test_static_text_without_a_known_token_is_the_zero_vector(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    vectors = model.embed_to_array(["", "\N{GRINNING FACE}", "hello \N{GRINNING FACE}", "hello"])
    assert np.array_equal(vectors[:2], np.zeros((2, STATIC_DIM), np.float32))
    assert np.abs(vectors[2] - vectors[3]).max() <= BOUND
    assert np.linalg.norm(vectors[3]) == pytest.approx(1, abs=1e-6)


def test_token_types_of_the_tokenizer_are_used(tmp_path: Path) -> None:
    """fastembed feeds zeros whatever the tokenizer says."""
    write_tokenizer(tmp_path, TokenizerForm(first_type=2))
    write_graph(tmp_path / "model.onnx", GraphForm(seed=41))
    model = TextEmbedding(tmp_path, pooling="MEAN", normalize=False)
    vectors = model.embed_to_array(["hello world", "a", "the fox"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    tokenizer = word_pieces(first_type=2)
    for text, vector in zip(["hello world", "a", "the fox"], vectors, strict=True):
        encoding = tokenizer.encode(text)
        assert encoding.type_ids[0] == 2
        feed = {
            "input_ids": np.array([encoding.ids]),
            "attention_mask": np.ones((1, len(encoding.ids)), np.int64),
            "token_type_ids": np.array([encoding.type_ids]),
        }
        (hidden,) = session.run(None, feed)
        assert np.abs(vector - hidden[0].mean(axis=0)).max() <= BOUND


def test_graph_without_a_mask_never_sees_padding(open_variant: OpenVariant) -> None:
    """fastembed pads it all the same, so that its vectors depend on the longest text of the batch."""
    model = open_variant("no_mask")
    vectors = model.embed_to_array([TEXTS[0], TEXTS[4], TEXTS[1]])
    assert largest(vectors, golden("no_mask")[[0, 4, 1]]) <= BOUND


def test_pair_of_texts_is_refused(open_variant: OpenVariant) -> None:
    """fastembed takes a tuple of two strings for a pair and embeds both as one text."""
    with pytest.raises(TypeError, match=r"text 0 is a tuple"):
        open_variant("cls").embed([("hello", "world")])  # type: ignore[list-item]

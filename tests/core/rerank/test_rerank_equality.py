"""Every form of cross-encoder gives the scores of fastembed 0.9.1, however the pairs are batched.

The golden file is made by ``tests/golden/make_rerank.py`` with the same folders.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from onnxembed.rerank.known import rerank_registry
from tests.fixtures.rerank_models import DOCUMENTS, PAIRS, QUERY, VARIANTS, pair_tokenizer

if TYPE_CHECKING:
    from tests.core.rerank.conftest import FolderOf, OpenVariant

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "rerank_fastembed.json").read_text(encoding="utf-8")
)
NAMES = [one.name for one in VARIANTS]
FURTHER = ["swapped", "padded_left"]
BOUND = 1e-5


def golden(name: str, way: str = "rerank_pairs") -> np.ndarray:
    return np.array(GOLDEN["variants"][name][way])


def largest(ours: list[float], theirs: np.ndarray) -> float:
    assert len(ours) == len(theirs)
    assert all(type(score) is float for score in ours)
    return float(np.abs(np.array(ours) - theirs).max())


def test_golden_file_belongs_to_these_pairs_and_variants() -> None:
    assert GOLDEN["pairs"] == [list(pair) for pair in PAIRS]
    assert list(GOLDEN["variants"]) == NAMES + FURTHER
    assert GOLDEN["made_with"]["fastembed"] == "0.9.1"


def test_every_model_of_the_catalogue_has_its_variant() -> None:
    assert [one.model for one in VARIANTS] == [model.name for model in rerank_registry.catalogue()]
    assert [one.model_file for one in VARIANTS] == [model.model_file for model in rerank_registry.catalogue()]


def test_golden_scores_tell_documents_apart() -> None:
    for name in NAMES:
        assert np.ptp(golden(name)) > 0.1
        assert abs(golden(name)[0] - golden(name)[10]) < BOUND  # the same document twice


@pytest.mark.parametrize("name", NAMES + FURTHER)
def test_scores_equal_those_of_fastembed(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    assert largest(list(model.rerank(QUERY, DOCUMENTS)), golden(name, "rerank")) <= BOUND
    assert largest(list(model.rerank_pairs(PAIRS)), golden(name)) <= BOUND


@pytest.mark.parametrize("name", NAMES + FURTHER)
@pytest.mark.parametrize(
    ("batch_size", "parallel", "token_budget"), [(1, None, None), (2, 2, 40), (256, None, 1), (5, 0, 100_000)]
)
def test_no_choice_of_batches_changes_a_score(
    name: str, batch_size: int, parallel: int | None, token_budget: int | None, open_variant: OpenVariant
) -> None:
    model = open_variant(name, token_budget=token_budget)
    scores = list(model.rerank_pairs(iter(PAIRS), batch_size=batch_size, parallel=parallel))
    assert largest(scores, golden(name)) <= BOUND
    by_document = list(model.rerank(QUERY, iter(DOCUMENTS), batch_size=batch_size, parallel=parallel))
    assert largest(by_document, golden(name, "rerank")) <= BOUND


@pytest.mark.parametrize("name", NAMES + FURTHER)
def test_neither_order_nor_neighbours_change_a_score(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name)
    order = list(range(len(PAIRS))) * 3
    random.Random(5).shuffle(order)
    scores = list(model.rerank_pairs([PAIRS[position] for position in order]))
    assert largest(scores, golden(name)[order]) <= BOUND
    alone = [next(model.rerank_pairs(pair)) for pair in PAIRS]
    assert largest(alone, golden(name)) <= BOUND


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_equal_lengths(name: str, open_variant: OpenVariant) -> None:
    scores = list(open_variant(name).rerank(QUERY, [DOCUMENTS[0]] * 9))
    assert largest(scores, np.full(9, golden(name, "rerank")[0])) <= BOUND


@pytest.mark.parametrize("name", NAMES + FURTHER)
def test_token_counts_equal_those_of_fastembed(name: str, open_variant: OpenVariant) -> None:
    model = open_variant(name, lazy_load=True)
    assert model.token_count(PAIRS) == GOLDEN["variants"][name]["token_count"]
    assert model.token_count(iter(PAIRS), batch_size=3) == GOLDEN["variants"][name]["token_count"]
    assert [model.token_count(pair) for pair in PAIRS] == GOLDEN["variants"][name]["token_counts"]


def by_hand(folder: Path, pairs: str, query: str, document: str) -> np.ndarray:
    """The logits of one pair, with the tokenizers library and ONNX Runtime alone."""
    encoding = pair_tokenizer(pairs).encode(query, document)
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    feed = {
        "input_ids": np.array([encoding.ids]),
        "attention_mask": np.ones((1, len(encoding.ids)), np.int64),
        "token_type_ids": np.array([encoding.type_ids]),
    }
    wanted = {node.name for node in session.get_inputs()}
    logits: list[np.ndarray]
    (logits,) = session.run(None, {name: value for name, value in feed.items() if name in wanted})
    return logits[0]


def test_two_labels_are_the_second_minus_the_first(open_variant: OpenVariant, rerank_folder: FolderOf) -> None:
    """fastembed gives the first label, which stands for "irrelevant"."""
    model = open_variant("two_labels")
    short = [document for document in DOCUMENTS if len(document) < 40]
    logits = np.array([by_hand(rerank_folder("two_labels"), "bert", QUERY, document) for document in short])
    assert largest(list(model.rerank(QUERY, short)), logits[:, 1] - logits[:, 0]) <= BOUND
    softmax = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert largest(list(model.rerank(QUERY, short, activation="sigmoid")), softmax) <= BOUND


def test_output_without_a_second_dimension_is_taken_as_it_is(open_variant: OpenVariant) -> None:
    """fastembed fails on it. The weights are those of another variant."""
    flat = list(open_variant("flat").rerank(QUERY, [DOCUMENTS[0], DOCUMENTS[3]]))
    same = golden("minilm_6", "rerank")[[0, 3]]
    assert largest(flat, same) <= BOUND


def test_graph_without_a_mask_never_sees_padding(open_variant: OpenVariant, rerank_folder: FolderOf) -> None:
    model = open_variant("no_mask")
    texts = [DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[1]]
    expected = np.array([by_hand(rerank_folder("no_mask"), "roberta", QUERY, text)[0] for text in texts])
    assert largest(list(model.rerank(QUERY, texts)), expected) <= BOUND

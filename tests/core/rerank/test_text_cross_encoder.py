"""`TextCrossEncoder`: rankings, activations, windows, what it refuses, and what it says of itself."""

from __future__ import annotations

import asyncio
import copy
import json
import math
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from onnxembed.api.ranking import RankedDocument, check_cut, ranked
from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelError,
    ModelNotFoundError,
    TextTooLongError,
    UnknownModelError,
    UnsupportedModelError,
)
from onnxembed.rerank.cross_encoder import raw_scores
from onnxembed.rerank.model import TextCrossEncoder
from onnxembed.spec import ModelSource
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.rerank_models import DOCUMENTS, PAIRS, QUERY, variant, write_variant

if TYPE_CHECKING:
    from tests.core.rerank.conftest import FolderOf, OpenVariant

BOUND = 1e-5
NAME = "Xenova/ms-marco-MiniLM-L-6-v2"


@pytest.fixture
def model(open_variant: OpenVariant) -> TextCrossEncoder:
    return open_variant("minilm_6")


def sigmoid(scores: list[float]) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.array(scores))))


# -- rankings --------------------------------------------------------------------------------------------------------


def test_rank_sorts_by_falling_score(model: TextCrossEncoder) -> None:
    scores = list(model.rerank(QUERY, DOCUMENTS))
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    near: list[Any] = [pytest.approx(score, abs=1e-6) for score in scores]
    expected = [RankedDocument(index, near[index], DOCUMENTS[index]) for index in order]
    assert model.rank(QUERY, DOCUMENTS) == expected
    assert model.rank(QUERY, iter(DOCUMENTS), top_k=3) == expected[:3]
    assert model.rank(QUERY, DOCUMENTS, top_k=500) == expected
    least = (scores[order[4]] + scores[order[5]]) / 2
    assert model.rank(QUERY, DOCUMENTS, threshold=least) == expected[:5]
    assert model.rank(QUERY, DOCUMENTS, top_k=2, threshold=least) == expected[:2]
    assert model.rank(QUERY, DOCUMENTS, top_k=8, threshold=least) == expected[:5]
    assert model.rank(QUERY, DOCUMENTS, threshold=1e9) == []


def test_equal_scores_keep_their_order_and_missing_ones_come_last() -> None:
    scores = [1.0, math.nan, 2.0, 1.0, -math.inf, 2.0, math.nan]
    documents = list("abcdefg")
    everything = ranked(scores, documents, check_cut(None, None))
    assert "".join(place.document for place in everything) == "cfadebg"
    assert [place.index for place in everything] == [2, 5, 0, 3, 4, 1, 6]
    kept = ranked(scores, documents, check_cut(3, 1.0))
    assert [(place.index, place.score) for place in kept] == [(2, 2.0), (5, 2.0), (0, 1.0)]
    assert "".join(place.document for place in ranked(scores, documents, check_cut(None, 1))) == "cfad"


@pytest.mark.parametrize("parallel", [None, 2])
def test_many_queries_in_one_call(model: TextCrossEncoder, parallel: int | None) -> None:
    queries = [QUERY, "hello", "of the world"]
    documents = [list(DOCUMENTS), [], DOCUMENTS[:4]]
    together = model.rank_many(queries, iter(documents), top_k=5, threshold=-1e9, parallel=parallel)
    apart = [model.rank(query, some, top_k=5) for query, some in zip(queries, documents, strict=True)]
    assert [[(place.index, place.document) for place in some] for some in together] == [
        [(place.index, place.document) for place in some] for some in apart
    ]
    for some, same in zip(together, apart, strict=True):
        assert [place.score for place in some] == pytest.approx([place.score for place in same], abs=1e-5)
    probable = model.rank_many(["hello"], [DOCUMENTS], activation="sigmoid")
    assert all(0 < place.score < 1 for place in probable[0])
    assert model.rank_many([], []) == []


def test_a_tuple_of_two_pairs_is_two_pairs(model: TextCrossEncoder) -> None:
    """fastembed takes it for one pair, and fails."""
    both = list(model.rerank_pairs((PAIRS[0], PAIRS[2])))
    listed: list[Any] = [list(PAIRS[2])]
    assert both == pytest.approx([*model.rerank_pairs(PAIRS[0]), *model.rerank_pairs(listed)], abs=1e-6)


# -- activations -----------------------------------------------------------------------------------------------------


def test_activations(open_variant: OpenVariant, model: TextCrossEncoder) -> None:
    raw = list(model.rerank(QUERY, DOCUMENTS))
    probable = list(model.rerank(QUERY, DOCUMENTS, activation="sigmoid"))
    assert probable == pytest.approx(sigmoid(raw), abs=1e-6)
    assert list(model.rerank_pairs(PAIRS[:3], activation="SIGMOID")) == pytest.approx(probable[:3], abs=1e-6)
    assert list(model.rerank(QUERY, DOCUMENTS, activation="model")) == raw  # the catalogue says so
    chosen = open_variant("minilm_6", activation="sigmoid")
    assert list(chosen.rerank(QUERY, DOCUMENTS)) == probable
    assert list(chosen.rerank(QUERY, DOCUMENTS, activation="raw")) == raw
    assert chosen.rank(QUERY, DOCUMENTS, top_k=1)[0].score == pytest.approx(max(probable), abs=1e-6)
    other = open_variant("bge_base")
    assert list(other.rerank(QUERY, DOCUMENTS, activation="model")) == pytest.approx(
        sigmoid(list(other.rerank(QUERY, DOCUMENTS))), abs=1e-6
    )


@pytest.mark.parametrize(
    ("config", "sentence_transformers", "raw"),
    [
        ({}, None, False),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, None, True),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, None, True),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, None, False),
        ({}, {"activation_fn": "torch.nn.modules.linear.Identity"}, True),
        ({"sentence_transformers": {"version": "5.0"}}, {"activation_fn": None}, False),
    ],
)
def test_a_folder_says_what_becomes_of_its_score(
    config: dict[str, Any], sentence_transformers: dict[str, Any] | None, raw: bool, tmp_path: Path
) -> None:
    write_variant(tmp_path, variant("minilm_6"))
    stored = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(stored | config), encoding="utf-8")
    if sentence_transformers is not None:
        (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(sentence_transformers), encoding="utf-8")
    model = TextCrossEncoder(tmp_path)
    scores = list(model.rerank(QUERY, DOCUMENTS))
    expected = scores if raw else sigmoid(scores)
    assert list(model.rerank(QUERY, DOCUMENTS, activation="model")) == pytest.approx(expected, abs=1e-6)


def test_an_activation_that_is_not_known_is_only_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    write_variant(tmp_path, variant("minilm_6"))
    (tmp_path / "config_sentence_transformers.json").write_text(
        '{"activation_fn": "torch.nn.modules.activation.Tanh"}', encoding="utf-8"
    )
    model = TextCrossEncoder(tmp_path)
    assert len(list(model.rerank(QUERY, ["a"]))) == 1
    with pytest.raises(UnsupportedModelError, match=r"'torch.nn.modules.activation.Tanh'; known are Identity, Sigmoid"):
        model.rerank(QUERY, ["a"], activation="model")


# -- long documents --------------------------------------------------------------------------------------------------

LONG = " ".join(random.Random(4).choices(("the", "quick", "brown", "fox", "hello", "world", "of", "and"), k=240))


def window_scores(model: TextCrossEncoder, overlap: int) -> list[float]:
    """The scores of a long document's windows, each a document of its own; its words are one token each."""
    words = LONG.split()
    capacity = model.max_length - 3 - 5  # the query has five tokens
    step = capacity - min(overlap, capacity // 2)
    starts = [*range(0, len(words) - capacity, step), len(words) - capacity]
    return list(model.rerank(QUERY, [" ".join(words[start : start + capacity]) for start in starts]))


@pytest.mark.parametrize("overlap", [0, 8, 64])
@pytest.mark.parametrize("budget", [None, 60])
def test_windows(open_variant: OpenVariant, overlap: int, budget: int | None) -> None:
    plain = open_variant("minilm_6")
    scores = window_scores(plain, overlap)
    assert np.ptp(scores) > 1e-3
    short = list(plain.rerank(QUERY, DOCUMENTS[:4]))
    expected = {"max": max(scores), "mean": sum(scores) / len(scores), "first": scores[0]}
    for windows, score in expected.items():
        model = open_variant("minilm_6", windows=windows, window_overlap=overlap, token_budget=budget, truncate=False)
        found = list(model.rerank(QUERY, [*DOCUMENTS[:4], LONG, LONG]))
        assert found == pytest.approx([*short, score, score], abs=1e-5)
    cut = list(plain.rerank(QUERY, [LONG]))
    assert cut == pytest.approx([expected["first"]], abs=1e-5)


def test_windows_of_a_graph_that_runs_alone(open_variant: OpenVariant) -> None:
    one_by_one = open_variant("bge_m3_int8")
    words = LONG.split()
    capacity = one_by_one.max_length - 4 - 5
    starts = [*range(0, len(words) - capacity, capacity), len(words) - capacity]
    scores = list(one_by_one.rerank(QUERY, [" ".join(words[start : start + capacity]) for start in starts]))
    model = open_variant("bge_m3_int8", windows="mean", window_overlap=0)
    assert list(model.rerank(QUERY, [LONG, "a"])) == pytest.approx(
        [sum(scores) / len(scores), *one_by_one.rerank(QUERY, ["a"])], abs=1e-5
    )


def test_windows_need_a_known_way_of_putting_pairs_together(open_variant: OpenVariant) -> None:
    model = open_variant("swapped", windows="max")
    with pytest.raises(UnsupportedModelError, match="windows= cannot be used"):
        list(model.rerank(QUERY, ["a"]))


def test_limits(open_variant: OpenVariant) -> None:
    model = open_variant("minilm_6", max_length=12, truncate=False)
    assert (model.max_length, model.max_length_source) == (12, "max_length=")
    assert len(list(model.rerank(QUERY, ["hello world"]))) == 1
    with pytest.raises(TextTooLongError, match=r"text 1 has 28 tokens, more than the limit of 12"):
        list(model.rerank(QUERY, ["a", "hello world " * 10]))
    cut = open_variant("minilm_6", max_length=12)
    assert list(cut.rerank(QUERY, ["hello world " * 10])) == pytest.approx(
        list(cut.rerank(QUERY, ["hello world " * 3])), abs=1e-6
    )
    assert cut.token_count([(QUERY, "hello world " * 10), (QUERY, "a")]) == 12 + 9


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "error", "message"),
    [
        ("rerank", (QUERY, "a text"), InputTypeError, "documents is a string; expected an iterable of documents"),
        ("rank", (QUERY, "a text"), InputTypeError, "documents is a string"),
        ("rerank", (QUERY, b"a"), InputTypeError, "documents is a bytes"),
        ("rerank", (QUERY, 5), InputTypeError, "documents is an int"),
        ("rerank", (QUERY, ["a", None]), InputTypeError, "text 1 is None; expected str"),
        ("rank", (QUERY, iter(["a", 3])), InputTypeError, "text 1 is an int; expected str"),
        ("rerank", (["a"], ["a"]), InputTypeError, "query is a list; expected one query as a string"),
        ("rerank", ("\ud800", ["a"]), InputError, "query: text 0 holds the lone surrogate"),
        ("rerank", (QUERY, ["a"], 0), InputError, "batch_size must be >= 1"),
        ("rerank", (QUERY, ["a"], 1, -1), InputError, "parallel must be >= 0"),
        ("rerank_pairs", ("ab",), InputTypeError, "pairs is a str"),
        ("rerank_pairs", (7,), InputTypeError, "pairs is a int"),
        ("rerank_pairs", ([("a", "b"), ("a", "b", "c")],), InputError, "pair 1 holds 3 items; expected two"),
        ("rerank_pairs", ([("a",)],), InputError, "pair 0 holds 1 items"),
        ("rerank_pairs", (("a", "b", "c"),), InputError, "pair 0 holds 3 items"),
        ("rerank_pairs", (["a", "b"],), InputTypeError, "pair 0 is a str; expected a tuple"),
        ("rerank_pairs", ([("a", "b"), ("a", 1)],), InputTypeError, "text 1 is an int"),
        ("rerank_pairs", ([(1, "b")],), InputTypeError, "the query of pair 0 is a int"),
        ("token_count", ("ab",), InputTypeError, "pairs is a str"),
        ("token_count", ([("a", "b")], 0), InputError, "batch_size must be >= 1"),
        ("rank", (QUERY, ["a"], 0), InputError, "top_k must be >= 1"),
        ("rank", (QUERY, ["a"], 1, math.nan), InputError, "threshold=nan"),
        ("rank", (QUERY, ["a"], 1, "0.5"), InputTypeError, "threshold='0.5' is a str"),
        ("rank", (QUERY, ["a"], 1, None, "sigmod"), InputError, "activation='sigmod' is unknown"),
        ("rank", (QUERY, ["a"], 1, None, 3), InputTypeError, "activation=3 is a int"),
        ("rank_many", ("ab", [["a"]]), InputTypeError, "queries is a str"),
        ("rank_many", (["a"], "b"), InputTypeError, "documents_per_query is a str"),
        ("rank_many", (["a"], ["b"]), InputTypeError, r"documents_per_query[0] is a string"),
        ("rank_many", (["a"], []), InputError, "documents_per_query holds 0 collections for 1 queries"),
    ],
)
def test_bad_input_is_refused_at_the_call(
    method: str,
    arguments: tuple[Any, ...],
    error: type[Exception],
    message: str,
    rerank_folder: FolderOf,
) -> None:
    model = TextCrossEncoder(NAME, specific_model_path=rerank_folder("minilm_6"), lazy_load=True, max_length=31)
    with pytest.raises(error) as refused:
        getattr(model, method)(*arguments)
    assert message in str(refused.value)
    assert not model.loaded


def test_near_names_are_offered() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'sigmoid'"):
        TextCrossEncoder(NAME, lazy_load=True, activation="sigmod")
    with pytest.raises(InputError, match=r"windows='maks' is unknown; expected one of max, mean, first"):
        TextCrossEncoder(NAME, lazy_load=True, windows="maks")
    with pytest.raises(InputError, match="window_overlap must be >= 0"):
        TextCrossEncoder(NAME, lazy_load=True, window_overlap=-1)
    with pytest.raises(InputError, match="token_budget must be >= 1"):
        TextCrossEncoder(NAME, lazy_load=True, token_budget=0)
    with pytest.raises(UnknownModelError, match="Did you mean 'BAAI/bge-reranker-base'"):
        TextCrossEncoder("BAAI/bge-rerankr-base")


def test_items_of_generators_are_checked_as_they_are_read(model: TextCrossEncoder) -> None:
    documents: list[Any] = ["a", 5]
    pairs: list[Any] = [("a", "b"), ("a", "b", "c")]
    with pytest.raises(InputTypeError, match="text 1 is an int"):
        list(model.rerank(QUERY, iter(documents)))
    with pytest.raises(InputError, match="pair 1 holds 3 items"):
        list(model.rerank_pairs(iter(pairs)))


def test_nothing_to_score_loads_nothing(rerank_folder: FolderOf) -> None:
    model = TextCrossEncoder(NAME, specific_model_path=rerank_folder("minilm_6"), lazy_load=True, max_length=32)
    assert list(model.rerank(QUERY, [])) == []
    assert list(model.rerank_pairs(())) == []
    assert model.rank(QUERY, []) == []
    assert model.rank_many([QUERY], [[]]) == [[]]
    assert model.token_count([]) == 0
    assert model.token_count(PAIRS[0]) == 10
    assert not model.loaded
    assert len(list(model.rerank(QUERY, [""]))) == 1
    assert model.loaded


# -- models ----------------------------------------------------------------------------------------------------------


def test_a_model_with_three_labels_ranks_nothing(open_variant: OpenVariant, rerank_folder: FolderOf) -> None:
    for model in (open_variant("three_labels"), TextCrossEncoder(rerank_folder("three_labels"), lazy_load=True)):
        for call in (model.rerank, model.rank):
            with pytest.raises(UnsupportedModelError, match=r"has 3 labels, .* at most 2 labels. label_scores\(\)"):
                call(QUERY, ["a"])
        with pytest.raises(UnsupportedModelError, match="has 3 labels"):
            model.rerank_pairs([(QUERY, "a")])
        scores = np.stack(list(model.label_scores([(QUERY, "a"), (QUERY, "")])))
        assert scores.shape == (2, 3)
        assert scores.dtype == np.float32


def test_labels_that_no_file_names_are_an_embedding(rerank_folder: FolderOf, tmp_path: Path) -> None:
    shutil.copytree(rerank_folder("three_labels"), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    for key in ("id2label", "num_labels"):
        config.pop(key, None)
    (tmp_path / "m" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match=r"output 'logits' is \(batch, 3\); expected \(batch, labels\)"):
        TextCrossEncoder(tmp_path / "m", lazy_load=True)
    with pytest.raises(UnsupportedModelError, match="at most 2 labels"):
        TextCrossEncoder(NAME, specific_model_path=tmp_path / "m")


def test_label_scores_are_those_of_the_files(model: TextCrossEncoder, open_variant: OpenVariant) -> None:
    pairs = [(QUERY, document) for document in DOCUMENTS]
    assert np.stack(list(model.label_scores(pairs)))[:, 0] == pytest.approx(
        list(model.rerank(QUERY, DOCUMENTS, activation="model")), abs=1e-6
    )
    two = open_variant("two_labels")
    logits = np.stack(list(two.label_scores(pairs)))
    assert list(two.rerank(QUERY, DOCUMENTS)) == pytest.approx((logits[:, 1] - logits[:, 0]).tolist(), abs=1e-6)
    alone = np.stack([next(two.label_scores(pair)) for pair in pairs])
    assert np.abs(alone - logits).max() < BOUND


def test_logits_of_another_shape_are_refused() -> None:
    """Graphs need not state their shape, so what they give is checked too."""
    assert raw_scores(np.array([[1.0], [2.0]], np.float16), 2).tolist() == [1.0, 2.0]
    assert raw_scores(np.array([[1.0, 4.0]], np.float16), 1).tolist() == [3.0]
    for shape in ((2, 3), (2, 4, 1), (2, 0)):
        with pytest.raises(UnsupportedModelError, match=r"expected \(batch, labels\) with at most 2 labels"):
            raw_scores(np.zeros(shape, np.float32), 2)
    with pytest.raises(ModelError, match="the graph gave 1 rows for 2 pairs"):
        raw_scores(np.zeros((1, 1), np.float32), 2)


def test_a_broken_configuration_is_told(tmp_path: Path) -> None:
    write_variant(tmp_path, variant("minilm_6"))
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"config.json is not valid JSON"):
        TextCrossEncoder(tmp_path, lazy_load=True)


@pytest.mark.parametrize("output", ["tokens", "sentence"])
def test_an_embedding_model_is_refused(output: str, tmp_path: Path) -> None:
    write_variant(tmp_path, variant("minilm_6"))
    write_graph(tmp_path / "onnx" / "model.onnx", GraphForm(output=output))
    with pytest.raises(UnsupportedModelError, match="no classification head that gives a score"):
        TextCrossEncoder(tmp_path, lazy_load=True)
    with pytest.raises(UnsupportedModelError, match="no classification head that gives a score"):
        TextCrossEncoder(NAME, specific_model_path=tmp_path)


def test_a_local_folder(rerank_folder: FolderOf, model: TextCrossEncoder) -> None:
    folder = rerank_folder("minilm_6")
    local = TextCrossEncoder(folder)
    assert local.model_name == str(folder)
    assert list(local.rerank(QUERY, DOCUMENTS)) == list(model.rerank(QUERY, DOCUMENTS))
    assert list(TextCrossEncoder(str(folder)).rerank(QUERY, ["a"])) == list(model.rerank(QUERY, ["a"]))


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no model: expected one of onnx/model\.onnx"):
        TextCrossEncoder(tmp_path)
    write_variant(tmp_path, variant("minilm_6"))
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}', encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match="names the architecture BertModel, which has no classification"):
        TextCrossEncoder(tmp_path, lazy_load=True)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"holds no tokenizer.json"):
        TextCrossEncoder(tmp_path)


def test_added_models(rerank_folder: FolderOf) -> None:
    TextCrossEncoder.add_custom_model(
        "test/mine",
        ModelSource(hf="test/mine"),
        "onnx/model.onnx",
        "for a test",
        "mit",
        0.5,
        ["extra.txt"],
        activation="raw",
        max_tokens=48,
    )
    assert TextCrossEncoder.list_supported_models()[-1] == {
        "model": "test/mine",
        "sources": {"hf": "test/mine", "url": None, "package": None},
        "model_file": "onnx/model.onnx",
        "description": "for a test",
        "license": "mit",
        "size_in_GB": 0.5,
        "additional_files": ["extra.txt"],
        "max_tokens": 48,
        "activation": "raw",
    }
    with pytest.raises(InputError, match="'TEST/Mine' cannot be added: 'test/mine' of an earlier addition"):
        TextCrossEncoder.add_custom_model("TEST/Mine", ModelSource(hf="test/mine"))
    with pytest.raises(InputError, match="of the catalogue has that name"):
        TextCrossEncoder.add_custom_model(NAME.lower(), ModelSource(hf="test/mine"))
    with pytest.raises(InputTypeError, match="expected a ModelSource"):
        TextCrossEncoder.add_custom_model("test/other", "test/other")  # type: ignore[call-overload]  # a string, on purpose
    TextCrossEncoder.add_custom_model("test/plain", ModelSource(hf="test/plain"))
    assert TextCrossEncoder.list_supported_models()[-1]["activation"] is None
    plain = TextCrossEncoder("test/plain", specific_model_path=rerank_folder("minilm_6"))
    (raw,) = plain.rerank(QUERY, ["a"])
    assert list(plain.rerank(QUERY, ["a"], activation="model")) == pytest.approx(sigmoid([raw]), abs=1e-6)


# -- what an object is -----------------------------------------------------------------------------------------------


def test_options_make_the_same_object(rerank_folder: FolderOf) -> None:
    model = TextCrossEncoder(
        NAME.upper(),
        specific_model_path=rerank_folder("minilm_6"),
        threads=1,
        max_length=20,
        truncate=False,
        activation="sigmoid",
        windows="MEAN",
        window_overlap=3,
        token_budget=99,
        lazy_load=True,
    )
    options = model.options
    assert options["model_name"] == NAME
    assert {key: options[key] for key in ("activation", "windows", "window_overlap", "truncate", "token_budget")} == {
        "activation": "sigmoid",
        "windows": "mean",
        "window_overlap": 3,
        "truncate": False,
        "token_budget": 99,
    }
    again = TextCrossEncoder(**options, lazy_load=True)
    assert again.options == options
    assert not model.loaded
    assert len(list(again.rerank(QUERY, ["a"]))) == 1
    assert model.loaded  # the two share their weights
    assert again.max_concurrency == model.max_concurrency >= 2
    assert repr(model) == f"TextCrossEncoder('{NAME}')"
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model


def test_pickles_are_small_and_give_the_same_scores(model: TextCrossEncoder) -> None:
    content = pickle.dumps(model)
    assert len(content) < 3000
    assert list(pickle.loads(content).rerank(QUERY, DOCUMENTS)) == list(model.rerank(QUERY, DOCUMENTS))


async def test_asynchronous_twins(model: TextCrossEncoder) -> None:
    expected = list(model.rerank(QUERY, DOCUMENTS))
    assert [score async for score in model.arerank(QUERY, iter(DOCUMENTS), parallel=2)] == pytest.approx(
        expected, abs=1e-5
    )
    assert [score async for score in model.arerank_pairs(PAIRS[:2])] == pytest.approx(expected[:2], abs=1e-5)
    several = await asyncio.gather(*(model.arank(QUERY, DOCUMENTS, top_k=count) for count in (1, 2, 3)))
    assert several == [model.rank(QUERY, DOCUMENTS, top_k=count) for count in (1, 2, 3)]
    with pytest.raises(InputTypeError, match="documents is a string"):
        model.arerank(QUERY, "text")
    with pytest.raises(InputError, match="pair 0 holds 1"):
        model.arerank_pairs([("a",)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="top_k must be >= 1"):
        await model.arank(QUERY, ["a"], top_k=0)


def test_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, onnxembed.rerank.model;"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers', 'huggingface_hub', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

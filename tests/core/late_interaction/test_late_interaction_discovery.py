"""Folders as PyLate and the ColBERT code write them, and the token vectors of dense models."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import (
    InputError,
    ModelError,
    ModelNotFoundError,
    UnknownModelError,
    UnsafeModelError,
    UnsupportedModelError,
)
from onnxembed.hub.files import FolderFiles
from onnxembed.late_interaction.discovery import describe
from onnxembed.late_interaction.model import LateInteractionTextEmbedding
from onnxembed.late_interaction.spec import PUNCTUATION, SkipRule
from tests.fixtures.dense_models import variant, write_safetensors, write_static, write_variant
from tests.fixtures.dense_tokenizers import word_pieces, write_json
from tests.fixtures.late_interaction_models import (
    DIM,
    HIDDEN,
    add_markers,
    write_files_of_tokenizer,
    write_modules,
    write_pylate_config,
    write_token_graph,
)
from tests.fixtures.small_models import write_bert_folder

BOUND = 1e-5
TEXTS = ("hello world", "", "the quick, brown fox.", "hello " * 36)
PYLATE = "pylate.models.Dense.Dense"
TRANSFORMER = ("sentence_transformers.models.Transformer", "")
MASK, PUNCTUATION_IDS = 4, {word_pieces().token_to_id(mark) for mark in ".,!?()-"}


def pylate_folder(folder: Path, *, dim: int | None = DIM, **entries: Any) -> tuple[int, int]:
    """Write a model as PyLate exports it; return the ids of its markers."""
    write_files_of_tokenizer(folder, "wordpiece")
    query, document = add_markers(folder, "[Q] ", "[D] ")
    write_pylate_config(folder, **entries)
    write_token_graph(folder / "model.onnx", seed=21, dim=dim)
    return query, document


def linear(folder: Path, seed: int, outputs: int, inputs: int, *, bias: bool, **config: Any) -> tuple[Any, Any]:
    """Write a linear layer; return its weights."""
    random = np.random.RandomState(seed)
    weight = random.uniform(-1, 1, (outputs, inputs)).astype(np.float32)
    tensors = {"linear.weight": weight}
    if bias:
        tensors["linear.bias"] = random.uniform(-1, 1, outputs).astype(np.float32)
    folder.mkdir()
    identity = "torch.nn.modules.linear.Identity"
    usual = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": identity}
    write_json(folder / "config.json", usual | config)
    write_safetensors(folder / "model.safetensors", tensors)
    return weight, tensors.get("linear.bias", np.float32(0))


def states_of(path: Path, ids: list[int], mask: list[int]) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    feed = {"input_ids": np.array([ids]), "attention_mask": np.array([mask])}
    states: np.ndarray = np.asarray(session.run(None, feed)[0])[0]
    return states


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def encoded(text: str, marker: int, limit: int) -> list[int]:
    tokenizer = word_pieces()
    tokenizer.enable_truncation(limit - 1)
    ids = tokenizer.encode(text).ids
    return [ids[0], marker, *ids[1:]]


# -- PyLate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attend", [True, False])
def test_queries_and_documents_as_pylate_has_them(attend: bool, tmp_path: Path) -> None:
    query, document = pylate_folder(tmp_path, attend_to_expansion_tokens=attend)
    model = LateInteractionTextEmbedding(tmp_path)
    assert model.embedding_size == DIM
    assert model.max_length == 20
    for text, rows in zip(TEXTS, model.embed(TEXTS), strict=True):
        ids = encoded(text, document, 20)
        expected = unit(states_of(tmp_path / "model.onnx", ids, [1] * len(ids)))
        keep = [number not in PUNCTUATION_IDS for number in ids]
        assert np.abs(rows - expected[keep]).max() <= BOUND
    for text, rows in zip(TEXTS, model.query_embed(TEXTS), strict=True):
        ids = encoded(text, query, 12)
        missing = 12 - len(ids)
        mask = [1] * len(ids) + [int(attend)] * missing
        expected = unit(states_of(tmp_path / "model.onnx", ids + [MASK] * missing, mask))
        assert rows.shape == (12, DIM)
        assert np.abs(rows - expected).max() <= BOUND


def test_queries_without_expansion(tmp_path: Path) -> None:
    query, _ = pylate_folder(tmp_path, do_query_expansion=False, attend_to_expansion_tokens=True)
    (tmp_path / "special_tokens_map.json").unlink()
    model = LateInteractionTextEmbedding(tmp_path)
    for text, rows in zip(TEXTS, model.query_embed(TEXTS), strict=True):
        ids = encoded(text, query, 12)
        assert np.abs(rows - unit(states_of(tmp_path / "model.onnx", ids, [1] * len(ids)))).max() <= BOUND


def test_defaults_of_pylate(tmp_path: Path) -> None:
    pylate_folder(tmp_path, query_prefix=None, document_prefix=None, document_length=None, skiplist_words=None)
    model = describe(FolderFiles(tmp_path))
    assert (model.query_marker, model.document_marker) == ("[Q] ", "[D] ")
    assert (model.query_length, model.query_limit, model.document_limit) == (12, 12, 180)
    assert model.mask_token == "[MASK]"
    assert (model.skip_rule, model.skip_words) == (SkipRule.VOCABULARY, PUNCTUATION)
    assert tuple(string.punctuation) == PUNCTUATION
    assert model.normalize_queries
    assert model.normalize_documents
    assert not model.drop_padding_token


def test_words_prefixes_and_caller_limit(tmp_path: Path) -> None:
    pylate_folder(tmp_path, query_prefix="", document_prefix="", skiplist_words=["fox", "no such word"])
    model = LateInteractionTextEmbedding(tmp_path, max_length=7)
    assert next(model.tokens("hello " * 30)) == ["[CLS]", *["hello"] * 5, "[SEP]"]
    assert next(model.tokens("a fox.")) == ["[CLS]", "a", ".", "[SEP]"]
    assert next(model.tokens("a", "query")) == ["[CLS]", "a", "[SEP]", *["[MASK]"] * 9]
    (tmp_path / "other").mkdir()
    pylate_folder(tmp_path / "other", skiplist_words=[])
    assert describe(FolderFiles(tmp_path / "other")).skip_rule is SkipRule.NONE


def test_token_counts_of_a_pylate_folder(tmp_path: Path) -> None:
    pylate_folder(tmp_path)
    model = LateInteractionTextEmbedding(tmp_path, lazy_load=True)
    assert model.token_count(["hello world", "hello " * 40]) == 4 + 19
    assert model.token_count(["hello world", "hello " * 40], include_extension=True) == 5 + 20
    assert model.token_count(["hello world", "hello " * 40], is_doc=False) == 4 + 11
    assert model.token_count(["hello world", "hello " * 40], is_doc=False, include_extension=True) == 24
    assert not model.loaded


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_follow_hidden_states(bias: bool, tmp_path: Path) -> None:
    _, document = pylate_folder(tmp_path, dim=None)
    first, first_bias = linear(tmp_path / "1_Dense", 1, 24, HIDDEN, bias=bias)
    second, second_bias = linear(tmp_path / "2_Dense", 2, 6, 24, bias=bias)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "1_Dense"), (PYLATE, "2_Dense"))
    model = LateInteractionTextEmbedding(tmp_path)
    assert model.embedding_size == 6
    assert next(model.embed("hello")).shape[1] == 6
    ids = encoded("hello world", document, 20)
    states = states_of(tmp_path / "model.onnx", ids, [1] * len(ids))
    expected = unit((states @ first.T + first_bias) @ second.T + second_bias)
    assert np.abs(next(model.embed("hello world")) - expected).max() <= BOUND
    plain = LateInteractionTextEmbedding(tmp_path, normalize=False)
    expected = (states @ first.T + first_bias) @ second.T + second_bias
    assert np.abs(next(plain.embed("hello world")) - expected).max() <= BOUND


def test_graph_that_projects_by_itself(tmp_path: Path) -> None:
    _, document = pylate_folder(tmp_path)
    linear(tmp_path / "1_Dense", 1, DIM, HIDDEN, bias=False)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "1_Dense"))
    model = LateInteractionTextEmbedding(tmp_path)
    ids = encoded("hello world", document, 20)
    expected = unit(states_of(tmp_path / "model.onnx", ids, [1] * len(ids)))
    assert np.abs(next(model.embed("hello world")) - expected).max() <= BOUND


def test_weights_are_compiled_and_projected(tmp_path: Path) -> None:
    """A PyLate folder without a graph: its token vectors are those of the dense model, after the linear layer."""
    write_bert_folder(tmp_path, seed=5, hidden=32)
    write_pylate_config(tmp_path, query_prefix="", document_prefix="", skiplist_words=[])
    weight, _ = linear(tmp_path / "1_Dense", 3, 32, 32, bias=False)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "1_Dense"))
    model = LateInteractionTextEmbedding(tmp_path)
    (tmp_path / "modules.json").unlink()
    states = next(LateInteractionTextEmbedding(tmp_path, dense=True, normalize=False).embed("hello world"))
    assert states.shape == (4, 32)
    assert np.abs(next(model.embed("hello world")) - unit(states @ weight.T)).max() <= BOUND


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"query_length": "12"}, "query_length is '12', expected a whole number"),
        ({"document_length": 0}, "document_length is 0, expected a whole number of at least 1"),
        ({"query_length": True}, "query_length is True"),
        ({"query_prefix": 5}, "query_prefix is 5, expected text"),
        ({"skiplist_words": "!?"}, "skiplist_words is '!\\?', expected a list of texts"),
        ({"do_query_expansion": 1}, "do_query_expansion is 1, expected true or false"),
    ],
)
def test_contradictory_metadata_are_told(entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    pylate_folder(tmp_path, **entries)
    with pytest.raises(ModelError, match=message):
        LateInteractionTextEmbedding(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"activation_function": "torch.nn.modules.activation.GLU"},
            "activation_function is .*GLU'",
        ),
        ({"use_residual": True}, "expected linear.weight, residual.weight"),
    ],
)
def test_layers_that_are_not_plain_are_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    pylate_folder(tmp_path, dim=None)
    linear(tmp_path / "1_Dense", 1, DIM, HIDDEN, bias=False, **config)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "1_Dense"))
    with pytest.raises(ModelError, match=message):
        LateInteractionTextEmbedding(tmp_path)


def test_stages_that_do_not_fit_are_told(tmp_path: Path) -> None:
    pylate_folder(tmp_path, dim=5)
    linear(tmp_path / "1_Dense", 1, DIM, HIDDEN, bias=False)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "1_Dense"))
    with pytest.raises(
        ModelError, match="gives vectors of 5 numbers, where the linear layers beside it turn 16 into 4"
    ):
        LateInteractionTextEmbedding(tmp_path)
    write_safetensors(tmp_path / "1_Dense" / "model.safetensors", {"linear.weight": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match=r"linear.weight has the shape \[3\]"):
        LateInteractionTextEmbedding(tmp_path)
    (tmp_path / "1_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="expected the weights of the stage"):
        LateInteractionTextEmbedding(tmp_path)
    write_modules(tmp_path, TRANSFORMER, (PYLATE, "../1_Dense"))
    with pytest.raises(UnsafeModelError):
        LateInteractionTextEmbedding(tmp_path)
    write_modules(tmp_path, TRANSFORMER, ("sentence_transformers.models.Pooling", "1_Pooling"))
    with pytest.raises(UnsupportedModelError, match="lists the stages Pooling"):
        LateInteractionTextEmbedding(tmp_path)


def test_mask_token_may_be_an_object_or_elsewhere(tmp_path: Path) -> None:
    pylate_folder(tmp_path)
    (tmp_path / "special_tokens_map.json").unlink()
    with pytest.raises(ModelError, match="fills queries with mask tokens, but names none"):
        describe(FolderFiles(tmp_path))
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, config | {"mask_token": {"content": "[MASK]"}})
    assert describe(FolderFiles(tmp_path)).mask_token == "[MASK]"


# -- the ColBERT code ------------------------------------------------------------------------------------------------


def test_artifact_metadata(tmp_path: Path) -> None:
    write_files_of_tokenizer(tmp_path, "wordpiece")
    query, document = add_markers(tmp_path, "[unused0]", "[unused1]")
    write_token_graph(tmp_path / "model.onnx", seed=22)
    metadata = {"query_maxlen": 10, "doc_maxlen": 16, "mask_punctuation": True, "attend_to_mask_tokens": True}
    write_json(tmp_path / "artifact.metadata", metadata)
    model = LateInteractionTextEmbedding(tmp_path)
    assert model.embedding_size == DIM
    ids = encoded("hello world", query, 10)
    expected = unit(states_of(tmp_path / "model.onnx", ids + [MASK] * (10 - len(ids)), [1] * 10))
    assert np.abs(next(model.query_embed("hello world")) - expected).max() <= BOUND
    ids = encoded("hello world hello, [PAD]", document, 16)
    expected = unit(states_of(tmp_path / "model.onnx", ids, [1] * len(ids)))
    keep = [number not in PUNCTUATION_IDS | {0, 1} for number in ids]
    assert sum(keep) == len(ids) - 2
    assert np.abs(next(model.embed("hello world hello, [PAD]")) - expected[keep]).max() <= BOUND


# -- what is no late-interaction model -------------------------------------------------------------------------------


def test_folders_that_say_too_little(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no model: expected one of onnx/model.onnx"):
        LateInteractionTextEmbedding(tmp_path)
    write_token_graph(tmp_path / "model.onnx", seed=23)
    with pytest.raises(ModelNotFoundError, match=r"holds no tokenizer\.json"):
        LateInteractionTextEmbedding(tmp_path)
    write_files_of_tokenizer(tmp_path, "wordpiece")
    with pytest.raises(UnsupportedModelError, match=r"does not say how it marks queries.*dense=True"):
        LateInteractionTextEmbedding(tmp_path)
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": {}})
    with pytest.raises(UnsupportedModelError):
        LateInteractionTextEmbedding(tmp_path)
    (tmp_path / "artifact.metadata").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not valid JSON"):
        LateInteractionTextEmbedding(tmp_path)


# -- token vectors of dense models -----------------------------------------------------------------------------------


def test_token_vectors_of_a_dense_folder(tmp_path: Path) -> None:
    write_files_of_tokenizer(tmp_path, "wordpiece")
    write_token_graph(tmp_path / "model.onnx", seed=24, dim=None)
    raw = LateInteractionTextEmbedding(tmp_path, dense=True, normalize=False)
    scaled = LateInteractionTextEmbedding(tmp_path, dense=True)
    inner = LateInteractionTextEmbedding(tmp_path, dense=True, skip_special_tokens=True)
    assert raw.embedding_size == HIDDEN
    for text, one, two, three in zip(TEXTS, raw.embed(TEXTS), scaled.embed(TEXTS), inner.embed(TEXTS), strict=True):
        ids = word_pieces().encode(text).ids
        expected = states_of(tmp_path / "model.onnx", ids, [1] * len(ids))
        assert np.abs(one - expected).max() <= BOUND
        assert np.abs(two - unit(expected)).max() <= BOUND
        assert three.shape == (len(ids) - 2, HIDDEN)
        assert np.allclose(three, unit(expected)[1:-1], atol=BOUND)
    assert np.abs(next(raw.query_embed(TEXTS[0])) - next(raw.embed(TEXTS[0]))).max() <= BOUND
    assert next(inner.tokens("hello, a")) == ["hello", ",", "a"]
    assert raw.max_length == 40


def test_token_vectors_pool_to_the_dense_vector(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, seed=6)
    raw = LateInteractionTextEmbedding(tmp_path, dense=True, normalize=False)
    dense = TextEmbedding(tmp_path, pooling="MEAN", normalize=False)
    for text, rows in zip(TEXTS, raw.embed(TEXTS), strict=True):
        assert np.abs(rows.mean(axis=0) - next(dense.embed(text))).max() <= BOUND


def test_tasks_of_a_dense_model(tmp_path: Path) -> None:
    write_variant(tmp_path, variant("jina_v3"))
    name = variant("jina_v3").model
    raw = LateInteractionTextEmbedding(name, specific_model_path=tmp_path, dense=True, normalize=False)
    dense = TextEmbedding(name, specific_model_path=tmp_path, normalize=False, query_prompt="", passage_prompt="")
    query, passage = next(raw.query_embed("hello world")), next(raw.embed("hello world"))
    assert np.abs(query.mean(axis=0) - next(dense.query_embed("hello world"))).max() <= BOUND
    assert np.abs(passage.mean(axis=0) - next(dense.passage_embed("hello world"))).max() <= BOUND
    assert np.abs(query - passage).max() > 0.01
    with pytest.raises(ModelError, match="described without tasks"):
        next(LateInteractionTextEmbedding(tmp_path, dense=True).embed("hello"))


def test_padding_to_the_limit_has_no_rows(tmp_path: Path) -> None:
    write_variant(tmp_path, variant("siglip"))
    model = LateInteractionTextEmbedding(variant("siglip").model, specific_model_path=tmp_path, dense=True)
    alone, both = next(model.embed("hello world")), next(model.embed(["hello world", "hello " * 30]))
    assert alone.shape == (4, HIDDEN)
    assert np.abs(alone - both).max() <= BOUND


def test_static_models_have_no_token_vectors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a table of fixed token vectors"):
        LateInteractionTextEmbedding("minishlab/potion-base-8M", dense=True, lazy_load=True)
    write_static(tmp_path, "pieces")
    write_json(tmp_path / "config.json", {"model_type": "model2vec"})
    with pytest.raises(InputError, match="a table of fixed token vectors"):
        LateInteractionTextEmbedding(tmp_path, dense=True)


def test_names_of_the_other_kind_are_not_known() -> None:
    with pytest.raises(UnknownModelError):
        LateInteractionTextEmbedding("sentence-transformers/all-MiniLM-L6-v2")
    with pytest.raises(UnknownModelError):
        LateInteractionTextEmbedding("colbert-ir/colbertv2.0", dense=True)

"""Limits, padding and special tokens as a model's files state them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from onnxembed.api.options import TextOptions
from onnxembed.errors import InputError, InputTypeError, ModelError
from onnxembed.text.tokenizer_rules import (
    TokenizerRules,
    read_rules,
    special_tokens,
    token_text,
)

VOCABULARY = {"[PAD]": 4, "<pad>": 1}


def rules(
    folder: Path,
    *,
    padding: dict[str, Any] | None = None,
    truncation: dict[str, Any] | None = None,
    max_length: int | None = None,
    **files: dict[str, Any],
) -> TokenizerRules:
    """Write files, named without their ending, and read the rules."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return read_rules(folder, padding or {"pad_id": 0}, truncation or {}, VOCABULARY.get, max_length)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_max_length": 512}, 512),
        ({"max_length": 128}, 128),
        ({"model_max_length": 512, "max_length": 128}, 128),
        ({"model_max_length": 64, "max_length": 128}, 64),
        ({"model_max_length": int(1e30), "max_length": 77}, 77),
        ({"model_max_length": 1e30, "max_length": 77}, 77),
        ({"model_max_length": 0, "max_length": 77}, 77),
        ({"model_max_length": None, "max_length": 77}, 77),
        ({"model_max_length": "512", "max_length": 77}, 77),
        ({"model_max_length": 12.0, "max_length": 77}, 77),
        ({"model_max_length": True, "max_length": 77}, 77),
        ({"model_max_length": -1, "max_length": 77}, 77),
        ({"model_max_length": sys.maxsize}, sys.maxsize),
    ],
)
def test_limit_of_the_tokenizer_configuration(config: dict[str, Any], expected: int, tmp_path: Path) -> None:
    found = rules(tmp_path, tokenizer_config=config)
    assert (found.max_length, found.max_length_source) == (expected, "tokenizer_config.json")


def test_sentence_transformers_limit_comes_first(tmp_path: Path) -> None:
    found = rules(tmp_path, sentence_bert_config={"max_seq_length": 256}, tokenizer_config={"model_max_length": 128})
    assert (found.max_length, found.max_length_source) == (256, "sentence_bert_config.json")


def test_unusable_sentence_transformers_limit_is_passed_over(tmp_path: Path) -> None:
    found = rules(tmp_path, sentence_bert_config={"max_seq_length": None}, tokenizer_config={"model_max_length": 128})
    assert (found.max_length, found.max_length_source) == (128, "tokenizer_config.json")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"n_positions": 2048}, 2048),
        ({"max_position_embeddings": 514, "model_type": "roberta"}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta"}, 512),
        ({"max_position_embeddings": 514, "model_type": "bert"}, 514),
    ],
)
def test_positions_are_the_last_resort_and_a_bound(config: dict[str, Any], expected: int, tmp_path: Path) -> None:
    found = rules(tmp_path, config=config)
    assert (found.max_length, found.max_length_source) == (expected, "config.json")
    bounded = rules(tmp_path, config=config, tokenizer_config={"model_max_length": 100_000})
    assert (bounded.max_length, bounded.max_length_source) == (expected, "config.json")
    below = rules(tmp_path, config=config, tokenizer_config={"model_max_length": 100})
    assert (below.max_length, below.max_length_source) == (100, "tokenizer_config.json")
    assert rules(tmp_path, config=config, max_length=expected).max_length == expected
    with pytest.raises(InputError, match=f"has {expected} positions; pass at most {expected}"):
        rules(tmp_path, config=config, max_length=expected + 1)


def test_no_limit_at_all_is_an_error_that_a_caller_can_mend(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"states no token limit.*pass max_length="):
        rules(tmp_path, tokenizer_config={"model_max_length": 1e30})
    found = rules(tmp_path, max_length=33)
    assert (found.max_length, found.max_length_source) == (33, "max_length=")


@pytest.mark.parametrize("length", [0, -3, sys.maxsize + 1])
def test_impossible_limits_are_refused(length: int) -> None:
    with pytest.raises(InputError, match=f"max_length={length}: expected at least 1 token"):
        TextOptions("model", max_length=length)


@pytest.mark.parametrize("length", ["256", 256.0, True])
def test_limits_are_integers(length: Any) -> None:
    with pytest.raises(InputTypeError, match=r"max_length=.*expected a number of tokens or None"):
        TextOptions("model", max_length=length)


def test_usable_limits_are_returned() -> None:
    assert TextOptions("model", max_length=None).max_length is None
    assert TextOptions("model", max_length=256).max_length == 256


@pytest.mark.parametrize(
    ("configured", "stored", "left"),
    [
        (None, None, False),
        ("left", None, True),
        ("right", "left", False),
        (None, "left", True),
        ("Left", "right", True),
        ("centre", "left", True),
        (3, "right", False),
    ],
)
def test_sides_are_configured_then_stored_then_right(
    configured: object, stored: str | None, left: bool, tmp_path: Path
) -> None:
    config = {"model_max_length": 8, "truncation_side": configured, "padding_side": configured}
    direction = {} if stored is None else {"direction": stored}
    found = rules(tmp_path, padding={"pad_id": 0, **direction}, truncation=direction, tokenizer_config=config)
    assert found.truncate_left is left
    assert found.pad_left is left


@pytest.mark.parametrize(
    ("padding", "config", "tokenizer_config", "expected"),
    [
        ({"pad_id": 7, "pad_token": "[PAD]"}, {"pad_token_id": 3}, {"pad_token": "<pad>"}, 7),
        ({"pad_id": 0}, {"pad_token_id": 3}, {}, 0),
        ({}, {"pad_token_id": 3}, {"pad_token": "[PAD]"}, 3),
        ({}, {"pad_token_id": None}, {"pad_token": "[PAD]"}, 4),
        ({}, {"pad_token_id": -1}, {"pad_token": "<pad>"}, 1),
        ({}, {"pad_token_id": True}, {"pad_token": {"content": "[PAD]", "lstrip": False}}, 4),
        ({"pad_token": "<pad>"}, {}, {"pad_token": "[PAD]"}, 1),
    ],
)
def test_padding_id(
    padding: dict[str, Any],
    config: dict[str, Any],
    tokenizer_config: dict[str, Any],
    expected: int,
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 8} | tokenizer_config), encoding="utf-8"
    )
    assert read_rules(tmp_path, padding, {}, VOCABULARY.get, None).pad_id == expected


@pytest.mark.parametrize("pad_token", [None, "[OTHER]", {"text": "[PAD]"}, 5])
def test_no_padding_token_is_an_error(pad_token: object, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 8, "pad_token": pad_token}), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="names no usable padding token"):
        read_rules(tmp_path, {}, {}, VOCABULARY.get, None)


def test_a_missing_map_of_special_tokens_is_empty(tmp_path: Path) -> None:
    assert special_tokens(tmp_path) == []


def test_token_text() -> None:
    assert token_text("[PAD]") == "[PAD]"
    assert token_text({"content": "[PAD]"}) == "[PAD]"
    assert token_text({"content": 3}) is None
    assert token_text(None) is None


def test_special_tokens_are_flattened(tmp_path: Path) -> None:
    token = {"content": "<s>", "lstrip": True, "special": True, "__type": "AddedToken"}
    content = {"bos_token": token, "additional_special_tokens": ["<a>", {"content": "<b>"}, {"id": 3}, 4], "n": None}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(content), encoding="utf-8")
    assert special_tokens(tmp_path) == [("<s>", {"lstrip": True}), ("<a>", {}), ("<b>", {})]


@pytest.mark.parametrize(
    ("config", "typed"),
    [
        ({}, True),
        ({"tokenizer_class": "BertTokenizer"}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, True),
        ({"tokenizer_class": "TokenizersBackend"}, False),
        ({"tokenizer_class": "TokenizersBackend", "model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}, False),
        ({"model_input_names": None}, True),
    ],
    ids=str,
)
def test_types_of_tokens_are_handed_on_or_not(config: dict[str, Any], typed: bool, tmp_path: Path) -> None:
    assert rules(tmp_path, tokenizer_config={"model_max_length": 9, **config}).token_types is typed

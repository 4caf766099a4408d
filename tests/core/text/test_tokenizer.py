"""Texts to token ids: exact ids, limits, long texts, and threads."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from onnxembed.errors import InputError, ModelError, TextTooLongError
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer, read_tokenizer
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.dense_tokenizers import (
    CLS_ID,
    MAPPED_ID,
    SEP_ID,
    UNKNOWN_ID,
    VOCABULARY,
    TokenizerForm,
    word_pieces,
    write_json,
    write_tokenizer,
)

HELLO, WORLD, COMMA = (VOCABULARY.index(word) for word in ("hello", "world", ","))


class Recording:
    """A tokenizer that notes how long the texts are that it is given."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.longest = 0

    def encode(self, text: str, **options: Any) -> Any:
        self.longest = max(self.longest, len(text))
        return self._backend.encode(text, **options)

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        self.longest = max(self.longest, *map(len, texts))
        return self._backend.encode_batch_fast(texts, **options)


def load(folder: Path, form: TokenizerForm | None = None, max_length: int | None = None) -> TextTokenizer:
    write_tokenizer(folder, form)
    return load_tokenizer(folder, max_length)


def ids(tokenizer: TextTokenizer, *texts: str, truncate: bool = True) -> list[list[int]]:
    return [tokens.ids.tolist() for tokens in tokenizer.encode(texts, 0, truncate=truncate)]


def test_ids(tmp_path: Path) -> None:
    tokenizer = load(tmp_path)
    assert ids(tokenizer, "Hello, world", "", "hello [SIDE]", "\N{GRINNING FACE}") == [
        [CLS_ID, HELLO, COMMA, WORLD, SEP_ID],
        [CLS_ID, SEP_ID],
        [CLS_ID, HELLO, MAPPED_ID, SEP_ID],
        [CLS_ID, UNKNOWN_ID, SEP_ID],
    ]
    assert ids(tokenizer) == []
    assert tokenizer.rules == TokenizerRules(48, "tokenizer_config.json", False, False, 0)


def test_many_texts_keep_their_order(tmp_path: Path) -> None:
    tokenizer = load(tmp_path)
    texts = [("hello " * (number % 7)).strip() for number in range(200)]
    assert [len(one) for one in ids(tokenizer, *texts)] == [number % 7 + 2 for number in range(200)]


def test_stored_padding_and_truncation_do_not_count(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(stored_length=10))
    assert [len(one) for one in ids(tokenizer, "hello", "hello " * 30)] == [3, 32]


@pytest.mark.parametrize(("side", "kept"), [("right", [HELLO, HELLO]), ("left", [WORLD, WORLD])])
def test_long_texts_are_cut_on_the_configured_side(side: str, kept: list[int], tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(max_length=4, config={"truncation_side": side}))
    assert ids(tokenizer, "hello hello hello world world world", "hello hello") == [
        [CLS_ID, *kept, SEP_ID],
        [CLS_ID, HELLO, HELLO, SEP_ID],
    ]


def test_token_types_are_kept_only_where_there_are_any(tmp_path: Path) -> None:
    (plain,) = load(tmp_path).encode(["hello"], 0, truncate=True)
    assert plain.type_ids is None
    (typed,) = load(tmp_path, TokenizerForm(first_type=2)).encode(["hello"], 0, truncate=True)
    assert typed.type_ids is not None
    assert typed.type_ids.tolist() == [2, 0, 0]


def test_pad_token_that_only_the_map_has(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(config={"pad_token": "[SIDE]"}, model_config={"pad_token_id": None}))
    assert tokenizer.rules.pad_id == MAPPED_ID


@pytest.mark.parametrize("length", [1, 2])
def test_limit_without_room_for_text_is_refused(length: int, tmp_path: Path) -> None:
    """The tokenizer would not cut at all below its special tokens."""
    with pytest.raises(InputError, match=rf"limit of {length} tokens \(from max_length=\).*pass max_length=3 or more"):
        load(tmp_path, max_length=length)
    assert ids(load(tmp_path, max_length=3), "hello world") == [[CLS_ID, HELLO, SEP_ID]]


def test_one_warning_for_each_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = load(tmp_path)
    ids(tokenizer, "hello " * 46)
    assert not caplog.records
    threads = [threading.Thread(target=ids, args=(tokenizer, "a", "hello " * 47)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("onnxembed.text", logging.WARNING)
    assert record.getMessage().startswith(
        "text 1 is longer than the limit of 48 tokens (from tokenizer_config.json) and is cut"
    )


def test_long_texts_can_be_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = load(tmp_path)
    with pytest.raises(TextTooLongError) as caught:
        tokenizer.encode(["a"] * 70 + ["hello world " * 30], 1000, truncate=False)
    assert (caught.value.index, caught.value.token_count, caught.value.max_length) == (1070, 62, 48)
    assert "text 1070 has 62 tokens, more than the limit of 48" in str(caught.value)
    assert len(tokenizer.encode(["hello " * 46], 0, truncate=False)[0].ids) == 48
    assert len(ids(tokenizer, "hello world " * 30)[0]) == 48  # the count above has changed nothing
    assert len(caplog.records) == 1


def test_count_is_cut_to_the_limit(tmp_path: Path) -> None:
    tokenizer = load(tmp_path)
    assert tokenizer.count(["hello world", "", "hello " * 1000]) == 4 + 2 + 48
    assert tokenizer.count([]) == 0


@pytest.mark.parametrize("separator", [" ", "\n", ",", "東"])
def test_huge_texts_cost_no_more_than_their_beginning(separator: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(max_length=20))
    words = ["hello", "world", "fox", "quicker"] * 5
    text = separator.join(words * 50_000)
    expected = ids(tokenizer, separator.join(words))
    recording = Recording(tokenizer.backend)
    tokenizer.backend = recording  # type: ignore[assignment]
    assert ids(tokenizer, text) == expected
    assert ids(tokenizer, text, "a")[0] == expected[0]
    assert recording.longest <= 2 * 20 * 16


@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000,  # one unknown word, whatever its end
        " " * 20_000 + "hello world",  # a beginning without any token
        "x" * 700 + " hello" * 5_000,  # a beginning of one token
        "hello" * 5_000,
    ],
)
def test_huge_texts_whose_beginning_says_little_are_read_whole(text: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(max_length=20))
    reference = word_pieces()
    reference.enable_truncation(20)
    assert ids(tokenizer, text) == [reference.encode(text).ids]


def test_a_word_that_is_too_long_stays_unknown_under_a_small_limit(tmp_path: Path) -> None:
    # WordPiece takes words of more than 100 characters as unknown; a cut one would be pieces.
    tokenizer = load(tmp_path, max_length=3)
    assert ids(tokenizer, "x" * 300) == [[CLS_ID, UNKNOWN_ID, SEP_ID]]


def test_huge_texts_cut_on_the_left_keep_their_end(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, TokenizerForm(max_length=5, config={"truncation_side": "left"}))
    assert ids(tokenizer, "hello " * 5_000 + "world") == [[CLS_ID, HELLO, HELLO, WORLD, SEP_ID]]


def test_missing_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer.json; expected the model's fast tokenizer"):
        read_tokenizer(tmp_path)


def test_unreadable_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unheard-of"}}), encoding="utf-8")
    with pytest.raises(ModelError, match="is not a tokenizer this version of tokenizers can read"):
        read_tokenizer(tmp_path)


def test_special_tokens_map_is_optional(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "special_tokens_map.json").unlink()
    tokenizer = load_tokenizer(tmp_path, None)
    assert len(ids(tokenizer, "[SIDE]")[0]) == len("[side]") + 2
    write_json(tmp_path / "special_tokens_map.json", {"additional_special_tokens": ["[SIDE]"]})
    assert ids(load_tokenizer(tmp_path, None), "[SIDE]") == [[CLS_ID, MAPPED_ID, SEP_ID]]

"""Pairs are tokenised as the tokenizers library does it, whether the two texts are tokenised together or apart."""

from __future__ import annotations

import dataclasses
import logging
import random
from itertools import product

import numpy as np
import pytest
import tokenizers

from onnxembed.errors import InputError, TextTooLongError, UnsupportedModelError
from onnxembed.text.pair_template import cut_lengths
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.rerank_models import PAIRS, pair_tokenizer

KNOWN = ["bert", "roberta", "bert_processor", "roberta_processor", "typed", "bare"]
UNKNOWN = ["swapped", "twice"]
LIMIT = 17


def rules(limit: int, *, left: bool = False) -> TokenizerRules:
    return TokenizerRules(limit, "a test", truncate_left=left, pad_left=False, pad_id=0)


def opened(pairs: str, limit: int = LIMIT, *, left: bool = False) -> PairTokenizer:
    return PairTokenizer(TextTokenizer(pair_tokenizer(pairs), rules(limit, left=left), add_special_tokens=True))


def reference(pairs: str, limit: int | None, *, left: bool = False) -> tokenizers.Tokenizer:
    tokenizer = pair_tokenizer(pairs)
    if limit is not None:
        tokenizer.enable_truncation(limit, strategy="longest_first", direction="left" if left else "right")
    return tokenizer


def text(tokens: int, first: str = "a") -> str:
    """A text of so many tokens, each position of which can be told from the others."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    start = letters.index(first)
    return " ".join(letters[(start + number) % len(letters)] for number in range(tokens))


def lists(tokens: Tokens) -> tuple[list[int], list[int]]:
    types = np.zeros_like(tokens.ids) if tokens.type_ids is None else tokens.type_ids
    assert tokens.ids.dtype == types.dtype == np.int32
    return tokens.ids.tolist(), types.tolist()


@pytest.mark.parametrize("pairs", KNOWN)
def test_texts_are_tokenised_apart_where_that_is_the_same(pairs: str) -> None:
    assert opened(pairs).template is not None


@pytest.mark.parametrize("pairs", UNKNOWN)
def test_other_tokenizers_encode_every_pair_themselves(pairs: str) -> None:
    assert opened(pairs).template is None


@pytest.mark.parametrize("pairs", KNOWN + UNKNOWN)
@pytest.mark.parametrize("left", [False, True])
def test_every_length_is_cut_as_tokenizers_cuts_it(pairs: str, left: bool) -> None:
    lengths = [*range(14), 16, 17, 18, 33, 34, 35, 60]
    asked = [(text(first), text(second, "n")) for first, second in product(lengths, lengths)]
    tokenizer = reference(pairs, LIMIT, left=left)
    ours = opened(pairs, left=left).encode(asked, 0, truncate=True)
    for pair, tokens in zip(asked, ours, strict=True):
        expected = tokenizer.encode(*pair)
        assert lists(tokens) == (expected.ids, expected.type_ids)


@pytest.mark.parametrize("pairs", ["bert", "roberta", "swapped"])
@pytest.mark.parametrize("limit", [4, 5, 6, 7, 8, 48, 2000])
def test_every_limit(pairs: str, limit: int) -> None:
    if pairs == "roberta" and limit == 4:
        pytest.skip("its four special tokens fill the limit")
    tokenizer = reference(pairs, limit)
    # Of two long texts the library keeps every pair of leftovers, so only large limits get long ones here.
    longer = [(text(1), text(3000)), (text(2500), text(1700))] if limit >= 48 else []
    asked = [*PAIRS, (text(20), text(21)), (text(21), text(20)), *longer]
    tokenised = opened(pairs, limit)
    for pair, tokens in zip(asked, tokenised.encode(asked, 0, truncate=True), strict=True):
        expected = tokenizer.encode(*pair)
        assert lists(tokens) == (expected.ids, expected.type_ids)
        assert tokenised.count([pair]) == len(expected.ids)


def test_lengths_are_cut_as_tokenizers_cuts_them() -> None:
    for room in range(1, 12):
        tokenizer = reference("bare", room)
        for first, second in product(range(2 * room + 3), repeat=2):
            places = tokenizer.encode(text(first), text(second)).sequence_ids
            assert cut_lengths(first, second, room) == (places.count(0), places.count(1))


def test_of_two_texts_beyond_the_limit_the_longer_gets_the_odd_token() -> None:
    """Each was cut to the limit before they are compared, and huge ones to a prefix before that."""
    for first, second in ((34, 33), (33, 34), (18, 18), (5000, 2500), (2500, 5000)):
        pair = (text(first), text(second))
        (tokens,) = opened("roberta").encode([pair], 0, truncate=True)
        kept = tokens.ids.tolist()[1:].index(3)
        assert (kept, LIMIT - 4 - kept) == ((7, 6) if first > second else (6, 7))


def test_huge_texts_are_cut_like_others() -> None:
    draw = random.Random(3)
    words = [text(1, draw.choice("abcdefgh")) for _ in range(40_000)]
    pair = ("hello world", " ".join(words))
    (tokens,) = opened("bert").encode([pair], 0, truncate=True)
    assert lists(tokens)[0] == reference("bert", LIMIT).encode(*pair).ids


def test_a_text_of_many_pairs_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = opened("bert")
    seen: list[str] = []
    encodings = TextTokenizer.encodings

    def counted(self: TextTokenizer, texts: list[str], *, clip: bool) -> list[tokenizers.Encoding]:
        seen.extend(texts)
        return encodings(self, texts, clip=clip)

    monkeypatch.setattr(TextTokenizer, "encodings", counted)
    tokenizer.encode([("a query", f"document {number % 150}") for number in range(300)], 0, truncate=True)
    assert seen.count("a query") == 1
    assert len(seen) == 151


@pytest.mark.parametrize("pairs", ["bert", "swapped"])
@pytest.mark.parametrize("left", [False, True])
def test_long_pairs_are_refused_on_demand(pairs: str, left: bool) -> None:
    tokenizer = opened(pairs, left=left)
    with pytest.raises(TextTooLongError) as refused:
        tokenizer.encode([("a", "b"), (text(9), text(40))], 5, truncate=False)
    assert (refused.value.index, refused.value.max_length) == (6, LIMIT)
    assert refused.value.token_count == 9 + 40 + 3
    (fits,) = tokenizer.encode([(text(7), text(7))], 0, truncate=False)
    assert len(fits.ids) == LIMIT


@pytest.mark.parametrize("pairs", ["bert", "swapped"])
def test_cut_pairs_are_told_once(pairs: str, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = opened(pairs)
    with caplog.at_level(logging.WARNING, "onnxembed.text"):
        tokenizer.encode([("a", "b"), (text(9), text(40)), (text(9), text(41))], 3, truncate=True)
        tokenizer.encode([(text(9), text(40))], 0, truncate=True)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "pair 4 is longer than the limit of 17 tokens (from a test)" in message


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(InputError, match=r"no room for text beside 4 special tokens of a pair; pass max_length=5"):
        opened("roberta", 4)


# -- windows ---------------------------------------------------------------------------------------------------------


def parts(windows: tuple[Tokens, ...], query: int) -> list[list[int]]:
    """The document's ids in each window of BERT's form."""
    return [window.ids.tolist()[query + 2 : -1] for window in windows]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("overlap", [0, 1, 3, 100])
@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 19, 20, 21, 57, 400])
def test_windows_cover_the_document_in_order(length: int, overlap: int, left: bool) -> None:
    query, document = text(4, "x"), text(length)
    (windows,) = opened("bert", left=left).encode_windows([(query, document)], 0, overlap, truncate=False)
    whole = reference("bert", None).encode(document, add_special_tokens=False).ids
    asked = reference("bert", None).encode(query, add_special_tokens=False).ids
    capacity, shared = LIMIT - 3 - 4, min(overlap, 5)
    found = parts(windows, 4)
    assert all(window.ids.tolist()[1:5] == asked for window in windows)
    assert all(lists(window)[1] == [0] * 6 + [1] * (len(window.ids) - 6) for window in windows)
    if length <= capacity:
        assert found == [whole]
        return
    assert all(len(part) == capacity for part in found)
    rebuilt = found[0]
    for part in found[1:-1]:
        assert rebuilt[len(rebuilt) - shared :] == part[:shared]
        rebuilt = rebuilt + part[shared:]
    rest = len(whole) - len(rebuilt)
    assert 0 < rest <= capacity - shared
    assert found[-1] == whole[len(whole) - capacity :]
    assert rebuilt + found[-1][capacity - rest :] == whole


@pytest.mark.parametrize(("query", "document", "kept"), [(20, 60, 7), (20, 3, 11), (9, 9, 7), (9, 5, 9), (20, 0, 14)])
def test_a_long_query_leaves_half_of_the_room(query: int, document: int, kept: int) -> None:
    pair = (text(query), text(document, "n"))
    (windows,) = opened("bert").encode_windows([pair], 0, 0, truncate=True)
    assert {window.ids.tolist().index(3) - 1 for window in windows} == {kept}
    if query + document > LIMIT - 3:
        with pytest.raises(TextTooLongError, match=f"text 2 has {query + document + 3} tokens"):
            opened("bert").encode_windows([("a", "b"), pair], 1, 0, truncate=False)


def test_windows_need_texts_tokenised_apart() -> None:
    with pytest.raises(UnsupportedModelError, match="windows= cannot be used"):
        opened("swapped").encode_windows([("a", "b")], 0, 0, truncate=True)


@pytest.mark.parametrize("pairs", KNOWN + UNKNOWN)
def test_a_tokenizer_that_hands_no_types_on(pairs: str) -> None:
    asked = [(text(first), text(second, "n")) for first, second in product((1, 7, 30), (1, 7, 30))]
    untyped = PairTokenizer(
        TextTokenizer(
            pair_tokenizer(pairs), dataclasses.replace(rules(LIMIT), token_types=False), add_special_tokens=True
        )
    )
    ours, typed = (tokenizer.encode(asked, 0, truncate=True) for tokenizer in (untyped, opened(pairs)))
    assert [tokens.ids.tolist() for tokens in ours] == [tokens.ids.tolist() for tokens in typed]
    assert all(tokens.type_ids is None for tokens in ours)

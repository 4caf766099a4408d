"""What may be given as texts, counts and switches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from onnxembed.api.inputs import check_count, check_text, check_texts
from onnxembed.errors import InputError, InputTypeError


@pytest.mark.parametrize("text", ["", "a", "\N{GRINNING FACE}", "\0", "é" * 1000, np.str_("numpy")])
def test_strings_are_texts(text: str) -> None:
    assert check_text(text, 0) is text


@pytest.mark.parametrize(
    ("item", "kind"), [(None, "None"), (b"x", "a bytes"), (5, "an int"), (1.5, "a float"), (["a"], "a list")]
)
def test_other_things_are_not(item: object, kind: str) -> None:
    with pytest.raises(InputTypeError, match=f"^text 3 is {kind}; expected str$"):
        check_text(item, 3)


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(InputError, match=r"text 2 holds the lone surrogate '\\ud800' at position 2"):
        check_text("ab\ud800", 2)


def test_one_string_is_one_text() -> None:
    assert list(check_texts("abc", "texts").items) == ["abc"]


def test_sequences_are_checked_whole_at_once() -> None:
    for texts in (["a", 1], ("a", 1), deque(["a", 1])):
        with pytest.raises(InputTypeError, match="text 1 is an int"):
            check_texts(texts, "texts")
    texts = ["a", "b"]
    checked = check_texts(texts, "texts")
    texts.append("c")
    assert list(checked.items) == ["a", "b"]


def test_iterators_are_not_touched() -> None:
    def texts() -> Iterator[str]:
        raise AssertionError("read too early")
        yield ""

    assert iter(check_texts(texts(), "texts").items)


@pytest.mark.parametrize(
    ("texts", "empty"), [([], True), ((), True), (np.array([]), True), (["a"], False), (iter(()), False)]
)
def test_empty_collections_are_known(texts: Any, empty: bool) -> None:
    assert check_texts(texts, "texts").empty is empty


@pytest.mark.parametrize(
    ("texts", "kind"),
    [(None, "None"), (b"abc", "a bytes"), (bytearray(b"a"), "a bytearray"), ({"a": 1}, "a dict"), (7, "an int")],
)
def test_what_holds_no_texts_is_refused(texts: object, kind: str) -> None:
    with pytest.raises(InputTypeError, match=f"^query is {kind}; expected a string or an iterable of strings$"):
        check_texts(texts, "query")


def test_counts() -> None:
    assert check_count(1, "n", 1) == 1
    with pytest.raises(InputError, match=r"n=0: n must be >= 1"):
        check_count(0, "n", 1)


@pytest.mark.parametrize("value", [True, "1", 1.0, None, np.bool_(True), np.float64(3)])
def test_counts_are_integers(value: Any) -> None:
    with pytest.raises(InputTypeError, match="expected an integer"):
        check_count(value, "n", 1)

"""Checks of what the frameworks' methods are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, TypeVar

from onnxembed.api.inputs import check_texts, plain
from onnxembed.errors import InputError, InputTypeError

__all__ = ["as_items", "as_list", "as_texts", "positive", "wrong_type"]

ItemT = TypeVar("ItemT")


def wrong_type(name: str, given: object, expected: str) -> InputTypeError:
    """Make the error for an argument of the wrong type."""
    return InputTypeError(f"{name} is {type(given).__name__}, expected {expected}")


def as_items(items: Iterable[ItemT], method: str, kind: str, instead: str) -> Iterable[ItemT]:
    """Take any collection but a single text, which would be read letter by letter, and tables, which give their keys.

    The other arguments are for the message. What may change its items as they are read is given back as it is.
    """
    held = plain(items)
    table = hasattr(type(held), "columns") or hasattr(type(held), "column_names")
    if table or isinstance(held, str | bytes | bytearray | memoryview | Mapping) or not isinstance(held, Iterable):
        advice = "pass one column of it, such as df['text']" if table else instead
        raise InputTypeError(f"{method} was given a {type(held).__name__}, expected a list of {kind}; {advice}")
    return held


def as_list(items: Iterable[ItemT], method: str, kind: str, instead: str) -> list[ItemT]:
    """Take what `as_items` takes, as a list."""
    return list(as_items(items, method, kind, instead))


def as_texts(texts: Iterable[str], method: str, instead: str) -> list[str]:
    """Take texts as `as_list` does, each checked by the core before work starts."""
    return list(check_texts(as_list(texts, method, "str", instead), "texts").items)


def positive(number: Any, name: str) -> int:
    """Check that a number is an integer of 1 or more."""
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise wrong_type(name, number, "an integer of 1 or more")
    if number < 1:
        raise InputError(f"{name}={number}: expected 1 or more")
    return int(number)

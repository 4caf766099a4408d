"""Checks of what the frameworks' methods are given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from onnxembed.errors import InputError, InputTypeError

__all__ = ["as_list", "positive", "wrong_type"]

ItemT = TypeVar("ItemT")


def wrong_type(name: str, given: object, expected: str) -> InputTypeError:
    """Make the error for an argument of the wrong type."""
    return InputTypeError(f"{name} is {type(given).__name__}, expected {expected}")


def as_list(items: Iterable[ItemT], method: str, kind: str, instead: str) -> list[ItemT]:
    """Take any collection but a single text, which would be read letter by letter; the rest is for the message."""
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise InputTypeError(f"{method} was given a {type(items).__name__}, expected a list of {kind}; {instead}")
    return list(items)


def positive(number: Any, name: str) -> int:
    """Check that a number is an integer of 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise wrong_type(name, number, "an integer of 1 or more")
    if number < 1:
        raise InputError(f"{name}={number}: expected 1 or more")
    return number

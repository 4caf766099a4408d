"""Checks of what callers pass as texts, before any work starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnxembed.errors import InputError, InputTypeError


def check_text(text: object, index: int) -> str:
    """Refuse an item that is not a string of Unicode text.

    Args:
        text: The item.
        index: Its position, for the message.

    Returns:
        The item.

    Raises:
        InputTypeError: If it is not a string.
        InputError: If it holds half of a surrogate pair, which is no Unicode character and has no UTF-8 form.
    """
    if not isinstance(text, str):
        raise InputTypeError(f"text {index} is {_describe(text)}; expected str")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"text {index} holds the lone surrogate {text[error.start]!a} at position {error.start}, which is "
                "not a Unicode character; clean it with text.encode('utf-8', 'replace').decode()"
            ) from None
    return text


def as_texts(texts: object, name: str) -> Iterable[object]:
    """Accept one string, a collection of strings, or an iterable of them.

    Lists and tuples are checked whole at once, so that a wrong item is told at the call; other iterables are checked as
    they are read.

    Args:
        texts: The argument.
        name: Its name, for messages.

    Returns:
        An iterable of the texts.

    Raises:
        InputTypeError: If it is not a string or an iterable, or an item of a list is not a string.
    """
    if isinstance(texts, str):
        return [check_text(texts, 0)]
    if isinstance(texts, bytes | bytearray | dict) or not isinstance(texts, Iterable):
        raise InputTypeError(f"{name} is {_describe(texts)}; expected a string or an iterable of strings")
    if isinstance(texts, Sequence):
        for index, text in enumerate(texts):
            check_text(text, index)
    return texts


def check_count(value: object, name: str, least: int) -> int:
    """Refuse a number that is not an integer of at least ``least``.

    Args:
        value: The argument.
        name: Its name, for messages.
        least: The smallest allowed value.

    Returns:
        The argument.

    Raises:
        InputTypeError: If it is not an integer.
        InputError: If it is too small.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is {_describe(value)}; expected an integer")
    if value < least:
        raise InputError(f"{name}={value}: {name} must be >= {least}")
    return value


def _describe(value: object) -> str:
    """``None`` or a type's name with its article."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

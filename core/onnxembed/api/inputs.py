"""Checks of what callers pass, before any work starts: texts, counts, numbers, truth values."""

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
            # What nearly every text is needs no further look; a call for each would take ten times as long.
            if type(text) is not str or not text.isascii():
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


def check_number(value: object, name: str, least: float, most: float) -> float:
    """Refuse a number outside a range.

    Args:
        value: The argument.
        name: Its name, for messages.
        least: The smallest allowed value.
        most: The largest allowed value; may be infinite.

    Returns:
        The argument as a float.

    Raises:
        InputTypeError: If it is not a number.
        InputError: If it is outside the range, infinite or no number at all.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is {_describe(value)}; expected a number")
    number = float(value)
    if not (least <= number <= most) or number in (float("inf"), float("-inf")):
        bounds = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise InputError(f"{name}={value}: expected a number {bounds}")
    return number


def check_flag(value: bool, name: str) -> bool:
    """Refuse what is not a truth value: a string such as ``"false"`` would count as true.

    Args:
        value: The argument.
        name: Its name, for messages.

    Returns:
        The argument.

    Raises:
        InputTypeError: If it is not a bool.
    """
    if not isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is a {type(value).__name__}; expected True or False")
    return value


def _describe(value: object) -> str:
    """``None`` or a type's name with its article."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

"""What callers pass, checked once at the border: texts, queries, counts, numbers, truth values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Generic, TypeVar, cast

from onnxembed.errors import InputError, InputTypeError

T = TypeVar("T")
ItemT = TypeVar("ItemT")


class Checked(Generic[T]):
    """Items that have passed the border: those of a list already, those of an iterator as they are read.

    Attributes:
        items: The items; a tuple when they came as a list, so that a later change of the list changes nothing.
        empty: Whether it is known that there are none, so that no model need be loaded.
    """

    __slots__ = ("empty", "items")

    def __init__(self, items: Iterable[T], *, empty: bool) -> None:
        self.items = items
        self.empty = empty


def check_text(text: object, index: int) -> str:
    """Refuse an item that is no string, or holds half of a surrogate pair, which has no UTF-8 form."""
    if not isinstance(text, str):
        raise InputTypeError(f"text {index} is {describe_type(text)}; expected str")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"text {index} holds the lone surrogate {text[error.start]!a} at position {error.start}, which is "
                "not a Unicode character; clean it with text.encode('utf-8', 'replace').decode()"
            ) from None
    return text


def check_texts(texts: object, name: str) -> Checked[str]:
    """Accept one string, a collection of strings, or an iterable of them."""
    if isinstance(texts, str):
        return Checked((check_text(texts, 0),), empty=False)
    if isinstance(texts, bytes | bytearray | dict) or not isinstance(texts, Iterable):
        raise InputTypeError(f"{name} is {describe_type(texts)}; expected a string or an iterable of strings")
    return check_items(texts, _check_all_texts, check_text)


def check_items(
    items: Iterable[object], check_all: Callable[[Sequence[object]], None], check: Callable[[object, int], ItemT]
) -> Checked[ItemT]:
    """Check sequences whole at once, so that a wrong item is told at the call, and other iterables as they are read.

    Args:
        items: The items.
        check_all: Refuses a sequence with a wrong item.
        check: Refuses a wrong item; called with the item and its position.

    Returns:
        The checked items.
    """
    if isinstance(items, Sequence):
        held = tuple(items)
        check_all(held)
        return Checked(cast("tuple[ItemT, ...]", held), empty=not held)
    return Checked(_each(items, check), empty=isinstance(items, Sized) and not len(items))


def _each(items: Iterable[object], check: Callable[[object, int], ItemT]) -> Iterator[ItemT]:
    for index, item in enumerate(items):
        yield check(item, index)


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut items into lists of ``size``; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _check_all_texts(texts: Sequence[object]) -> None:
    for index, text in enumerate(texts):
        # The check of each text stands here again: a call for each would take ten times as long.
        if isinstance(text, str):
            if text.isascii():
                continue
            try:
                text.encode("utf-8")
                continue
            except UnicodeEncodeError:
                pass
        check_text(text, index)  # says what is wrong


def check_query(query: object, name: str = "query") -> str:
    """Refuse a query that is no text, or is empty."""
    if not isinstance(query, str):
        raise InputTypeError(f"{name} is a {type(query).__name__}; expected one query as a string")
    if not query:
        raise InputError(f"{name} is empty; a document is scored by what is asked, so pass a query with text")
    try:
        return check_text(query, 0)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def check_documents(documents: object, name: str = "documents") -> Checked[str]:
    """Refuse documents that are no iterable of texts; a string alone is one document, not one per character."""
    if isinstance(documents, str):
        raise InputTypeError(f"{name} is a string; expected an iterable of documents, such as [{name}] for one")
    return check_texts(documents, name)


def check_ranking(query: object, documents: object) -> tuple[str, tuple[str, ...]]:
    """Read a query and all its documents."""
    return check_query(query), tuple(check_documents(documents).items)


def check_rankings(queries: object, documents_per_query: object) -> list[tuple[str, tuple[str, ...]]]:
    """Read many queries, each with all its documents; there must be as many collections of documents as queries."""
    checked = [check_query(query, f"query {index}") for index, query in enumerate(_listed(queries, "queries"))]
    collections = _listed(documents_per_query, "documents_per_query")
    if len(collections) != len(checked):
        raise InputError(
            f"documents_per_query holds {len(collections)} collections for {len(checked)} queries; pass one for each, "
            "such as [documents] * len(queries) for the same documents"
        )
    return [
        (query, tuple(check_documents(documents, f"documents_per_query[{index}]").items))
        for index, (query, documents) in enumerate(zip(checked, collections, strict=True))
    ]


def _listed(values: object, name: str) -> list[object]:
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise InputTypeError(f"{name} is a {type(values).__name__}; expected a list with one entry for each query")
    return list(values)


def check_count(value: object, name: str, least: int) -> int:
    """Refuse what is no integer, or is below ``least``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is {describe_type(value)}; expected an integer")
    if value < least:
        raise InputError(f"{name}={value}: {name} must be >= {least}")
    return value


def at_least(least: int) -> Callable[[object, str], int]:
    """Make the check of an option that counts something."""
    return lambda value, name: check_count(value, name, least)


def check_parallel(parallel: int | None) -> int | None:
    """Read ``parallel``: ``None`` leaves the number of workers to the engine, 0 means one per usable processor."""
    if parallel is None:
        return None
    from onnxembed.runtime.cpu import usable_cpus

    return check_count(parallel, "parallel", 0) or usable_cpus()


def check_number(value: object, name: str, least: float, most: float) -> float:
    """Refuse what is no finite number from ``least`` to ``most`` (which may be infinite); gives a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is {describe_type(value)}; expected a number")
    number = float(value)
    if not (least <= number <= most) or number in (float("inf"), float("-inf")):
        bounds = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise InputError(f"{name}={value}: expected a number {bounds}")
    return number


def check_flag(value: object, name: str) -> bool:
    """Refuse what is no truth value: a string such as ``"false"`` would count as true."""
    if not isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is a {type(value).__name__}; expected True or False")
    return value


def describe_type(value: object) -> str:
    """``None``, or a type's name with its article."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

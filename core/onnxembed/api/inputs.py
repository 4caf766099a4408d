"""What callers pass, checked once at the border: texts, queries, counts, numbers, truth values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from numbers import Integral, Real
from typing import Any, Generic, TypeVar, cast

from onnxembed.errors import InputError, InputTypeError
from onnxembed.runtime.cancellation import checkpoint

T = TypeVar("T")
ItemT = TypeVar("ItemT")


class Checked(Generic[T]):
    """Items that have passed the border: those of a list already, those of an iterator as they are read.

    A list becomes a tuple, so that a later change of the list changes nothing. ``empty``: it is known that there are
    none, so no model need be loaded. ``count``: how many there are, where that is known.
    """

    __slots__ = ("count", "empty", "items")

    def __init__(self, items: Iterable[T], *, empty: bool, count: int | None = None) -> None:
        self.items = items
        self.empty = empty
        self.count = len(items) if isinstance(items, tuple) else count


def plain(value: Any) -> Any:
    """Give the Python value of a scalar of pyarrow, or of an array without axes; anything else as it is.

    Both are known by what they can do, since neither library need be installed.
    """
    if callable(getattr(value, "as_py", None)):
        return value.as_py()
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def check_text(text: object, index: int) -> str:
    """Refuse an item that is no string, or holds half of a surrogate pair, which has no UTF-8 form."""
    if not isinstance(text, str):
        text = plain(text)
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
    if isinstance(texts, Sequence) and not isinstance(texts, bytes | bytearray | memoryview):
        held = _all_texts(texts)
        return Checked(held, empty=not held)
    texts = plain(texts)
    if isinstance(texts, str):
        return Checked((check_text(texts, 0),), empty=False)
    listed = check_container(texts, name, "a string or an iterable of strings")
    count = _count(listed)
    return Checked(_each(listed, check_text), empty=count == 0, count=count)


def check_container(items: object, name: str, expected: str) -> Iterable[object]:
    """Refuse what holds no items of its own: bytes, tables and mappings, whose items are names of columns or keys."""
    if hasattr(items, "columns"):  # a DataFrame of any library
        raise InputTypeError(
            f"{name} is {describe_type(items)}; expected {expected}: pass df['text'], the column that holds the texts"
        )
    if isinstance(items, str | bytes | bytearray | memoryview | Mapping) or not isinstance(items, Iterable):
        raise InputTypeError(f"{name} is {describe_type(items)}; expected {expected}")
    return items


def check_items(
    items: Iterable[object], check_all: Callable[[Sequence[object]], None], check: Callable[[object, int], ItemT]
) -> Checked[ItemT]:
    """Check sequences whole, so that a wrong item is an error at the call, and other iterables as they are read.

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
    count = _count(items)
    return Checked(_each(items, check), empty=count == 0, count=count)


def _count(items: Iterable[object]) -> int | None:
    return len(items) if isinstance(items, Sized) else None


def _each(items: Iterable[object], check: Callable[[object, int], ItemT]) -> Iterator[ItemT]:
    for index, item in enumerate(items):
        yield check(item, index)


def stays(items: object) -> bool:
    """Whether the items of a container are the same when they are read again, as those of lists and tuples are.

    What anything else hands over, such as an iterator, may change the moment after: a buffer that is filled again, a
    picture that moves on to its next frame.
    """
    return isinstance(items, list | tuple) and type(items).__iter__ in (list.__iter__, tuple.__iter__)


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut items into lists of ``size``; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        checkpoint()
        yield chunk


def _all_texts(texts: Sequence[object]) -> tuple[str, ...]:
    held = tuple(texts)
    for index, text in enumerate(held):
        # The check of each text stands here again: a call for each would take ten times as long.
        if isinstance(text, str):
            if text.isascii():
                continue
            try:
                text.encode("utf-8")
                continue
            except UnicodeEncodeError:
                pass
        # A wrong one is refused here; some of the others become texts, such as the scalars of pyarrow.
        return (*held[:index], *map(check_text, held[index:], range(index, len(held))))  # type: ignore[arg-type]
    return cast("tuple[str, ...]", held)


def check_query(query: object, name: str = "query") -> str:
    """Refuse a query that is no text; an empty one is a text like any other."""
    if not isinstance(query, str):
        query = plain(query)
    if not isinstance(query, str):
        raise InputTypeError(f"{name} is a {type(query).__name__}; expected one query as a string")
    try:
        return check_text(query, 0)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def check_documents(documents: object, name: str = "documents") -> Checked[str]:
    """Refuse documents that are no iterable of texts; a string alone is one document, not one per character."""
    if isinstance(documents if isinstance(documents, Sequence) else plain(documents), str):
        raise InputTypeError(f"{name} is a string; expected an iterable of documents, such as [{name}] for one")
    return check_texts(documents, name)


def check_ranking(query: object, documents: object) -> tuple[str, tuple[str, ...]]:
    """Read a query and all its documents."""
    return check_query(query), tuple(check_documents(documents).items)


def check_rankings(queries: object, documents_per_query: object) -> list[tuple[str, tuple[str, ...]]]:
    """Read many queries, each with all its documents; there must be as many collections of documents as queries."""
    checked = [check_query(query, f"query {index}") for index, query in enumerate(_iterable(queries, "queries"))]
    # Each is read before the next one is asked for: groups of itertools.groupby are empty after that.
    collections = [
        tuple(check_documents(documents, f"documents_per_query[{index}]").items)
        for index, documents in enumerate(_iterable(documents_per_query, "documents_per_query"))
    ]
    if len(collections) != len(checked):
        raise InputError(
            f"documents_per_query holds {len(collections)} collections for {len(checked)} queries; pass one for each, "
            "such as [documents] * len(queries) for the same documents"
        )
    return list(zip(checked, collections, strict=True))


def _iterable(values: object, name: str) -> Iterable[object]:
    listed = plain(values)
    if isinstance(listed, str | bytes | Mapping) or hasattr(listed, "columns") or not isinstance(listed, Iterable):
        raise InputTypeError(f"{name} is a {type(values).__name__}; expected a list with one entry for each query")
    return listed


def is_integer(value: object) -> bool:
    """Whether a value is an integer, of Python or of NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def python_number(value: T) -> T:
    """Give Python's integer for one of NumPy, and anything else as it is."""
    return cast("T", int(cast("int", value))) if is_integer(value) else value


def check_count(value: object, name: str, least: int) -> int:
    """Refuse what is no integer, or is below ``least``, or above what a machine can count; gives Python's integer."""
    if not is_integer(value):
        raise InputTypeError(f"{name}={value!r} is {describe_type(value)}; expected an integer")
    count = int(cast("int", value))
    if not least <= count <= sys.maxsize:
        bound = f">= {least}" if count < least else f"at most {sys.maxsize}"
        raise InputError(f"{name}={_shown(count)}: {name} must be {bound}")
    return count


def _shown(number: object) -> str:
    """Write a number; Python refuses to write integers of thousands of digits."""
    huge = isinstance(number, int) and number.bit_length() > 1024
    return "a number of over 300 digits" if huge else str(number)


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
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is {describe_type(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        number = float("inf")
    if not (least <= number <= most) or number in (float("inf"), float("-inf")):
        bounds = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise InputError(f"{name}={_shown(value)}: expected a number {bounds}")
    return number


def check_flag(value: object, name: str) -> bool:
    """Refuse what is no truth value, of Python or of NumPy: a string such as ``"false"`` would count as true."""
    flag = value if isinstance(value, bool) else plain(value)
    if not isinstance(flag, bool):
        raise InputTypeError(f"{name}={value!r} is a {type(value).__name__}; expected True or False")
    return flag


def describe_type(value: object) -> str:
    """``None``, or a type's name with its article."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

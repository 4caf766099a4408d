"""One call's arguments, checked: pairs of a query and a document, and how they are to be run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from onnxembed.api.inputs import check_count, check_text
from onnxembed.api.questions import check_query
from onnxembed.errors import InputError, InputTypeError
from onnxembed.rerank.spec import Activation

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """A call, checked; the model is not loaded yet.

    Attributes:
        pairs: The pairs, those of lists already checked.
        batch_size: Most pairs in a batch.
        parallel: Batches run at once; ``None`` for the engine's choice, 0 for one a usable processor.
        activation: What becomes of the raw scores.
    """

    pairs: Iterable[object]
    batch_size: int
    parallel: int | None
    activation: Activation


def check_call(pairs: Iterable[object], batch_size: int, parallel: int | None, activation: Activation) -> Call:
    """Check how pairs are to be run.

    Args:
        pairs: The pairs, checked as far as they are there already.
        batch_size: Most pairs in a batch.
        parallel: Batches run at once, or ``None``.
        activation: What becomes of the raw scores.

    Returns:
        The call.
    """
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)
    return Call(pairs, batch_size, parallel, activation)


def paired(query: str, documents: Iterable[object]) -> Iterable[object]:
    """Put a query beside every document.

    Args:
        query: The query.
        documents: The documents.

    Returns:
        The pairs; a list where the documents are one, so that it is known how many there are.
    """
    if isinstance(documents, Sequence):
        return [(query, document) for document in documents]
    return ((query, document) for document in documents)


def check_pair(item: object, index: int) -> Pair:
    """Refuse an item that is not a query and a document.

    Args:
        item: The item.
        index: Its position, for the message.

    Returns:
        The pair.

    Raises:
        InputTypeError: If it is no tuple or list, or does not hold strings.
        InputError: If it does not hold two, or the query is empty.
    """
    if not isinstance(item, tuple | list):
        raise InputTypeError(f"pair {index} is a {type(item).__name__}; expected a tuple (query, document)")
    if len(item) != 2:
        raise InputError(f"pair {index} holds {len(item)} items; expected two, (query, document)")
    query, document = item
    return check_query(query, f"the query of pair {index}"), check_text(document, index)


def check_pairs(pairs: object) -> Iterable[object]:
    """Accept one pair as a tuple of two strings, a collection of pairs, or an iterable of them.

    Args:
        pairs: The argument; lists and tuples are checked whole, other iterables as they are read.

    Returns:
        The pairs.

    Raises:
        InputTypeError: If it is a string or no iterable.
    """
    if isinstance(pairs, tuple) and pairs and all(isinstance(text, str) for text in pairs):
        return [check_pair(pairs, 0)]
    if isinstance(pairs, str | bytes | dict) or not isinstance(pairs, Iterable):
        raise InputTypeError(
            f"pairs is a {type(pairs).__name__}; expected an iterable of (query, document) tuples, or one of them"
        )
    if isinstance(pairs, Sequence):
        return [check_pair(pair, index) for index, pair in enumerate(pairs)]
    return pairs


def each_checked(pairs: Iterable[object]) -> Iterator[Pair]:
    """Check pairs as they are read.

    Args:
        pairs: The pairs.

    Yields:
        The pairs.
    """
    for index, pair in enumerate(pairs):
        yield check_pair(pair, index)

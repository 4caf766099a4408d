"""Pairs of a query and a document as callers give them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import count

from onnxembed.api.inputs import Checked, check_query, check_text
from onnxembed.errors import InputError, InputTypeError

Pair = tuple[str, str]


def check_pair(item: object, index: int) -> Pair:
    """Refuse an item that is not a tuple or list of a query and a document."""
    if not isinstance(item, tuple | list):
        raise InputTypeError(f"pair {index} is a {type(item).__name__}; expected a tuple (query, document)")
    if len(item) != 2:
        raise InputError(f"pair {index} holds {len(item)} items; expected two, (query, document)")
    query, document = item
    return check_query(query, f"the query of pair {index}"), check_text(document, index)


def check_pairs(pairs: object) -> Checked[Pair]:
    """Accept one pair as a tuple of two strings, a collection of pairs, or an iterable of them."""
    if isinstance(pairs, tuple) and pairs and all(isinstance(text, str) for text in pairs):
        return Checked((check_pair(pairs, 0),), empty=False)
    if isinstance(pairs, str | bytes | Mapping) or hasattr(pairs, "columns") or not isinstance(pairs, Iterable):
        raise InputTypeError(
            f"pairs is a {type(pairs).__name__}; expected an iterable of (query, document) tuples, or one of them"
        )
    checked = map(check_pair, pairs, count())
    items = tuple(checked) if isinstance(pairs, Sequence) else checked
    return Checked(items, empty=isinstance(pairs, Sized) and not len(pairs))

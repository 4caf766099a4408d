"""Names in error messages: the nearest valid one, and the first few of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def nearest(given: str, valid: Iterable[str], count: int = 3) -> str:
    """Offer the valid names nearest to a misspelled one.

    Args:
        given: What the caller wrote.
        valid: The names that would have been right.
        count: How many to offer at most.

    Returns:
        A sentence with a leading space, such as ``" Did you mean 'threads'?"``, or an empty string when nothing is
        near.
    """
    import difflib

    by_folded: dict[str, str] = {}
    for name in valid:
        by_folded.setdefault(name.lower(), name)
    close = difflib.get_close_matches(given.lower(), by_folded, n=count, cutoff=0.6)
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(by_folded[name]) for name in close)}?"


def listed(names: Sequence[str], most: int) -> str:
    """The first few names and the number of the others, or ``nothing``."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest or "nothing"

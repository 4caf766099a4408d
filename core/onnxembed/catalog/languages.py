"""The languages of a model, as its description in the catalogue begins: ``English, ...`` or ``101 languages, ...``."""

from __future__ import annotations

import re

MANY = "multilingual"
"""What stands for more languages than are named."""
_NAMED = ("Arabic", "Chinese", "English", "French", "German", "Italian", "Japanese", "Korean", "Portuguese", "Spanish")
NAMED = (*(name.lower() for name in _NAMED), MANY)
"""All that `languages` gives."""
_OF_MANY = re.compile(r"(?<!programming )\b(multilingual|languages)\b", re.IGNORECASE)
_PROGRAMMING = re.compile(r"\d+ programming languages")
_CLAUSE_END = re.compile(r"[,;:]")


def languages(description: str) -> tuple[str, ...]:
    """Read the languages from the first clause of a description.

    Args:
        description: One line of the catalogue.

    Returns:
        Their English names in lower case, or `MANY`; empty for models that read no text, or do not say.
    """
    clause = _CLAUSE_END.split(_PROGRAMMING.sub("", description), maxsplit=1)[0]
    if _OF_MANY.search(clause):
        return (MANY,)
    return tuple(name.lower() for name in _NAMED if re.search(rf"\b{name}\b", clause))

"""Values, annotations and signatures as text that is the same on every machine."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Mapping
from typing import Any

_EMPTY = inspect.Parameter.empty
_STARS: Mapping[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_MODULE = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")
_ADDRESS = re.compile(r"<(?:function|bound method|class)? ?'?([\w.<>]+?)'?(?: object)? at 0x[0-9a-fA-F]+>")


def value_text(value: Any) -> str:
    """A value as one would write it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type) or inspect.isroutine(value):
        return annotation_text(value) if isinstance(value, type) else str(value.__qualname__)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{value_text(key)}: {value_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(map(value_text, value))) + "}"
    if type(value) in {list, tuple}:
        first, last = "[]" if isinstance(value, list) else ("(", ",)" if len(value) == 1 else ")")
        return first + ", ".join(map(value_text, value)) + last
    if dataclasses.is_dataclass(value):
        fields = (f"{field.name}={value_text(getattr(value, field.name))}" for field in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(fields)})"
    return repr(value) if isinstance(value, str | int | float | bytes | None) else without_places(repr(value))


def without_places(text: str) -> str:
    """Take out addresses and modules: an object's place in memory, and a class's place among the files."""
    return _MODULE.sub("", without_addresses(text))


def without_addresses(text: str) -> str:
    """Name objects that have no text of their own by their class."""
    return _ADDRESS.sub(r"\1", text)


def annotation_text(annotation: Any) -> str:
    """An annotation as it is written, or a type by its name."""
    if isinstance(annotation, str):
        return " ".join(annotation.split())
    return without_places(inspect.formatannotation(annotation))


def signature_text(function: Any, *, bound: bool = False) -> str:
    """A signature: names, kinds, annotations, defaults.

    Args:
        function: Anything that can be called.
        bound: Whether the first parameter, the object or the class, is left out.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    returns = "" if signature.return_annotation is _EMPTY else f" -> {annotation_text(signature.return_annotation)}"
    return f"({', '.join(_with_marks(parameters))}){returns}"


def _with_marks(parameters: list[inspect.Parameter]) -> list[str]:
    made: list[str] = []
    starred = False
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            made.append("*")
            starred = True
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        made.append(_parameter(parameter))
        following = parameters[place + 1].kind if place + 1 < len(parameters) else None
        if parameter.kind is parameter.POSITIONAL_ONLY and following is not parameter.POSITIONAL_ONLY:
            made.append("/")
    return made


def _parameter(parameter: inspect.Parameter) -> str:
    text = _STARS.get(parameter.kind, "") + parameter.name
    if parameter.annotation is not _EMPTY:
        text += f": {annotation_text(parameter.annotation)}"
    if parameter.default is not _EMPTY:
        text += f" = {value_text(parameter.default)}"
    return text

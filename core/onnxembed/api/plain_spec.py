"""A model's description as plain data that JSON can hold, and back: its keys are the dataclasses' fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from onnxembed.spec import ModelSpec, Recipe

SpecT = TypeVar("SpecT", bound=ModelSpec)


def plain_spec(model: ModelSpec | Recipe) -> dict[str, Any]:
    """Give a description as plain data; fields that have their default are left out."""
    plain: dict[str, Any] = _plain(model)
    return plain


def read_spec(kind: type[SpecT], plain: Mapping[str, Any]) -> SpecT:
    """Make a description of plain data.

    Args:
        kind: Its class.
        plain: What `plain_spec` gave.

    Returns:
        An equal description.

    Raises:
        ValueError: If a field is missing, unknown, or of another type; it is named.
    """
    made: SpecT = _made(kind, plain, kind.__name__)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in fields(value)
            if field.default is MISSING or getattr(value, field.name) != field.default
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{value!r} of a description cannot be written as JSON")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where} is {plain!r}; expected an object")
    hints, known = _hints(kind), {field.name for field in fields(kind)}
    unknown = sorted(set(plain) - known)
    if unknown:
        raise ValueError(f"{where} has the unknown key {unknown[0]!r}")
    values = {name: _read(hints[name], value, f"{where}.{name}") for name, value in plain.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _read(hint: Any, value: Any, where: str) -> Any:
    """Read a value of an annotated type."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _first(get_args(hint), value, where)
    if origin is tuple and isinstance(value, list):
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_read(kinds[0], item, where) for item in value)
        if len(kinds) == len(value):
            return tuple(_read(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    elif isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    elif isinstance(hint, type) and is_dataclass(hint):
        return _made(hint, value, where)
    elif (hint is None or hint is NoneType) and value is None:
        return None
    elif hint is float and type(value) is int:
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError(f"{where} is {value!r}; expected {getattr(hint, '__name__', hint)}")


def _first(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Read a value as the first of several types that it can be."""
    failures = list[ValueError]()
    for kind in kinds:
        try:
            return _read(kind, value, where)
        except ValueError as error:
            failures.append(error)
    raise failures[-1]

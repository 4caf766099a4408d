"""A file of the catalogue as specifications: its keys are the fields of a dataclass, their types those of the fields.

It is read strictly, since a typo in a row must be an error, not a silent default: unknown and missing keys
are refused, and types are compared exactly, so that ``true`` is no whole number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from onnxembed.errors import InputError
from onnxembed.spec import ModelSource, ModelSpec

SpecT = TypeVar("SpecT", bound=ModelSpec)
_Convert = Callable[[Any, str, str], Any]

_TABLE = b"[[model]]\n"
_NAME = re.compile(rb'^name = "([^"\\\n]*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Key:
    """How the value of one key is read: its types in TOML, what is made of it, and whether it must be there."""

    types: tuple[type, ...]
    convert: _Convert | None = None
    required: bool = False


def stored_models(kind: type[SpecT], file_name: str) -> tuple[SpecT, ...]:
    """Read a file of this package."""
    return read_models(kind, _content(file_name), file_name)


def stored_model(kind: type[SpecT], file_name: str, folded: str) -> SpecT | None:
    """Read the row of a model alone, by its name without case; parsing a whole file takes some 5 ms.

    ``None`` where no row shows the name on a line of its own, which does not say that there is none.
    """
    for row in _content(file_name).split(_TABLE)[1:]:
        name = _NAME.search(row)
        if name is not None and name[1].decode("utf-8").casefold() == folded:
            (model,) = read_models(kind, _TABLE + row, file_name)
            return model
    return None


@cache
def _content(file_name: str) -> bytes:
    from pkgutil import get_data

    # get_data instead of importlib.resources: it works from zip files too and is imported in a tenth of the time.
    return get_data(__package__ or "", file_name) or b""


def read_models(kind: type[SpecT], content: bytes, file_name: str) -> tuple[SpecT, ...]:
    """Read the ``[[model]]`` tables of a TOML text in UTF-8; errors name the file, the row and the key."""
    import tomllib

    try:
        top = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"{file_name} is not valid TOML in UTF-8 ({error}); correct it") from error
    keys = {"model": _Key((list,), partial(_tables, kind))}
    models: tuple[SpecT, ...] = _values(top, keys, file_name).get("model", ())
    if not models:
        raise InputError(f"{file_name} holds no [[model]] table; the file is incomplete, install the package again")
    seen: dict[str, str] = {}
    for number, model in enumerate(models, start=1):
        for key, name in (("name", model.name), *(("aliases", alias) for alias in model.aliases)):
            if name.casefold() in seen:
                what = f"{seen[name.casefold()]!r} has it already, and case does not count; choose another"
                raise _refusal(f"{file_name}, row {number} ({model.name!r})", key, what)
            seen[name.casefold()] = name
    return models


def _values(table: Mapping[str, Any], keys: Mapping[str, _Key], where: str) -> dict[str, Any]:
    """The values of a table, converted; absent ones are left to the defaults."""
    values = {}
    for name, key in keys.items():
        if name in table:
            values[name] = _value(table[name], key, where, name)
        if key.required and key.types == (list,) and not values.get(name):
            raise _refusal(where, name, 'none given; add one such as { hf = "org/name" }')
        if key.required and name not in values:
            raise _refusal(where, name, f"missing; add {_either(key.types)}")
    for name in table:
        if name not in keys:
            raise _refusal(where, name, f"unknown; the known keys are {', '.join(sorted(keys))}")
    return values


def _value(value: object, key: _Key, where: str, name: str) -> Any:
    if type(value) not in key.types:
        raise _refusal(where, name, f"{value!r} is a {type(value).__name__}, expected {_either(key.types)}")
    if key.convert is not None:
        return key.convert(value, where, name)
    if key.required and isinstance(value, str) and not value.strip():
        raise _refusal(where, name, "empty; write something")
    return value


@cache
def _keys(kind: Any) -> Mapping[str, _Key]:
    """The keys of a dataclass; a field's metadata ``catalog`` is the type, or the choices, that a file has instead."""
    hints = get_type_hints(kind)
    stated: tuple[str, ...] = getattr(kind, "stated", ())
    return {
        field.name: _Key(
            *_form(field.metadata.get("catalog", hints[field.name])),
            required=field.name in stated or (field.default is MISSING and field.default_factory is MISSING),
        )
        for field in fields(kind)
    }


def _form(hint: Any) -> tuple[tuple[type, ...], _Convert | None]:
    """The TOML types of a field, and what is made of a value."""
    inner = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        parts = tuple(part for part in inner if part is not NoneType)
        return _form(parts[0]) if len(parts) == 1 else (parts, None)
    if get_origin(hint) is tuple and get_origin(inner[0]) is tuple:
        return (dict,), partial(_pairs, get_args(inner[0])[1])
    if get_origin(hint) is tuple:
        return (list,), partial(_tables if is_dataclass(inner[0]) else _items, inner[0])
    if isinstance(hint, tuple) or issubclass(hint, Enum):
        return (str,), partial(_choice, tuple(hint))
    return ((dict,), partial(_subtable, hint)) if is_dataclass(hint) else ((hint,), None)


def _choice(choices: tuple[Enum, ...], value: str, where: str, name: str) -> Enum:
    for choice in choices:
        if choice.value == value:
            return choice
    raise _refusal(where, name, f"{value!r} is none of {', '.join(choice.value for choice in choices)}")


def _items(kind: type, value: list[Any], where: str, name: str) -> tuple[Any, ...]:
    for item in value:
        if type(item) is not kind:
            raise _refusal(where, name, f"item {item!r} is a {type(item).__name__}, expected a {kind.__name__}")
    return tuple(value)


def _pairs(kind: type, value: dict[str, Any], where: str, name: str) -> tuple[tuple[str, Any], ...]:
    key = _Key((kind,))
    return tuple((free, _value(item, key, f"{where}, table {name!r}", free)) for free, item in value.items())


def _tables(kind: type[Any], value: list[Any], where: str, name: str) -> tuple[Any, ...]:
    """One instance per table; messages call a model by its row and name, a source by its number."""
    made = []
    for number, table in enumerate(_items(dict, value, where, name), start=1):
        place = f"row {number} ({table.get('name')!r})" if issubclass(kind, ModelSpec) else f"source {number}"
        made.append(_made(kind, table, f"{where}, {place}"))
    return tuple(made)


def _subtable(kind: Any, value: dict[str, Any], where: str, name: str) -> Any:
    return _made(kind, value, f"{where}, table {name!r}")


def _made(kind: Any, table: dict[str, Any], where: str) -> Any:
    values = _values(table, _keys(kind), where)
    try:
        made = kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if isinstance(made, ModelSpec | ModelSource):
        for name, what in made.faults():
            outer, _, key = name.rpartition(".")
            raise _refusal(f"{where}, table {outer!r}" if outer else where, key, what)
    return made


def _refusal(where: str, key: str, what: str) -> InputError:
    return InputError(f"{where}, key {key!r}: {what}")


def _either(types: tuple[type, ...]) -> str:
    return " or ".join(f"a {kind.__name__}" for kind in types)

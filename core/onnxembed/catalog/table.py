"""A TOML table read strictly: a slip of the pen in a row of the catalogue is an error, not a silent default."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from onnxembed.errors import InputError
from onnxembed.spec import ModelSource

_Kind = TypeVar("_Kind")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def read_rows(content: bytes, file_name: str) -> tuple[Table, ...]:
    """Read the ``[[model]]`` tables of a file.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The tables in the order of the file, at least one.

    Raises:
        InputError: The text is not TOML, or holds something else.
    """
    import tomllib

    try:
        top = Table(tomllib.loads(content.decode("utf-8")), file_name)
    except ValueError as error:
        raise InputError(f"{file_name} is not valid TOML in UTF-8 ({error}); correct it") from error
    rows = top.tables("model", "row", tell="name")
    top.close()
    if not rows:
        raise InputError(f"{file_name} holds no [[model]] table; the file is incomplete, install the package again")
    return rows


class Table:
    """A TOML table that knows where it stands and which of its keys were read.

    Every method but ``close`` marks its key as read, and refuses a value of another type with an ``InputError``.
    Types are compared exactly: ``true`` is no whole number here.

    Args:
        values: What TOML gave.
        where: The table's place in the file, for messages.
    """

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self.where = where
        self._values = values
        self._read: set[str] = set()

    def refusal(self, key: str, what: str) -> InputError:
        """Word the error that one key deserves."""
        return InputError(f"{self.where}, key {key!r}: {what}")

    def required(self, key: str, kind: type[_Kind]) -> _Kind:
        """Read a value that must be there."""
        value = self.optional(key, kind)
        if value is None:
            raise self.refusal(key, f"missing; add a {kind.__name__}")
        return value

    def optional(self, key: str, kind: type[_Kind]) -> _Kind | None:
        """Read a value, or ``None`` where the key is absent."""
        self._read.add(key)
        value = self._values.get(key)
        if value is None:
            return None
        if type(value) is not kind:
            raise self.refusal(key, f"{value!r} is a {type(value).__name__}, expected a {kind.__name__}")
        return value

    def filled(self, key: str) -> str:
        """Read a string that must be there and say something."""
        value = self.required(key, str)
        if not value.strip():
            raise self.refusal(key, "empty; write something")
        return value

    def many(self, key: str, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """Read a list, empty where the key is absent."""
        items = self.optional(key, list) or []
        for item in items:
            if type(item) is not kind:
                raise self.refusal(key, f"item {item!r} is a {type(item).__name__}, expected a {kind.__name__}")
        return tuple(items)

    def pairs(self, key: str, kind: type[_Kind]) -> tuple[tuple[str, _Kind], ...]:
        """Read a table whose keys are free, as pairs in the order of the file."""
        table = self.table(key)
        return () if table is None else tuple((name, table.required(name, kind)) for name in table._values)

    def table(self, key: str) -> Table | None:
        """Read a table within this one."""
        values: dict[str, Any] | None = self.optional(key, dict)
        return None if values is None else Table(values, f"{self.where}, table {key!r}")

    def tables(self, key: str, noun: str, tell: str = "") -> tuple[Table, ...]:
        """Read an array of tables; messages call them by noun and number, and by the value of the key ``tell``."""
        found: list[Table] = []
        values: dict[str, Any]
        for number, values in enumerate(self.many(key, dict), start=1):
            told = f" ({values.get(tell)!r})" if tell else ""
            found.append(Table(values, f"{self.where}, {noun} {number}{told}"))
        return tuple(found)

    def close(self) -> None:
        """Refuse a key that nobody read, for it is unknown."""
        for key in self._values:
            if key not in self._read:
                raise self.refusal(key, f"unknown; the known keys are {', '.join(sorted(self._read))}")


def read_sources(row: Table) -> tuple[ModelSource, ...]:
    """Read where a model's files are.

    Args:
        row: The model's table.

    Returns:
        The sources, at least one.
    """
    tables = row.tables("sources", "source")
    if not tables:
        raise row.refusal("sources", 'none given; add one such as { hf = "org/name" }')
    return tuple(_source(table) for table in tables)


def _source(table: Table) -> ModelSource:
    sha256 = table.pairs("sha256", str)
    for path, digest in sha256:
        if len(digest) != 64 or not set(digest) <= set(string.hexdigits.lower()):
            raise table.refusal("sha256", f"{digest!r} of {path!r} is no SHA-256; give 64 lower-case hex digits")
    fields = {key: table.optional(key, str) for key in ("hf", "url", "package", "package_folder")}
    table.close()
    try:
        return ModelSource(**fields, sha256=sha256)
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from error


def refuse_equal_names(models: Iterable[_Named], file_name: str) -> None:
    """Refuse a name that two rows have, case aside.

    Args:
        models: The models of a file.
        file_name: What messages call it.

    Raises:
        InputError: A name occurs twice.
    """
    seen: dict[str, str] = {}
    for number, model in enumerate(models, start=1):
        folded = model.name.casefold()
        if folded in seen:
            raise InputError(
                f"{file_name}, row {number} ({model.name!r}), key 'name': "
                f"{seen[folded]!r} has it already, and case does not count; choose another"
            )
        seen[folded] = model.name

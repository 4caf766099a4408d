"""Reading a file of the catalogue, strictly: a slip of the pen in a row is an error, not a silent default."""

from __future__ import annotations

import string
from typing import Any, TypeVar

from onnxembed.errors import InputError
from onnxembed.models.spec import DenseModel, Matryoshka, ModelSource, PoolingType, Prompts

_Kind = TypeVar("_Kind")


def read_dense_models(content: bytes, file_name: str) -> tuple[DenseModel, ...]:
    """Read the ``[[model]]`` tables of dense text models.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing, mistyped or contradictory value; the message
            names the row and the key.
    """
    import tomllib

    try:
        top = _Table(tomllib.loads(content.decode("utf-8")), file_name)
    except ValueError as error:
        raise InputError(f"{file_name} is not valid TOML in UTF-8 ({error}); correct it") from error
    rows = top.tables("model", "row", tell="name")
    top.close()
    if not rows:
        raise InputError(f"{file_name} holds no [[model]] table; the file is incomplete, install the package again")
    models = tuple(_dense_model(row) for row in rows)
    _refuse_equal_names(models, file_name)
    return models


class _Table:
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

    def table(self, key: str) -> _Table | None:
        """Read a table within this one."""
        values: dict[str, Any] | None = self.optional(key, dict)
        return None if values is None else _Table(values, f"{self.where}, table {key!r}")

    def tables(self, key: str, noun: str, tell: str = "") -> tuple[_Table, ...]:
        """Read an array of tables; messages call them by noun and number, and by the value of the key ``tell``."""
        found: list[_Table] = []
        values: dict[str, Any]
        for number, values in enumerate(self.many(key, dict), start=1):
            told = f" ({values.get(tell)!r})" if tell else ""
            found.append(_Table(values, f"{self.where}, {noun} {number}{told}"))
        return tuple(found)

    def close(self) -> None:
        """Refuse a key that nobody read, for it is unknown."""
        for key in self._values:
            if key not in self._read:
                raise self.refusal(key, f"unknown; the known keys are {', '.join(sorted(self._read))}")


def _dense_model(row: _Table) -> DenseModel:
    dim = row.required("dim", int)
    if dim < 1:
        raise row.refusal("dim", f"{dim} is no length of a vector; give 1 or more")
    model = DenseModel(
        name=row.filled("name"),
        sources=_sources(row),
        dim=dim,
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        pooling=_pooling(row),
        normalize=row.required("normalize", bool),
        output=_output(row),
        static=bool(row.optional("static", bool)),
        pad_to_max_length=bool(row.optional("pad_to_max_length", bool)),
        tasks=row.pairs("tasks", int),
        default_task=row.optional("default_task", int),
        query_task=row.optional("query_task", int),
        passage_task=row.optional("passage_task", int),
        prompts=_prompts(row),
        matryoshka=_matryoshka(row, dim),
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
        prompt_source=row.filled("prompt_source"),
    )
    row.close()
    _refuse_unknown_tasks(row, model)
    return model


def _sources(row: _Table) -> tuple[ModelSource, ...]:
    tables = row.tables("sources", "source")
    if not tables:
        raise row.refusal("sources", 'none given; add one such as { hf = "org/name" }')
    return tuple(_source(table) for table in tables)


def _source(table: _Table) -> ModelSource:
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


def _pooling(row: _Table) -> PoolingType:
    value = row.required("pooling", str)
    try:
        return PoolingType(value)
    except ValueError as error:
        raise row.refusal("pooling", f"{value!r} is none of {', '.join(kind.value for kind in PoolingType)}") from error


def _output(row: _Table) -> int | str:
    # The one key with two types: a position or a name.
    try:
        position = row.optional("output", int)
    except InputError:
        return row.required("output", str)
    return 0 if position is None else position


def _prompts(row: _Table) -> Prompts:
    table = row.table("prompts")
    if table is None:
        return Prompts()
    prompts = Prompts(query=table.optional("query", str) or "", passage=table.optional("passage", str) or "")
    table.close()
    return prompts


def _matryoshka(row: _Table, dim: int) -> Matryoshka | None:
    table = row.table("matryoshka")
    if table is None:
        return None
    dims = table.many("dims", int)
    if list(dims) != sorted(set(dims), reverse=True) or any(not 1 <= length <= dim for length in dims):
        raise table.refusal("dims", f"{list(dims)} must fall from at most {dim} to at least 1, each length once")
    matryoshka = Matryoshka(dims=dims, layer_norm=bool(table.optional("layer_norm", bool)))
    table.close()
    return matryoshka


def _refuse_unknown_tasks(row: _Table, model: DenseModel) -> None:
    known = {number for _, number in model.tasks}
    if len(known) != len(model.tasks):
        raise row.refusal("tasks", "two names have the same number; give each its own")
    for key in ("default_task", "query_task", "passage_task"):
        number = getattr(model, key)
        if (number is None) == bool(known) or (number is not None and number not in known):
            raise row.refusal(key, f"{number} is not among the tasks {sorted(known)}; give all three, or no tasks")


def _refuse_equal_names(models: tuple[DenseModel, ...], file_name: str) -> None:
    seen: dict[str, str] = {}
    for number, model in enumerate(models, start=1):
        folded = model.name.casefold()
        if folded in seen:
            raise InputError(
                f"{file_name}, row {number} ({model.name!r}), key 'name': "
                f"{seen[folded]!r} has it already, and case does not count; choose another"
            )
        seen[folded] = model.name

"""What a file of vectors says of itself: how it was made, and how many rows of the input it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from onnxembed.cli.vectors.columns import Column
from onnxembed.errors import InputError

FORMAT = 1
"""The version of these files; another one is refused."""


@dataclass(frozen=True, slots=True)
class Making:
    """What decides the vectors; a run with another one does not go on with these files.

    Attributes:
        model: The model, as it was named.
        kind: Its kind.
        fingerprint: The fingerprint of the model with its options.
        input_type: ``"document"`` or ``"query"``, or ``"none"`` for texts as they are.
        output_precision: In which numbers vectors are kept.
        ranges: With which ranges, (2, dim), as lists; ``None`` where none are needed.
        options: Options of the model that were given.
        field: The key of the text.
        id_field: The key of the id, or ``None`` for the row's number.
        text: Whether texts are kept.
    """

    model: str
    kind: str
    fingerprint: str
    input_type: str
    output_precision: str
    ranges: list[list[float]] | None
    options: Mapping[str, Any]
    field: str
    id_field: str | None
    text: bool

    def differences(self, other: Making) -> Iterator[str]:
        """Say in what another run differs; the name of a model with the same fingerprint is none."""
        for declared in fields(self):
            here, there = getattr(self, declared.name), getattr(other, declared.name)
            if here == there or declared.name == "model":
                continue
            name = declared.name.replace("_", " ")
            if declared.name == "fingerprint":
                yield f"model {here[:8]} ({self.model}), now {there[:8]} ({other.model})"
            elif declared.name == "ranges":
                yield "other ranges"
            else:
                yield f"{name} {here!r}, now {there!r}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the input.

    Attributes:
        read: Rows before it, those passed over included.
        skipped: Those passed over.
        digest: SHA-256, in hexadecimal digits, of the rows before it.
    """

    read: int
    skipped: int
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """How far the files are.

    Attributes:
        making: How they are made.
        columns: Their columns; empty before the first row.
        rows: Rows that they hold.
        read: Rows of the input that were used for that, those passed over included.
        skipped: Those passed over.
        digest: SHA-256, in hexadecimal digits, of the rows of the input that were read.
        id_type: ``"int"`` or ``"str"``.
    """

    making: Making
    columns: tuple[Column, ...] = ()
    rows: int = 0
    read: int = 0
    skipped: int = 0
    digest: str = ""
    id_type: str = "int"

    def at(self, position: Position, rows: int) -> Record:
        """Give the record at another place of the input."""
        read, skipped, digest = position.read, position.skipped, position.digest
        return Record(self.making, self.columns, rows, read, skipped, digest, self.id_type)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {"onnxembed": FORMAT, **asdict(self)}

    @classmethod
    def of(cls, data: Any, where: str) -> Record:
        """Read `as_dict`; an `InputError` that begins with ``where`` if it is something else."""
        if not isinstance(data, dict) or data.get("onnxembed") != FORMAT:
            raise InputError(f"{where} was not written by this version of `onnxembed embed`; make it again")
        try:
            making = Making(**data["making"])
            columns = tuple(Column(**column) for column in data["columns"])
            rest = {name: data[name] for name in ("rows", "read", "skipped", "digest", "id_type")}
            return cls(making, columns, **rest)
        except (KeyError, TypeError) as error:
            raise InputError(f"{where} is damaged: {error}") from None

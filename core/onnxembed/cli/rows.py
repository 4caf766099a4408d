"""Rows of a file or of standard input: each a text with its id, or the reason why it has none."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from onnxembed.api.inputs import describe_type
from onnxembed.errors import InputError, MissingExtraError
from onnxembed.suggest import nearest

STDIN = "-"
SKIPPED = 3
"""The exit status of a command that has passed rows over."""
TEXT, JSON_LINES, PARQUET = "text", "jsonl", "parquet"
FORMS = (TEXT, JSON_LINES, PARQUET)
_FORM_OF = {
    "": TEXT,
    ".txt": TEXT,
    ".text": TEXT,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".parquet": PARQUET,
    ".pq": PARQUET,
}
_BATCH = 1024
_LEAST_ID, _MOST_ID = -(1 << 63), (1 << 63) - 1
_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be used.

    Attributes:
        number: Its line, or its row in a Parquet file, counted from 1.
        id: What the file calls it; the number where no key was named.
        text: Its text.
    """

    number: int
    id: int | str
    text: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        number: Its line or row, counted from 1.
        reason: What is wrong, with the file and the number.
    """

    number: int
    reason: str


def stopped(reason: str) -> InputError:
    """Make the error of a row that cannot be used, where such rows are not passed over."""
    return InputError(f"{reason}{'' if reason.endswith(('.', '?')) else '.'} --on-error skip passes such rows over")


def add_rows(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the file, how it is read, and what happens to bad rows."""
    group = parser.add_argument_group("the rows")
    group.add_argument("file", nargs="?", default=STDIN, metavar="FILE", help=f"{what}; - for standard input")
    group.add_argument("--input-format", choices=FORMS, help="how it is read, where the name's ending does not say")
    group.add_argument("--field", default="text", metavar="KEY", help="the key, or the column, of the text")
    group.add_argument("--id", dest="id_field", metavar="KEY", help="that of the id; the row's number by default")
    group.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="what a row that cannot be used does: stop there, or pass it over, which ends with status 3",
    )


def rows_of(arguments: argparse.Namespace) -> Source:
    """Read `add_rows`; an `InputError` if the file is not there or its form is not known."""
    path = None if arguments.file == STDIN else Path(arguments.file)
    form = arguments.input_format or (TEXT if path is None else _FORM_OF.get(path.suffix.lower()))
    if path is not None and not path.is_file():
        raise InputError(f"{path} is no file; pass a file of rows, or - for standard input")
    if form is None:
        raise InputError(f"{path}: the ending does not say how the file is read; pass --input-format, {_listed()}")
    if form == TEXT and arguments.id_field is not None:
        raise InputError(f"--id {arguments.id_field}: lines of text have no keys; pass --input-format jsonl or parquet")
    if form == PARQUET and path is None:
        raise InputError("Parquet cannot be read from standard input, since its index is at its end; pass a file")
    return Source(path, form, arguments.field, arguments.id_field)


def _listed() -> str:
    return ", ".join(FORMS)


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        path: The file, or ``None`` for standard input.
        form: ``"text"``, ``"jsonl"`` or ``"parquet"``.
        field: The key of the text.
        id_field: The key of the id, or ``None``.
    """

    path: Path | None
    form: str
    field: str
    id_field: str | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard input" if self.path is None else str(self.path)

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows from the beginning, in bounded memory; ids of all rows have the type of the first."""
        return _with_ids_of_one_type(self._parquet() if self.form == PARQUET else self._lines(), self.name)

    def count(self) -> int | None:
        """How many rows there are, at most; ``None`` for standard input."""
        if self.path is None:
            return None
        if self.form == PARQUET:
            with _parquet_file(self.path) as file:
                return int(file.metadata.num_rows)
        lines, last = 0, b"\n"
        with self.path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                lines, last = lines + block.count(b"\n"), block
        return lines + (not last.endswith(b"\n"))

    def _lines(self) -> Iterator[Row | BadRow]:
        read = self._text if self.form == TEXT else self._json
        with _binary(self.path) as stream:
            for number, line in enumerate(stream, 1):
                content = line.removeprefix(_BOM) if number == 1 else line
                where = f"{self.name}, line {number}"
                try:
                    text = content.rstrip(b"\r\n").decode("utf-8")
                except UnicodeDecodeError as error:
                    yield BadRow(number, f"{where} is no UTF-8: {error.reason} at byte {error.start}")
                    continue
                row = read(text, number, where)
                if row is not None:
                    yield row

    def _text(self, line: str, number: int, where: str) -> Row:  # noqa: ARG002  # as _json
        return Row(number, number, line)

    def _json(self, line: str, number: int, where: str) -> Row | BadRow | None:
        """Read a line of JSON; an empty one is no row."""
        if not line.strip():
            return None
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            return BadRow(number, f"{where} is no JSON: {error}")
        if isinstance(value, str) and self.id_field is None:
            return _row(number, number, value, where)
        if not isinstance(value, dict):
            return BadRow(number, f"{where}: expected an object{' or a string' if self.id_field is None else ''}")
        missing = [key for key in (self.field, self.id_field) if key is not None and key not in value]
        if missing:
            hint = nearest(missing[0], value)
            return BadRow(number, f"{where} has no {missing[0]!r}; --field and --id name the keys.{hint}")
        found = number if self.id_field is None else value[self.id_field]
        return _row(number, found, value[self.field], where)

    def _parquet(self) -> Iterator[Row | BadRow]:
        path = Path(self.name)
        with _parquet_file(path) as file:
            wanted = [self.field] if self.id_field is None else [self.field, self.id_field]
            there = file.schema_arrow.names
            for column in wanted:
                if column not in there:
                    raise InputError(
                        f"{path} has no column {column!r}, but {', '.join(map(repr, there))}.{nearest(column, there)}"
                    )
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(dict.fromkeys(wanted))):
                texts = batch.column(self.field).to_pylist()
                ids = None if self.id_field is None else batch.column(self.id_field).to_pylist()
                for place, text in enumerate(texts):
                    number += 1
                    yield _row(number, number if ids is None else ids[place], text, f"{path}, row {number}")


def _row(number: int, found: Any, text: Any, where: str) -> Row | BadRow:
    """Check what was read."""
    if not isinstance(text, str):
        return BadRow(number, f"{where}: the text is {describe_type(text)}; expected a string")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return BadRow(number, f"{where} holds the lone surrogate {text[error.start]!a}, which is no character")
    if isinstance(found, bool) or not isinstance(found, int | str):
        return BadRow(number, f"{where}: the id is {describe_type(found)}; expected a string or an integer")
    if isinstance(found, int) and not _LEAST_ID <= found <= _MOST_ID:
        return BadRow(number, f"{where}: the id is outside the integers of 64 bits")
    if isinstance(found, str) and not found.isascii() and any("\ud800" <= letter <= "\udfff" for letter in found):
        return BadRow(number, f"{where}: the id holds a lone surrogate, which is no character")
    return Row(number, found, text)


def _with_ids_of_one_type(rows: Iterable[Row | BadRow], name: str) -> Iterator[Row | BadRow]:
    first = ""
    for row in rows:
        if isinstance(row, Row):
            kind = describe_type(row.id)
            first = first or kind
            if kind != first:
                told = f"the id is {kind}, that of the first row {first}; ids of one file are of one type"
                yield BadRow(row.number, f"{name}, row {row.number}: {told}")
                continue
        yield row


@contextmanager
def _binary(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        if sys.stdin is None:
            raise InputError("standard input is closed; pass a file")
        yield sys.stdin.buffer
        return
    with path.open("rb") as stream:
        yield stream


def import_parquet(why: str) -> Any:
    """Import pyarrow's reader and writer of Parquet; ``why`` begins the error where it is missing."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{why} needs pyarrow: pip install pyarrow, or the extra 'onnxembed[parquet]'"
        ) from error
    return pyarrow.parquet


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    """Open a Parquet file, with pyarrow's errors brought into our tree."""
    module = import_parquet(f"{path}: Parquet")
    from pyarrow import ArrowException

    try:
        with module.ParquetFile(path) as file:
            yield file
    except ArrowException as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None

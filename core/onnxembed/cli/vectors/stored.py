"""A finished file of vectors, read back in blocks, and the ids and texts of single rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onnxembed.cli.rows import import_parquet
from onnxembed.cli.vectors.columns import Array, Column
from onnxembed.cli.vectors.outputs import METADATA, array_file, ids_file, offsets_file, record_file
from onnxembed.cli.vectors.record import Record
from onnxembed.errors import InputError

BLOCK_ROWS = 8192
"""Most rows that are read at once."""
_BLOCK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """A column of some rows.

    Attributes:
        numbers: (entries, width), or (entries,) for single numbers.
        offsets: (rows + 1,) int64, where the entries of each row begin and end; ``None`` where a row has one.
    """

    numbers: Array
    offsets: Array | None

    def __len__(self) -> int:
        return len(self.numbers) if self.offsets is None else len(self.offsets) - 1


class Stored(Protocol):
    """A file of vectors."""

    @property
    def record(self) -> Record:
        """What it says of itself."""
        ...

    def blocks(self, columns: Sequence[Column]) -> Iterator[Mapping[str, Entries]]:
        """Read columns, in bounded memory and in order."""
        ...

    def told(self, positions: Sequence[int]) -> dict[int, list[Any]]:
        """Read the id, and the text where it is kept, of rows by their positions, counted from 0."""
        ...


def read_record(path: Path) -> Record | None:
    """Read what a file says of itself.

    Args:
        path: The file; of arrays the name that was given to `embed`.

    Returns:
        The record, or ``None`` if there is no file.

    Raises:
        InputError: If there is a file that is not one of `embed`, or not finished.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_record(path) if path.exists() else None
    beside = record_file(path)
    try:
        return Record.of(json.loads(beside.read_text("utf-8")), str(beside))
    except FileNotFoundError:
        if not path.exists():
            return None
        raise InputError(f"{path} has no {beside.name} beside it, so it is no finished file of `embed`") from None
    except ValueError as error:
        raise InputError(f"{beside} is damaged: {error}") from None


def _parquet_record(path: Path) -> Record:
    with _parquet(path) as file:
        data = (file.schema_arrow.metadata or {}).get(METADATA)
    if data is None:
        raise InputError(f"{path} does not say how its vectors were made; pass a file that `onnxembed embed` has made")
    return Record.of(json.loads(data), str(path))


def stored(path: Path) -> Stored:
    """Open a file of vectors; an `InputError` if it is none."""
    suffix = path.suffix.lower()
    if suffix not in (".parquet", *_FORMS):
        raise InputError(f"{path}: expected .parquet, .npy or .jsonl, as `onnxembed embed` makes them")
    record = read_record(path)
    if record is None:
        raise InputError(f"{path} is not there; make it with `onnxembed embed`")
    found: Stored = _StoredParquet(path, record) if suffix == ".parquet" else _FORMS[suffix](path, record)
    return _Checked(found, path)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of whatever a damaged file raises that it is damaged; there are as many errors as ways to be damaged."""
    try:
        yield
    except InputError:
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}, or what lies beside it, is damaged: {why}; embed it again with --restart")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file of vectors whose content is compared with what its record says."""

    inner: Stored
    path: Path

    @property
    def record(self) -> Record:
        return self.inner.record

    def blocks(self, columns: Sequence[Column]) -> Iterator[Mapping[str, Entries]]:
        rows, blocks = 0, self.inner.blocks(columns)
        while True:
            with _whole(self.path):
                block = next(blocks, None)
            if block is None:
                break
            lengths = {self._rows(column, block[column.name]) for column in columns}
            if len(lengths) != 1:
                raise _damaged(self.path, "its columns have different numbers of rows")
            rows += lengths.pop()
            yield block
        if rows != self.record.rows:
            raise _damaged(self.path, f"it has {rows} rows, expected {self.record.rows}")

    def _rows(self, column: Column, entries: Entries) -> int:
        """Compare a column with its declaration; gives its rows."""
        shape, offsets = entries.numbers.shape, entries.offsets
        if shape[1:] != ((column.width,) if column.width else ()) or entries.numbers.dtype != column.dtype:
            raise _damaged(
                self.path,
                f"{column.name!r} has {entries.numbers.dtype} of the shape {shape}, expected {column.dtype}"
                f"{f' with {column.width} numbers' if column.width else ''}",
            )
        if offsets is not None and ((np.diff(offsets) < 0).any() or offsets[-1] != len(entries.numbers)):
            raise _damaged(self.path, f"the places of {column.name!r} are not those of its entries")
        return len(entries)

    def told(self, positions: Sequence[int]) -> dict[int, list[Any]]:
        with _whole(self.path):
            found = self.inner.told(positions)
        for position in positions:
            if not found.get(position):
                raise _damaged(self.path, f"row {position + 1} has no id")
        return found


def _parquet(path: Path) -> Any:
    module = import_parquet(f"{path}: Parquet")
    from pyarrow import ArrowException

    try:
        return module.ParquetFile(path)
    except ArrowException as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None


def _rows_of_block(size: int, rows: int) -> int:
    return max(1, min(BLOCK_ROWS, _BLOCK_BYTES * rows // max(1, size)))


@dataclass(frozen=True, slots=True)
class _StoredArrays:
    """NumPy's arrays, of which only what is needed is read."""

    path: Path
    record: Record

    def blocks(self, columns: Sequence[Column]) -> Iterator[Mapping[str, Entries]]:
        numbers = {column.name: self._mapped(array_file(self.path, column.name)) for column in columns}
        offsets = {
            column.lengths_of: self._mapped(offsets_file(self.path, column.lengths_of))
            for column in columns
            if column.lengths_of
        }
        for column in columns:
            there = numbers[column.name] if not column.lengths_of else offsets[column.lengths_of][1:]
            if len(there) != self.record.rows:
                raise _damaged(self.path, f"{column.name!r} has {len(there)} rows, expected {self.record.rows}")
        step = _rows_of_block(sum(array.nbytes for array in numbers.values()), self.record.rows)
        for start in range(0, self.record.rows, step):
            stop = min(start + step, self.record.rows)
            yield {
                column.name: _cut(numbers[column.name], offsets.get(column.lengths_of), start, stop)
                for column in columns
            }

    def _mapped(self, path: Path) -> Array:
        try:
            array: Array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(path, str(error)) from None
        return array

    def told(self, positions: Sequence[int]) -> dict[int, list[Any]]:
        return _told_of_lines(ids_file(self.path), positions)


def _cut(numbers: Array, offsets: Array | None, start: int, stop: int) -> Entries:
    if offsets is None:
        return Entries(numbers[start:stop], None)
    places = np.asarray(offsets[start : stop + 1])
    return Entries(numbers[places[0] : places[-1]], places - places[0])


def _told_of_lines(path: Path, positions: Sequence[int]) -> dict[int, list[Any]]:
    """Read lines of JSON by their positions."""
    wanted, found = set(positions), dict[int, list[Any]]()
    with path.open("rb") as stream:
        for position, line in enumerate(islice(stream, max(wanted, default=-1) + 1)):
            if position in wanted:
                row = json.loads(line)
                found[position] = [row[key] for key in ("id", "text") if key in row]
    return found


@dataclass(frozen=True, slots=True)
class _StoredLines:
    """JSON on each line."""

    path: Path
    record: Record

    def blocks(self, columns: Sequence[Column]) -> Iterator[Mapping[str, Entries]]:
        with self.path.open("rb") as stream:
            while rows := [json.loads(line) for line in islice(stream, min(BLOCK_ROWS, 256))]:
                yield {column.name: _of_lists(column, [row[column.name] for row in rows]) for column in columns}

    def told(self, positions: Sequence[int]) -> dict[int, list[Any]]:
        return _told_of_lines(self.path, positions)


def _of_lists(column: Column, lists: list[Any]) -> Entries:
    if not column.lengths_of:
        return Entries(np.asarray(lists, column.dtype).reshape(len(lists), column.width), None)
    offsets = np.concatenate([[0], np.cumsum([len(entries) for entries in lists])]).astype(np.int64)
    return Entries(column.shaped(np.asarray([one for entries in lists for one in entries], column.dtype)), offsets)


@dataclass(frozen=True, slots=True)
class _StoredParquet:
    """A Parquet file."""

    path: Path
    record: Record

    def blocks(self, columns: Sequence[Column]) -> Iterator[Mapping[str, Entries]]:
        with _parquet(self.path) as file:
            for batch in file.iter_batches(
                batch_size=min(BLOCK_ROWS, 1024), columns=[column.name for column in columns]
            ):
                yield {column.name: _of_arrow(column, batch.column(column.name)) for column in columns}

    def told(self, positions: Sequence[int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        wanted = sorted(set(positions))
        with _parquet(self.path) as file:
            names = ["id", "text"] if self.record.making.text else ["id"]
            first = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                here = [position for position in wanted if first <= position < first + rows]
                if here:
                    table = file.read_row_group(group, columns=names)
                    found |= {place: [table.column(name)[place - first].as_py() for name in names] for place in here}
                first += rows
        return found


def _of_arrow(column: Column, array: Any) -> Entries:
    offsets: Array | None = None
    if column.lengths_of:
        offsets = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        offsets = offsets - offsets[0]
        array = array.flatten()
    if column.width:
        array = array.flatten()
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return Entries(column.shaped(numbers), offsets)


_FORMS: Mapping[str, type[_StoredArrays | _StoredLines]] = {".npy": _StoredArrays, ".jsonl": _StoredLines}

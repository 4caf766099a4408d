"""Rows that are being written: files that only grow, and a journal that says how far they may be trusted.

A row counts when the journal, which is replaced in one step, says so. What a process that was ended wrote after that is
cut off when the next one goes on. So a row is in the files once, in order, whenever the process dies.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from onnxembed.cli.rows import Row
from onnxembed.cli.vectors.columns import Layout
from onnxembed.cli.vectors.record import Making, Position, Record
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from filelock import FileLock

ROWS = "rows.jsonl"
"""One ``[id, text]`` on each line; ``[id]`` where texts are not kept."""
_JOURNAL = "journal.json"
_LOCK = "lock"


def column_file(name: str) -> str:
    """The file of a column's numbers."""
    return f"{name}.numbers"


def lengths_file(name: str) -> str:
    """The file of int64 numbers of entries for each row."""
    return f"{name}.lengths"


class Log:
    """The folder beside the output in which rows are collected. One process at a time holds it.

    Args:
        folder: The folder; made when it is not there.
        making: How the vectors are made.
        layout: What becomes of a result.
        anew: Whether what it holds is dropped.

    Raises:
        InputError: If another process is at work on it, or what it holds was made otherwise.
    """

    def __init__(self, folder: Path, making: Making, layout: Layout, *, anew: bool = False) -> None:
        self.folder = folder
        self._layout = layout
        self._files: dict[str, IO[bytes]] = {}
        self.record = Record(making)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            if anew or journal(folder) is None:
                remove(folder)
            lengths = self._resume(making)
            self._open(lengths)
        except BaseException:
            self.close()
            raise

    def _resume(self, making: Making) -> dict[str, int]:
        """Read the journal; gives the sizes to which the files are cut."""
        begun = journal(self.folder)
        if begun is None:
            return {ROWS: 0}
        self.record, lengths = begun
        found = "; ".join(self.record.making.differences(making))
        if found:
            raise InputError(
                f"{self.folder} holds {self.record.rows} rows that were made otherwise: {found}. Run it as before, or "
                "pass --restart to begin again"
            )
        for name, length in lengths.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size < length:
                raise InputError(f"{path} is shorter than the journal says; pass --restart to begin again")
        return lengths

    def _open(self, lengths: Mapping[str, int]) -> None:
        for name, length in lengths.items():
            if name not in self._files:
                stream = self._files[name] = (self.folder / name).open("ab")
                stream.truncate(length)
        self._sizes = dict(lengths)

    def append(self, row: Row, result: Any, position: Position) -> None:
        """Write a row; it counts after the next `commit`.

        Args:
            row: The row.
            result: What the model gave.
            position: Where in the input that is.
        """
        arrays = self._layout.arrays(result)
        record = self.record
        if not record.columns:
            columns = self._layout.columns(arrays)
            record = replace(record, columns=columns, id_type=type(row.id).__name__)
            names = [column_file(column.name) for column in columns]
            names += [lengths_file(column.name) for column in columns if column.counts]
            self._open(self._sizes | dict.fromkeys(names, 0))
        told = [row.id, row.text] if record.making.text else [row.id]
        written = {ROWS: (json.dumps(told, ensure_ascii=False) + "\n").encode()}
        for column in record.columns:
            array = arrays[column.name]
            if array.dtype != column.dtype or (column.width and array.shape[-1] != column.width):
                raise InputError(
                    f"row {row.number} has {array.dtype} of the shape {array.shape}, the rows before it "
                    f"{column.dtype} with {column.width} numbers; the model's output is not uniform"
                )
            written[column_file(column.name)] = np.ascontiguousarray(array).tobytes()
            if column.counts:
                written[lengths_file(column.name)] = np.int64(len(array)).tobytes()
        sizes = dict(self._sizes)
        for name, content in written.items():
            self._files[name].write(content)
            sizes[name] += len(content)
        # Together, so that an interrupt before leaves a row that does not count.
        self._sizes, self.record = sizes, record.at(position, record.rows + 1)

    def settle(self, position: Position) -> None:
        """Note that the rows up to a position are done, of which the last were passed over."""
        self.record = self.record.at(position, self.record.rows)

    def commit(self) -> None:
        """Make all rows count that were appended."""
        for stream in self._files.values():
            stream.flush()
            os.fsync(stream.fileno())
        write_whole(self.folder / _JOURNAL, json.dumps({"record": self.record.as_dict(), "sizes": self._sizes}))

    def close(self) -> None:
        """Let another process have the folder."""
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        for stream in self._files.values():
            with suppress(OSError):  # nothing that counts is unwritten
                stream.close()

    def remove(self) -> None:
        """Remove the folder."""
        self._close_files()
        remove(self.folder)
        self.close()
        _remove_empty(self.folder)


def journal(folder: Path) -> tuple[Record, dict[str, int]] | None:
    """Read what a folder holds, and the sizes of its files; ``None`` where it has no rows."""
    path = folder / _JOURNAL
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}; pass --restart to begin again") from None
    if not isinstance(content, dict) or not isinstance(content.get("sizes"), dict):
        raise InputError(f"{path} is damaged; pass --restart to begin again")
    record = Record.of(content.get("record"), str(path))
    sizes: dict[str, int] = content["sizes"]
    return (record, sizes) if record.rows else None


def remove(folder: Path) -> None:
    """Remove what a folder holds but the lock; without the journal it holds nothing, so that goes first."""
    (folder / _JOURNAL).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a run has left that was ended while it removed its folder."""
    if folder.is_dir():
        lock = _locked(folder)
        try:
            remove(folder)
        finally:
            lock.release()
        _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / _LOCK).unlink()
        folder.rmdir()


def write_whole(path: Path, content: str) -> None:
    """Write a small file that is there either as it was or as it is to be."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as stream:
        stream.write(content.encode())
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the system keep the names of a folder, where it can be asked to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _locked(folder: Path) -> FileLock:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"another process is at work on {folder}; wait for it, or end it") from None
    return lock

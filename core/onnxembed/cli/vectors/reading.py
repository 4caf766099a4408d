"""The rows of a run: handed to the model, found again when their results come, counted and hashed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from onnxembed.cli.rows import BadRow, Row, Source, stopped
from onnxembed.cli.vectors.record import Position, Record
from onnxembed.errors import InputError

_TOLD = 10
"""Reasons that are kept; of further rows only the number is."""


class Reader:
    """Reads a source once.

    Args:
        source: The source.
        skips: Whether bad rows are passed over; otherwise the first one ends the reading.
        pictures: Whether rows name files, whose size and time then count as part of the row.
    """

    def __init__(self, source: Source, *, skips: bool, pictures: bool) -> None:
        self._source, self._skips, self._pictures = source, skips, pictures
        self._rows = source.rows()
        self._pending: deque[Row | BadRow] = deque()
        self._hash = sha256()
        self.read = 0
        self.skipped = 0
        self.reasons: list[str] = []
        self.failure: InputError | None = None

    @property
    def position(self) -> Position:
        """How far the rows are done."""
        return Position(self.read, self.skipped, self._hash.hexdigest())

    def pass_over(self, record: Record, where: str) -> None:
        """Read the rows that are done already; an `InputError` if they are no longer the same.

        Args:
            record: What is known of them.
            where: What holds them, for the message.
        """
        for _ in range(record.read):
            row = next(self._rows, None)
            if row is None:
                break
            self._count(row)
        digest = self._hash.hexdigest()
        if (self.read, digest) != (record.read, record.digest or digest):
            raise InputError(
                f"{self._source.name} has changed: its first {record.read} rows are not those that {where} was made "
                "of; pass --restart to begin again"
            )
        self.skipped = record.skipped

    def more(self) -> bool:
        """Whether there are further rows."""
        return next(self._rows, None) is not None

    def texts(self) -> Iterator[str]:
        """Hand out the texts of the following rows; ends before a bad row that is not passed over, see `failure`."""
        for row in self._rows:
            if isinstance(row, BadRow) and not self._skips:
                self.failure = stopped(row.reason)
                return
            self._pending.append(row)
            if isinstance(row, Row):
                yield row.text

    def done(self) -> Row:
        """Give the row that the next result belongs to, and count it and the bad ones before it."""
        while True:
            row = self._next()
            if row is not None:
                return row

    def finish(self) -> None:
        """Count the bad rows after the last result."""
        while self._pending:
            self._next()

    def _next(self) -> Row | None:
        """Count the next row; ``None`` for a bad one."""
        row = self._pending.popleft()
        self._count(row)
        if isinstance(row, Row):
            return row
        self.skip(row.reason)
        return None

    def skip(self, reason: str) -> None:
        """Count a row as passed over."""
        self.skipped += 1
        if len(self.reasons) < _TOLD:
            self.reasons.append(reason)

    def where(self, row: Row) -> str:
        """Name a row."""
        return f"{self._source.name}, row {row.number}"

    def _count(self, row: Row | BadRow) -> None:
        told: list[object] = [row.number]
        told += [row.reason] if isinstance(row, BadRow) else [row.id, row.text]
        if self._pictures and isinstance(row, Row):
            told += _state(row.text)
        self._hash.update(json.dumps(told).encode())
        self.read += 1


def _state(name: str) -> list[int]:
    """The size and the time of a file."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns]

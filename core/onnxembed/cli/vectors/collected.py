"""What a log holds, read back in blocks to be written into the output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxembed.cli.vectors.columns import Array, Column
from onnxembed.cli.vectors.log import ROWS, column_file, lengths_file
from onnxembed.cli.vectors.record import Record

_BLOCK_ROWS = 1024
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows in a row.

    Attributes:
        told: For each row its id and, where texts are kept, its text.
        numbers: For each column its entries, (entries, width) or (entries,).
        lengths: For each column that counts, the entries of each row, (rows,) int64.
    """

    told: list[list[Any]]
    numbers: Mapping[str, Array]
    lengths: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.told)


def blocks(folder: Path, record: Record) -> Iterator[Block]:
    """Read the rows that count, in order and in bounded memory."""
    with ExitStack() as stack:

        def opened(name: str) -> IO[bytes]:
            return stack.enter_context((folder / name).open("rb"))

        lines = opened(ROWS)
        counted = {column.name: opened(lengths_file(column.name)) for column in record.columns if column.counts}
        streams = {column.name: opened(column_file(column.name)) for column in record.columns}
        size = sum((folder / column_file(column.name)).stat().st_size for column in record.columns)
        most = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES * record.rows // max(1, size)))
        left = record.rows
        while left:
            rows = min(left, most)
            left -= rows
            told = [json.loads(line) for line in islice(lines, rows)]
            lengths = {name: np.frombuffer(stream.read(8 * rows), np.int64) for name, stream in counted.items()}
            numbers = {
                column.name: _read(streams[column.name], column, _entries(column, lengths, rows))
                for column in record.columns
            }
            yield Block(told, numbers, lengths)


def _entries(column: Column, lengths: Mapping[str, Array], rows: int) -> int:
    return int(lengths[column.lengths_of].sum()) if column.lengths_of else rows


def _read(stream: IO[bytes], column: Column, entries: int) -> Array:
    return column.shaped(np.frombuffer(stream.read(column.entry_bytes * entries), column.dtype))


def of_row(block: Block, columns: tuple[Column, ...]) -> Iterator[dict[str, Array]]:
    """Give the arrays of each row of a block."""
    ends = {name: lengths.cumsum() for name, lengths in block.lengths.items()}
    for row in range(len(block)):
        yield {column.name: _of_row(block.numbers[column.name], row, ends.get(column.lengths_of)) for column in columns}


def _of_row(numbers: Array, row: int, ends: Array | None) -> Array:
    if ends is None:
        one: Array = numbers[row]
        return one
    return numbers[(ends[row - 1] if row else 0) : ends[row]]

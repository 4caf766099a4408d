"""The forms of the output: Parquet, NumPy's arrays, and JSON on each line.

Each is written whole into a folder of its own and then moved to its place, the record of how it was made last: a file
without its record is not finished, and a Parquet file carries its record inside.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxembed.cli.rows import import_parquet
from onnxembed.cli.vectors.collected import Block, blocks, of_row
from onnxembed.cli.vectors.columns import Array, Column, Layout
from onnxembed.cli.vectors.log import column_file, lengths_file, sync_folder, write_whole
from onnxembed.cli.vectors.record import Record
from onnxembed.errors import InputError

METADATA = b"onnxembed"
"""The key of the record in a Parquet file."""
_PLAIN = ("vector", "vectors")
"""Columns whose array has the name of the output itself."""
_GROUP_BYTES = 8 << 20
_COPIED = 1 << 20
# Digits after which numbers come back as they were.
_DIGITS = {"float16": "%.5g", "float32": "%.9g", "float64": "%.17g"}


def record_file(output: Path) -> Path:
    """The file with the record of an output that cannot carry it."""
    return output.with_name(f"{output.name}.record.json")


def ids_file(output: Path) -> Path:
    """The ids and texts beside arrays."""
    return output.with_name(f"{output.stem}.ids.jsonl")


def array_file(output: Path, column: str) -> Path:
    """The array of a column."""
    return output if column in _PLAIN else output.with_name(f"{output.stem}.{column}.npy")


def offsets_file(output: Path, column: str) -> Path:
    """Where the entries of each row begin and end in the array of a column: (rows + 1,) int64."""
    return output.with_name(f"{output.stem}.{column}.offsets.npy")


def beside(output: Path, layout: Layout) -> Iterator[Path]:
    """The files that are made beside an output of a layout."""
    yield record_file(output)
    if output.suffix.lower() == ".npy":
        yield ids_file(output)
        for column, counted in layout.lengths_of.items():
            yield array_file(output, column)
            if counted:
                yield offsets_file(output, counted)


def write_output(folder: Path, record: Record, output: Path) -> None:
    """Make the output of a log that is complete.

    Args:
        folder: The log's.
        record: The log's.
        output: The file to make, whose ending says in which form; what is there is replaced.
    """
    made = folder / "output"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    writer_of(output)(folder, record, made / output.name)
    record_path = record_file(output)
    record_path.unlink(missing_ok=True)
    for path in sorted(made.iterdir()):
        if path.name != record_path.name:
            path.replace(output.parent / path.name)
    if (made / record_path.name).exists():
        (made / record_path.name).replace(record_path)
    sync_folder(output.parent)


Writer = Callable[[Path, Record, Path], None]


def writer_of(output: Path) -> Writer:
    """Choose how an output is written by its ending; an `InputError` for another one."""
    if output.suffix.lower() not in WRITERS:
        raise InputError(f"{output}: the ending does not say the form; expected {', '.join(WRITERS)}")
    return WRITERS[output.suffix.lower()]


def json_line(told: list[Any], arrays: dict[str, Array]) -> str:
    """Write a row as a line of JSON."""
    parts = [f'"id": {json.dumps(told[0], ensure_ascii=False)}']
    parts += [f'"text": {json.dumps(text, ensure_ascii=False)}' for text in told[1:]]
    parts += [f'"{name}": {_numbers(array)}' for name, array in arrays.items()]
    return f"{{{', '.join(parts)}}}\n"


def _numbers(array: Array) -> str:
    if array.ndim > 1:
        return f"[{', '.join(map(_numbers, array))}]"
    form = _DIGITS.get(array.dtype.name, "%d")
    return f"[{', '.join(map(form.__mod__, array.tolist()))}]"


def _write_json_lines(folder: Path, record: Record, output: Path) -> None:
    with output.open("w", encoding="utf-8", newline="\n") as stream:
        for block in blocks(folder, record):
            for told, arrays in zip(block.told, of_row(block, record.columns), strict=True):
                stream.write(json_line(told, arrays))
    write_whole(record_file(output), json.dumps(record.as_dict()))


def _write_arrays(folder: Path, record: Record, output: Path) -> None:
    for column in record.columns:
        path = folder / column_file(column.name)
        entries = path.stat().st_size // column.entry_bytes
        with array_file(output, column.name).open("wb") as stream:
            _header(stream, column.dtype, (entries, column.width) if column.width else (entries,))
            with path.open("rb") as numbers:
                shutil.copyfileobj(numbers, stream, _COPIED)
        if column.counts:
            _write_offsets(folder / lengths_file(column.name), record.rows, offsets_file(output, column.name))
    with ids_file(output).open("w", encoding="utf-8", newline="\n") as stream_of_ids:
        for block in blocks(folder, replace(record, columns=())):
            stream_of_ids.writelines(json_line(told, {}) for told in block.told)
    write_whole(record_file(output), json.dumps(record.as_dict()))


def _write_offsets(lengths: Path, rows: int, output: Path) -> None:
    with output.open("wb") as stream, lengths.open("rb") as counted:
        _header(stream, "int64", (rows + 1,))
        total = np.zeros(1, np.int64)
        stream.write(total.tobytes())
        while block := counted.read(_COPIED):
            ends = total[-1:] + np.frombuffer(block, np.int64).cumsum()
            stream.write(ends.tobytes())
            total = ends


def _header(stream: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)


def _write_parquet(folder: Path, record: Record, output: Path) -> None:
    parquet = import_parquet(f"{output.name}: Parquet")
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field("id", pa.int64() if record.id_type == "int" else pa.string()),
            *([pa.field("text", pa.string())] if record.making.text else []),
            *(pa.field(column.name, _arrow_type(column)) for column in record.columns),
        ],
        metadata={METADATA: json.dumps(record.as_dict())},
    )
    with parquet.ParquetWriter(output, schema, compression="zstd") as writer:
        for group in _groups(blocks(folder, record)):
            tables = [_table(block, record.columns, schema) for block in group]
            writer.write_table(pa.concat_tables(tables), row_group_size=sum(map(len, group)))


def _groups(found: Iterator[Block]) -> Iterator[list[Block]]:
    """Collect blocks into groups of rows of bounded size."""
    group: list[Block] = []
    size = 0
    for block in found:
        group.append(block)
        size += sum(numbers.nbytes for numbers in block.numbers.values()) + sum(
            len(str(told[-1])) for told in block.told
        )
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _arrow_type(column: Column) -> Any:
    import pyarrow as pa

    entry = pa.from_numpy_dtype(np.dtype(column.dtype))
    entry = pa.list_(entry, column.width) if column.width else entry
    return pa.list_(entry) if column.lengths_of else entry


def _table(block: Block, columns: tuple[Column, ...], schema: Any) -> Any:
    import pyarrow as pa

    arrays = [pa.array(list(values), field.type) for values, field in zip(zip(*block.told, strict=True), schema)]  # noqa: B905  # columns follow
    for column in columns:
        numbers = block.numbers[column.name]
        entries = pa.array(numbers.reshape(-1))
        if column.width:
            entries = pa.FixedSizeListArray.from_arrays(entries, column.width)
        if column.lengths_of:
            ends = np.concatenate([np.zeros(1, np.int64), block.lengths[column.lengths_of].cumsum()])
            entries = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), entries)
        arrays.append(entries)
    return pa.Table.from_arrays(arrays, schema=schema)


WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".npy": _write_arrays, ".jsonl": _write_json_lines}
"""The forms, by the ending of the output's name."""

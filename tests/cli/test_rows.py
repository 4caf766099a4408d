"""The rows of a file: every form, the numbers, the ids, and what is wrong with bad ones."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnxembed.cli.rows import BadRow, Row, Source, add_rows, rows_of
from onnxembed.errors import InputError, MissingExtraError


def source(*words: str) -> Source:
    parser = argparse.ArgumentParser()
    add_rows(parser, "rows")
    return rows_of(parser.parse_args(words))


def rows(*words: str) -> list[Row | BadRow]:
    return list(source(*words).rows())


def reasons(*words: str) -> list[tuple[int, str]]:
    return [(row.number, row.reason.partition(": ")[2]) for row in rows(*words) if isinstance(row, BadRow)]


def test_lines_of_text(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\n\n  caf\xc3\xa9\x0bthree\xe2\x80\xa8\nlast")
    assert rows(str(file)) == [
        Row(1, 1, "one"),
        Row(2, 2, ""),
        Row(3, 3, "  café\x0bthree\u2028"),
        Row(4, 4, "last"),
    ]
    assert source(str(file)).count() == 4
    file.write_bytes(b"one\n\xff\n")
    assert rows(str(file)) == [
        Row(1, 1, "one"),
        BadRow(2, f"{file}, line 2 is no UTF-8: invalid start byte at byte 0"),
    ]
    assert source(str(file)).count() == 2


def test_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('"one"\n\n{"text": "two", "id": "b"}\n{"id": "c", "text": ""}\n', "utf-8")
    assert rows(str(file)) == [Row(1, 1, "one"), Row(3, 3, "two"), Row(4, 4, "")]
    assert rows(str(file), "--id", "id") == [
        BadRow(1, f"{file}, line 1: expected an object"),
        Row(3, "b", "two"),
        Row(4, "c", ""),
    ]


def test_bad_lines_of_json(tmp_path: Path) -> None:
    file = tmp_path / "texts.ndjson"
    lines = [
        "{",
        "3",
        '{"txt": "a", "key": 1}',
        '{"text": null, "key": 1}',
        '{"text": "\\ud800", "key": 1}',
        '{"text": "a", "key": 1.5}',
        '{"text": "a", "key": true}',
        '{"text": "a", "key": 9223372036854775808}',
        '{"text": "a", "key": 4}',
        '{"text": "a", "key": "4"}',
        '{"text": "a", "key": "\\udfff"}',
    ]
    file.write_text("\n".join(lines), "utf-8")
    assert reasons(str(file), "--id", "key") == [
        (1, "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (2, "expected an object"),
        (3, ""),
        (4, "the text is None; expected a string"),
        (5, ""),
        (6, "the id is a float; expected a string or an integer"),
        (7, "the id is a bool; expected a string or an integer"),
        (8, "the id is outside the integers of 64 bits"),
        (10, "the id is a str, that of the first row an int; ids of one file are of one type"),
        (11, "the id holds a lone surrogate, which is no character"),
    ]
    third, fifth = (row for row in rows(str(file), "--id", "key") if row.number in (3, 5))
    assert isinstance(third, BadRow)
    assert third.reason == f"{file}, line 3 has no 'text'; --field and --id name the keys. Did you mean 'txt'?"
    assert isinstance(fifth, BadRow)
    assert fifth.reason == rf"{file}, line 5 holds the lone surrogate '\ud800', which is no character"


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"body": ["one", None, "three"], "key": ["a", "b", "c"]}), file)
    assert rows(str(file), "--field", "body", "--id", "key") == [
        Row(1, "a", "one"),
        BadRow(2, f"{file}, row 2: the text is None; expected a string"),
        Row(3, "c", "three"),
    ]
    assert source(str(file)).count() == 3
    with pytest.raises(InputError, match="has no column 'text', but 'body', 'key'"):
        rows(str(file))
    file.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        rows(str(file))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "texts.parquet"
    file.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install pyarrow, or the extra 'onnxembed\[parquet\]'"):
        rows(str(file))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert rows() == [Row(1, 1, "one"), Row(2, 2, "two")]
    assert source().count() is None


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("nowhere.txt", [], "is no file"),
        ("texts.csv", [], "the ending does not say how the file is read; pass --input-format, text, jsonl, parquet"),
        ("texts.txt", ["--id", "key"], "--id key: lines of text have no keys"),
        ("-", ["--input-format", "parquet"], "Parquet cannot be read from standard input"),
    ],
)
def test_refused(name: str, words: list[str], said: str, tmp_path: Path) -> None:
    if not name.startswith(("-", "nowhere")):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=said):
        source(name if name == "-" else str(tmp_path / name), *words)

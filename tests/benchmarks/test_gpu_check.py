"""The check for machines with a GPU, on the processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import Check, Row

SAMPLE = ["hello world", "a", "", "the quick brown fox " * 8]


@pytest.mark.parametrize("look", [gpu_check.recovery, gpu_check.fork, gpu_check.concurrency])
def test_rows_hold_on_the_processor(look: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_check, "_FULL", 100)
    check = Check(dry=True, texts=4)
    look(check, SAMPLE)
    assert [row for row in check.rows if row.passed is False] == []
    assert any(row.passed for row in check.rows)
    assert len(capsys.readouterr().out.splitlines()) == len(check.rows)


def test_a_row_that_fails_does_not_end_the_others() -> None:
    check = Check(dry=True, texts=4)
    check.attempt("division", "a number", lambda: (1 / 0, True))
    assert check.rows == [Row("division", "ZeroDivisionError: division by zero", "a number", passed=False)]


@pytest.mark.full
def test_the_whole_script_on_the_processor(tmp_path: Path) -> None:
    gpu_check.main(["--dry", "--texts", "8", "--rounds", "1", "--out", str(tmp_path / "out.json")])
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["card"] == "none: a dry run"
    assert result["dry"]
    assert [row["name"] for row in result["rows"] if row["passed"] is False] == []
    names = {row["name"] for row in result["rows"]}
    assert {"fp32 against the processor", "one text, ms", "peak memory, MiB", "recovery from a lack of memory"} <= names

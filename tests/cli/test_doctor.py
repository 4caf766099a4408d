"""`onnxembed doctor`: what was found, as lines and as JSON; the exit status says whether there are problems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed.cli.main import main


def test_a_machine_that_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--cache-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        *("packages", "runtime", "device", "processor", "cache", "network")
    ]
    assert any(line.split()[:2] == ["folder", str(tmp_path)] for line in lines)


def test_a_problem_and_what_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--cache-dir", str(tmp_path / "file")]) == 1
    shown = capsys.readouterr()
    assert f"{tmp_path / 'file'} is no folder" in shown.out
    assert "mend: export ONNXEMBED_CACHE=" in shown.out
    assert shown.err == "onnxembed doctor: 1 problem; the commands above mend them\n"
    assert main(["doctor", "--cache-dir", str(tmp_path / "file"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == 1
    assert {"area", "name", "value", "problem", "mend", "note"} == set(found["findings"][0])

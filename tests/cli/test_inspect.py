"""`onnxembed inspect`: what a model is, as lines and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed.cli.main import main
from tests.fixtures.hub_shapes import javascript_set, weights


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["inspect", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights(tmp_path)
    shown = lines(capsys, str(tmp_path))
    assert shown[0] == f"{tmp_path} (folder)"
    words = {line.split()[0]: line.split(maxsplit=1)[1] for line in shown if line.startswith("  ") and ":" not in line}
    assert words["kind"] == "dense (TextEmbedding)"
    assert words["limit"] == "48 tokens"
    assert words["made"].split() == ["from", "weights"]
    assert "files (0 bytes to fetch)" in shown
    assert '  modules.json: 1.type = "Pooling (1_Pooling)"  -> stages' in shown
    assert "  config.json: hidden_size = 32" in shown


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    javascript_set(tmp_path)
    found = json.loads("\n".join(lines(capsys, str(tmp_path), "--json", "--variant", "q4")))
    assert (found["kind"], found["variant"], found["made_from"]) == ("dense", "q4", "graph")
    assert {"name", "size", "here"} == set(found["files"][0])
    assert {"file", "key", "value", "decides"} == set(found["facts"][0])


def test_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "someone/nothing", "--offline"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("onnxembed inspect: no model is named 'someone/nothing'.")

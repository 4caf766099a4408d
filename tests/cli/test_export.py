"""`onnxembed export`: a folder that opens the model, as lines and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed import TextEmbedding
from onnxembed.cli.main import main
from tests.fixtures.small_models import write_bert_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_bert_folder(tmp_path / "model")
    return tmp_path / "model"


def test_lines(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "exported"
    assert main(["export", str(source), str(target)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].startswith(f"{target}: 6 files, ")
    assert shown.out.splitlines()[1] == f'open it with TextEmbedding("{target}")'
    assert shown.err.startswith(f"exporting {source} ...")
    assert TextEmbedding(target).fingerprint == TextEmbedding(source).fingerprint


def test_a_precision_that_a_folder_does_not_hold_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bert_folder(tmp_path / "model", hidden=256, layers=1)
    eight, rows = str(tmp_path / "int8"), tmp_path / "rows.txt"
    rows.write_text("hello world\n")
    assert main(["export", str(tmp_path / "model"), eight, "--precision", "int8"]) == 0
    for words in (("embed", eight, str(rows)), ("export", eight, str(tmp_path / "again"))):
        assert main([*words, "--precision", "fp32"]) == 1
        assert f"--precision fp32: {eight} was exported with --precision int8" in capsys.readouterr().err
        assert main([*words, "--revision", "v1"]) == 1
        assert f"--revision v1: {eight} is a folder" in capsys.readouterr().err
    assert main(["embed", eight, str(rows)]) == 0
    assert TextEmbedding(eight).precision == "int8"


def test_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(source), str(tmp_path / "exported"), "--json", "--offline"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model_class"], found["precision"]) == ("TextEmbedding", "fp32")
    assert found["fingerprint"] == TextEmbedding(source).fingerprint
    assert found["bytes"] == sum(file["bytes"] for file in found["files"].values())
    assert set(found["files"]) >= {"ready/model.onnx", "tokenizer.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Qdrant/bm25", "{new}"), "needs no files"),
        (("{model}", "{model}"), "is not empty"),
        (("{model}", "{file}"), "is a file; name a folder"),
        (("{model}", "{new}", "--variant", "q4"), "q4"),
        (("{absent}", "{new}"), "does not exist"),
    ],
)
def test_errors_are_one_line(
    words: tuple[str, ...], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    places = {name: tmp_path / name for name in ("model", "new", "file", "absent")}
    assert main(["export", *(word.format(**places) for word in words), "--offline"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err.splitlines()[-1]
    assert not (tmp_path / "new").exists()

"""`onnxembed rerank`: rows by their scores, as a table and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from onnxembed import LateInteractionTextEmbedding, TextCrossEncoder
from onnxembed.cli.main import main
from tests.fixtures.model_rows import ROWS, read_row, write_row
from tests.fixtures.text_models import small_cross_encoder, small_model

TEXTS = ["a text", "another text", "words of the world", "hello"]
QUERY = "hello world"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"n": 10 + n, "text": text}) + "\n" for n, text in enumerate(TEXTS)), "utf-8")
    return file


def test_json(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = TextCrossEncoder(small_cross_encoder()).rank(QUERY, TEXTS)
    assert main(["rerank", small_cross_encoder(), "--query", QUERY, str(lines), "--id", "n", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["query"]) == (small_cross_encoder(), QUERY)
    assert found["results"] == [
        {"rank": rank, "score": pytest.approx(one.score), "id": 10 + one.index, "text": one.document}
        for rank, one in enumerate(expected, 1)
    ]


def test_table_of_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(TEXTS).encode())))
    assert main(["rerank", small_cross_encoder(), "--query", QUERY, "-", "--top-k", "2"]) == 0
    first, second = TextCrossEncoder(small_cross_encoder()).rank(QUERY, TEXTS, 2)
    shown = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        ["rank", "score", "id", "text"],
        ["1", f"{first.score:.4f}", str(first.index + 1), first.document],
        ["2", f"{second.score:.4f}", str(second.index + 1), second.document],
    ]


def test_late_interaction(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path / "model"))
    words = ["rerank", folder, "--kind", "late_interaction", "--query", QUERY, str(lines), "--json"]
    assert main(words) == 0
    expected = LateInteractionTextEmbedding(folder).rank(QUERY, TEXTS)
    found = json.loads(capsys.readouterr().out)["results"]
    assert [(row["text"], row["score"]) for row in found] == [
        (one.document, pytest.approx(one.score, abs=1e-4)) for one in expected
    ]


def test_bad_rows(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lines.open("a", encoding="utf-8") as stream:
        stream.write("{\n")
    words = ["rerank", small_cross_encoder(), "--query", QUERY, str(lines)]
    assert main(words) == 1
    assert f"{lines}, line 5 is no JSON" in capsys.readouterr().err
    assert main([*words, "--on-error", "skip"]) == 3
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 5
    assert shown.err.startswith(f"onnxembed rerank: passed over: {lines}, line 5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([small_model], "is a dense model, which ranks nothing; pass a reranker"),
        ([small_cross_encoder, "--top-k", "0"], "--top-k 0: --top-k must be >= 1"),
        ([small_cross_encoder, "--max-length", "0"], "--max-length 0: expected at least 1 token"),
    ],
)
def test_refused(words: list[Any], said: str, lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, *others = words
    assert main(["rerank", made(), "--query", QUERY, str(lines), *others]) == 1
    shown = capsys.readouterr()
    assert (shown.out, said in shown.err) == ("", True)

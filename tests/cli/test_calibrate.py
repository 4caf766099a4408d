"""`onnxembed calibrate`: the table, JSON, the plot, the texts, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from onnxembed.api.output_precision import OUTPUT_PRECISIONS
from onnxembed.cli.calibrate import spread, texts_of
from onnxembed.cli.main import main
from onnxembed.errors import InputError
from onnxembed.text.calibration import precisions
from tests.fixtures.text_models import small_model

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"text {number} of words {number * 7 % 11}\n\n" for number in range(60)), "utf-8")
    return file


def test_json_and_plot(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "plot.svg"
    words = [str(small_model()), str(texts), "--threads", "1", "--overlap", "0.7", "--json", "--plot", str(plot)]
    assert main(["calibrate", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    refused = [precision for precision, _ in found["refused"]]  # the model is smaller than what is worth other numbers
    assert (found["texts"], "fp32" in refused) == (60, False)
    pairs = [(row["precision"], row["output_precision"]) for row in found["rows"]]
    assert pairs == [(one, other) for one in precisions() if one not in refused for other in OUTPUT_PRECISIONS]
    first, half, steps, _, signs, packed = found["rows"][:6]
    assert first["cosine_least"] == pytest.approx(1, abs=1e-6)
    assert first["overlap"] == 1
    assert half["bytes_per_vector"] * 2 == steps["bytes_per_vector"] * 4 == first["bytes_per_vector"]
    assert packed["bytes_per_vector"] * 32 == first["bytes_per_vector"]
    assert steps["cosine_least"] > 0.999 > signs["cosine_mean"] > 0.6
    assert steps["overlap_rescored"] is None
    assert packed["overlap"] <= packed["overlap_rescored"] <= 1
    assert packed["overlap"] == signs["overlap"]
    assert first["texts_per_second"] > 0
    assert found["recommended"]["precision"] in precisions()
    drawn = ElementTree.fromstring(plot.read_text("utf-8"))  # our own file
    assert len(drawn.findall(f"{SVG}circle")) == len(found["rows"])
    assert "fp32 ubinary" in {text.text for text in drawn.findall(f"{SVG}text")}


def test_table(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(small_model()), str(texts), "--threads", "1", "--limit", "30"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{small_model()}, 30 texts"
    heads = ["precision", "output", "cosine", "least", "top 10", "rescored", "texts/s", "MB", "bytes"]
    assert re.split(r"\s{2,}", shown[1].strip()) == heads
    assert shown[2].split()[:5] == ["fp32", "float32", "1.0000", "1.0000", "1.000"]
    assert shown[-2].startswith('recommended: precision="')
    assert " bytes a vector instead of 128" in shown[-1]


def test_texts_of_files(tmp_path: Path) -> None:
    lines = tmp_path / "texts.txt"
    lines.write_text('one\n\n {"text": "two"}\n', "utf-8")
    assert texts_of(lines, "text") == ["one", ' {"text": "two"}']
    objects = tmp_path / "texts.jsonl"
    objects.write_text('"one"\n{"body": "two", "text": 3}\n', "utf-8")
    assert texts_of(objects, "body") == ["one", "two"]
    with pytest.raises(InputError, match="line 2: expected a string, or an object with a string under 'text'"):
        texts_of(objects, "text")
    objects.write_text("one\n", "utf-8")
    with pytest.raises(InputError, match="line 1 is no JSON"):
        texts_of(objects, "text")
    lines.write_bytes("\ufeffone\u2028line\r\ntwo\x85\x0c\n".encode())
    assert texts_of(lines, "text") == ["one\u2028line", "two\x85\x0c"]
    objects.write_bytes('\ufeff"one\u2028line"\r\n{"text": "two"}\n'.encode())
    assert texts_of(objects, "text") == ["one\u2028line", "two"]
    lines.write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        texts_of(lines, "text")


def test_texts_are_spread() -> None:
    texts = [str(number) for number in range(10)]
    assert spread(texts, 4) == ["0", "2", "5", "7"]
    assert spread(texts, 99) == texts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "0"], "--limit 0: expected 1 or more"),
        (["--limit", "19"], "19 texts were given; pass 20 or more"),
        (["--overlap", "1.5"], "--overlap 1.5: expected a share"),
        (["--plot", "/nowhere/at/all.svg"], "--plot /nowhere/at/all.svg cannot be written"),
    ],
)
def test_errors_are_one_line(words: list[str], said: str, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(small_model()), str(texts), "--threads", "1", *words]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith(f"onnxembed calibrate: {said}")


def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path, tmp_path / "none" / "plot.svg"):
        assert main(["calibrate", "no model", str(tmp_path / "no file"), "--plot", str(place)]) == 1
        assert f"--plot {place} cannot be written" in capsys.readouterr().err


def test_another_kind_is_refused(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "Qdrant/bm25", str(texts)]) == 1
    assert "Qdrant/bm25" in capsys.readouterr().err

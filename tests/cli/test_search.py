"""`onnxembed search`: the best rows of every form and kind, and files that do not go with the model."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionTextEmbedding,
    M3Embedding,
    SparseIndex,
    SparseTextEmbedding,
    TextEmbedding,
    maxsim_top_k,
    quantization_ranges,
    quantize_embeddings,
)
from onnxembed.api.quantization import Output
from onnxembed.cli.main import main
from onnxembed.cli.vectors import stored
from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.images import levels
from tests.fixtures.model_rows import ROWS, read_row, write_row
from tests.fixtures.text_models import small_clip, small_model

FORMS = ("parquet", "npy", "jsonl")
TEXTS = [f"the {one} text of {two} words" for one in ("first", "red", "long", "other") for two in range(20)]
QUESTIONS = ("the red text of 7 words", "something else")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files read in several blocks."""
    monkeypatch.setattr(stored, "BLOCK_ROWS", 13)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS), "utf-8")
    return file


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path_factory.mktemp("m3") / "model"))


def embedded(output: Path, *words: object) -> Path:
    assert main(["embed", *map(str, words), "-o", str(output), "--quiet"]) == 0
    return output


def search(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["search", *map(str, words), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def ids(found: list[dict[str, Any]]) -> list[list[int]]:
    return [[row["id"] for row in one["results"]] for one in found]


def scores(found: list[dict[str, Any]]) -> Any:
    return np.array([[row["score"] for row in one["results"]] for one in found])


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("form", FORMS)
def test_dense(form: str, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = TextEmbedding(small_model())
    documents, questions = model.embed_to_array(TEXTS), np.stack(list(model.query_embed(QUESTIONS)))
    file = embedded(tmp_path / f"out.{form}", small_model(), lines)
    found = search(capsys, file, *QUESTIONS, "--top-k", 5)
    assert [one["question"] for one in found] == list(QUESTIONS)
    expected = unit(questions) @ unit(documents).T
    best = np.argsort(-expected, axis=1, kind="stable")[:, :5]
    assert ids(found) == (best + 1).tolist()
    assert np.abs(scores(found) - np.take_along_axis(expected, best, axis=1)).max() < 1e-5
    assert [row["text"] for row in found[0]["results"]] == [TEXTS[place] for place in best[0]]
    assert [row["rank"] for row in found[0]["results"]] == [1, 2, 3, 4, 5]
    dots = questions @ documents.T
    best = np.argsort(-dots, axis=1, kind="stable")[:, :5]
    assert ids(search(capsys, file, *QUESTIONS, "--top-k", 5, "--similarity", "dot")) == (best + 1).tolist()


@pytest.mark.parametrize("precision", ["float16", "uint8", "binary"])
def test_encoded_vectors(precision: Any, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = TextEmbedding(small_model())
    documents, questions = model.embed_to_array(TEXTS), np.stack(list(model.query_embed(QUESTIONS)))
    ranges, words = None, []
    if precision == "uint8":
        ranges = quantization_ranges(documents)
        np.save(tmp_path / "ranges.npy", ranges)
        words = ["--ranges", tmp_path / "ranges.npy"]
    file = embedded(tmp_path / "out.npy", small_model(), lines, "--output-precision", precision, *words)
    decoded = Output.read(precision, ranges).decode(quantize_embeddings(documents, precision, ranges), 32)
    expected = unit(questions) @ unit(decoded.astype(np.float32)).T
    best = np.argsort(-expected, axis=1, kind="stable")[:, :3]
    found = search(capsys, file, *QUESTIONS, "--top-k", 3)
    assert np.abs(scores(found) - np.take_along_axis(expected, best, axis=1)).max() < 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_sparse(form: str, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = SparseTextEmbedding("Qdrant/bm25")
    index = SparseIndex(model.embed(TEXTS))
    file = embedded(tmp_path / f"out.{form}", "Qdrant/bm25", lines)
    found = search(capsys, file, *QUESTIONS, "--top-k", 4)
    for question, one in zip(QUESTIONS, found, strict=True):
        (query,) = model.query_embed(question)
        places, expected = index.search(query, 4, idf=True)
        assert [row["id"] - 1 for row in one["results"]] == places
        assert [row["score"] for row in one["results"]] == pytest.approx(expected)
    assert found[1]["results"] == []


@pytest.mark.parametrize("form", FORMS)
def test_late_interaction(
    form: str, three: str, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = LateInteractionTextEmbedding(three)
    file = embedded(tmp_path / f"out.{form}", three, lines, "--kind", "late_interaction")
    found = search(capsys, file, *QUESTIONS, "--top-k", 4)
    documents = list(model.passage_embed(TEXTS))
    for question, one in zip(model.query_embed(QUESTIONS), found, strict=True):
        places, expected = maxsim_top_k(question, documents, 4)
        assert [row["id"] - 1 for row in one["results"]] == places.tolist()
        assert [row["score"] for row in one["results"]] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("way", ["dense", "sparse", "colbert"])
def test_each_result_of_three(
    way: str, three: str, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = embedded(tmp_path / "out.parquet", three, lines, "--kind", "m3")
    documents = list(M3Embedding(three).embed(TEXTS))
    (question,) = M3Embedding(three).embed(QUESTIONS[0])
    if way == "dense":
        expected = [float(question.dense @ one.dense) for one in documents]
    elif way == "sparse":
        places, found_scores = SparseIndex(one.sparse for one in documents).search(question.sparse, len(TEXTS))
        expected = [0.0] * len(TEXTS)
        for place, score in zip(places, found_scores, strict=True):
            expected[place] = score
    else:
        expected = [float((question.colbert @ one.colbert.T).max(axis=1).sum()) for one in documents]
    (found,) = search(capsys, file, QUESTIONS[0], "--by", way, "--top-k", 6)
    best = np.argsort(-np.array(expected), kind="stable")[:6]
    assert [row["score"] for row in found["results"]] == pytest.approx([expected[place] for place in best], abs=1e-4)


def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(levels(40, 30, seed=number)).save(path)
    text, image = small_clip()
    (tmp_path / "pictures.txt").write_text("\n".join(paths), "utf-8")
    file = embedded(tmp_path / "out.npy", image, tmp_path / "pictures.txt")
    assert ids(search(capsys, file, paths[2], "--top-k", 1)) == [[3]]
    pictures = unit(np.stack(list(ImageEmbedding(image).embed(paths))))
    expected = unit(TextEmbedding(text).embed_to_array("a red fox")) @ pictures.T
    found = search(capsys, file, "a red fox", "--text-model", text)
    assert scores(found)[0] == pytest.approx(np.sort(expected[0])[::-1], abs=1e-5)


def test_table(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = embedded(tmp_path / "out.npy", "Qdrant/bm25", lines)
    capsys.readouterr()
    model = SparseTextEmbedding("Qdrant/bm25")
    (query,) = model.query_embed("red 7")
    _, (best, second) = SparseIndex(model.embed(TEXTS)).search(query, 2, idf=True)
    assert main(["search", str(file), "red 7", "--top-k", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rank   score  id  text",
        f"   1  {best:.4f}  28  the red text of 7 words",
        f"   2  {second:.4f}  68  the other text of 7 words",
    ]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red 7\n\nlong\n"), "utf-8"))
    assert main(["search", str(file), "-", "--top-k", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert (shown[0], shown[3:5]) == ("red 7", ["", "long"])


def test_a_model_in_a_folder_is_found_from_elsewhere(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_variant(tmp_path / "own", variant("custom_cls"))
    monkeypatch.chdir(tmp_path)
    file = embedded(tmp_path / "out.npy", "own", lines)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ids(search(capsys, file, TEXTS[3], "--top-k", 1)) == [[4]]


def test_no_text_is_kept(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = embedded(tmp_path / "out.parquet", "Qdrant/bm25", lines, "--no-text")
    (found,) = search(capsys, file, "red", "--top-k", 1)
    assert list(found["results"][0]) == ["rank", "score", "id"]


def test_another_model_is_refused(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_variant(tmp_path / "other", variant("custom_cls"))
    file = embedded(tmp_path / "out.npy", small_model(), lines)
    capsys.readouterr()
    assert main(["search", str(file), "a", "--model", str(other)]) == 1
    said = capsys.readouterr().err
    fingerprint = TextEmbedding(small_model()).fingerprint
    assert f"was made with {small_model()} (fingerprint {fingerprint}); {other} has the fingerprint" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out.npy", "a", "--top-k", "0"], "--top-k 0: expected 1 or more"),
        (["out.npy", "a", "--by", "dense"], "--by dense: the file has the vectors of one kind, sparse"),
        (["out.npy", "a", "--similarity", "dot"], "only dense vectors are compared by it"),
        (["out.npy", "a", "--text-model", "b"], "--text-model goes with files of pictures"),
        (["nowhere.npy", "a"], "nowhere.npy is not there; make it with `onnxembed embed`"),
        (["mine.npy", "a"], "mine.npy has no mine.npy.record.json beside it"),
        (["mine.csv", "a"], "mine.csv: expected .parquet, .npy or .jsonl"),
    ],
)
def test_refused(
    words: list[str], said: str, lines: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    embedded(Path("out.npy"), "Qdrant/bm25", lines)
    for name in ("mine.npy", "mine.csv"):
        Path(name).write_bytes(b"mine")
    capsys.readouterr()
    assert main(["search", *words]) == 1
    shown = capsys.readouterr()
    assert (shown.out, said in shown.err) == ("", True)


def test_a_file_of_another_version_is_refused(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = embedded(tmp_path / "out.npy", "Qdrant/bm25", lines)
    record = tmp_path / "out.npy.record.json"
    record.write_text(record.read_text("utf-8").replace('"onnxembed": 1', '"onnxembed": 2'), "utf-8")
    assert main(["search", str(file), "a"]) == 1
    assert "was not written by this version of `onnxembed embed`" in capsys.readouterr().err
    record.write_text("{", "utf-8")
    assert main(["search", str(file), "a"]) == 1
    assert "is damaged" in capsys.readouterr().err


# files that are damaged, and questions that are none


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    rows = tmp_path / "rows.txt"
    rows.write_text("one\ntwo words\nthree\n", "utf-8")
    assert main(["embed", small_model(), str(rows), "-o", str(tmp_path / "v.npy"), "--quiet"]) == 0
    return tmp_path / "v.npy"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "an array cut short": _cut,
    "an empty array": lambda path: path.write_bytes(b""),
    "another width": lambda path: np.save(path, np.zeros((3, 2), np.float32)),
    "other numbers": lambda path: np.save(path, np.zeros((3, 32), np.int64)),
    "fewer rows": lambda path: np.save(path, np.load(path)[:2]),
    "more rows": lambda path: np.save(path, np.load(path)[[0, 1, 2, 2]]),
    "no ids": lambda path: path.with_name("v.ids.jsonl").unlink(),
    "fewer ids": lambda path: path.with_name("v.ids.jsonl").write_text('{"id": 1}\n'),
    "ids that are no JSON": lambda path: path.with_name("v.ids.jsonl").write_text("x\n" * 3),
    "ids that are no objects": lambda path: path.with_name("v.ids.jsonl").write_text("[]\n" * 3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line(damage: str, arrays: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DAMAGES[damage](arrays)
    assert main(["search", str(arrays), "one"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "is damaged: " in told.err.splitlines()[-1]
    assert told.err.splitlines()[-1].endswith("; embed it again with --restart")


@pytest.mark.parametrize("line", ['{"id": 1}', '{"id": 1, "vector": 3}', '{"id": 1, "vector": [1.0]}', "x"])
def test_damaged_lines_are_one_line(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, output = tmp_path / "rows.txt", tmp_path / "v.jsonl"
    rows.write_text("one\n", "utf-8")
    assert main(["embed", small_model(), str(rows), "-o", str(output), "--quiet"]) == 0
    output.write_text(line + "\n", "utf-8")
    assert main(["search", str(output), "one"]) == 1
    assert "is damaged: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "has no question"), (b"\n\r\n", "has no question"), (b"\xff\n", "standard input, line 1 is no UTF-8")],
)
def test_standard_input_without_questions(
    content: bytes, message: str, arrays: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
    assert main(["search", str(arrays), "-", "--json"]) == 1
    told = capsys.readouterr()
    assert (told.out, message in told.err) == ("", True)


def test_questions_of_a_file_with_a_mark_and_carriage_returns(
    arrays: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfone\r\n\r\ntwo words\r\n"), "utf-8"))
    assert main(["search", str(arrays), "-", "--json", "--top-k", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["question"], one["results"][0]["text"]) for one in found] == [("one", "one"), ("two words",) * 2]

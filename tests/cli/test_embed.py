"""`onnxembed embed`: every kind and form, bad rows, and runs that go on where one before them was ended."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    M3Embedding,
    SparseTextEmbedding,
    TextEmbedding,
    quantization_ranges,
)
from onnxembed.cli.main import main
from onnxembed.cli.vectors.log import journal
from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.images import levels
from tests.fixtures.model_rows import ROWS, read_row, write_row
from tests.fixtures.multimodal_models import COLPALI, Form, write_form
from tests.fixtures.text_models import small_clip, small_cross_encoder, small_model

TEXTS = ["one text", "", "another text, of more words", "zwölf Wörter\u2028", *(f"text {n}" for n in range(40))]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    rows = [{"key": f"k{number}", "text": text} for number, text in enumerate(TEXTS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model that gives three results."""
    return str(write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path_factory.mktemp("m3") / "model"))


def embed(*words: object) -> int:
    return main(["embed", *map(str, words)])


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {key: found[key] for key in ("rows", "skipped", "begun_at")}


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n")[:-1]]


# forms of one kind


def test_the_three_forms_hold_the_same(lines: Path, tmp_path: Path) -> None:
    model = TextEmbedding(small_model())
    expected = np.stack(list(model.passage_embed(TEXTS)))
    ids = [f"k{number}" for number in range(len(TEXTS))]
    for form in ("parquet", "npy", "jsonl"):
        assert embed(small_model(), lines, "--id", "key", "-o", tmp_path / f"out.{form}", "--quiet") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.ids.jsonl",
        "out.jsonl",
        "out.jsonl.record.json",
        "out.npy",
        "out.npy.record.json",
        "out.parquet",
        "texts.jsonl",
    ]
    rows = read_lines(tmp_path / "out.jsonl")
    assert [list(row) for row in rows] == [["id", "text", "vector"]] * len(TEXTS)
    assert [(row["id"], row["text"]) for row in rows] == list(zip(ids, TEXTS, strict=True))
    assert np.array_equal(np.array([row["vector"] for row in rows], np.float32), expected)
    array = np.load(tmp_path / "out.npy", mmap_mode="r")
    assert array.dtype == np.float32
    assert np.array_equal(array, expected)
    assert read_lines(tmp_path / "out.ids.jsonl") == [{"id": row["id"], "text": row["text"]} for row in rows]
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", "text", "vector"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 32)
    assert (table["id"].to_pylist(), table["text"].to_pylist()) == (ids, TEXTS)
    assert np.array_equal(np.stack(table["vector"].to_numpy()), expected)
    record = json.loads((tmp_path / "out.npy.record.json").read_text("utf-8"))
    assert record == json.loads(table.schema.metadata[b"onnxembed"])
    assert (record["rows"], record["read"], record["making"]["fingerprint"]) == (44, 44, model.fingerprint)


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert embed(small_model(), "--input-type", "none", "--no-text") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = [json.loads(line) for line in shown.out.splitlines()]
    expected = list(TextEmbedding(small_model()).embed(["one", "two"]))
    assert [list(row) for row in rows] == [["id", "vector"]] * 2
    assert np.array_equal(np.array([row["vector"] for row in rows], np.float32), np.stack(expected))


def test_parquet_of_integers_without_text(tmp_path: Path) -> None:
    given = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": [5, 6], "body": ["one", "two"]}), given)
    output = tmp_path / "out.parquet"
    assert embed(small_model(), given, "--field", "body", "--id", "n", "--no-text", "-o", output, "--quiet") == 0
    table = pq.read_table(output)
    assert table.schema.field("id").type == pa.int64()
    assert (table.column_names, table["id"].to_pylist()) == (["id", "vector"], [5, 6])


@pytest.mark.parametrize("precision", ["float16", "int8", "uint8", "binary", "ubinary"])
def test_output_precisions(precision: str, lines: Path, tmp_path: Path) -> None:
    model = TextEmbedding(small_model())
    ranges, words = None, []
    if precision in ("int8", "uint8"):
        ranges = quantization_ranges(np.stack(list(model.embed(f"text {n}" for n in range(200)))))
        np.save(tmp_path / "ranges.npy", ranges)
        words = ["--ranges", tmp_path / "ranges.npy"]
    expected = np.stack(list(model.passage_embed(TEXTS, output_precision=precision, ranges=ranges)))  # type: ignore[arg-type]
    for form in ("parquet", "npy", "jsonl"):
        output = tmp_path / f"out.{form}"
        assert embed(small_model(), lines, "--output-precision", precision, *words, "-o", output, "--quiet") == 0
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)
    assert np.array_equal(np.stack(pq.read_table(tmp_path / "out.parquet")["vector"].to_numpy()), expected)
    rows = [row["vector"] for row in read_lines(tmp_path / "out.jsonl")]
    assert np.array_equal(np.array(rows, expected.dtype), expected)


# kinds


def test_sparse(lines: Path, tmp_path: Path) -> None:
    expected = list(SparseTextEmbedding("Qdrant/bm25").passage_embed(TEXTS))
    for form in ("parquet", "npy", "jsonl"):
        assert embed("Qdrant/bm25", lines, "-o", tmp_path / f"out.{form}", "--quiet") == 0
    offsets = np.load(tmp_path / "out.indices.offsets.npy")
    assert offsets.tolist() == [0, *np.cumsum([len(one) for one in expected])]
    assert np.load(tmp_path / "out.indices.npy").tolist() == [n for one in expected for n in one.indices.tolist()]
    assert np.load(tmp_path / "out.values.npy").tolist() == [n for one in expected for n in one.values.tolist()]
    columns = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert columns["indices"] == [one.indices.tolist() for one in expected]
    assert columns["values"] == [one.values.tolist() for one in expected]
    rows = read_lines(tmp_path / "out.jsonl")
    assert [(row["indices"], row["values"]) for row in rows] == [
        (one.indices.tolist(), one.values.tolist()) for one in expected
    ]


def test_late_interaction(three: str, lines: Path, tmp_path: Path) -> None:
    model = LateInteractionTextEmbedding(three)
    for kind, expected in (
        ("document", list(model.passage_embed(TEXTS))),
        ("query", list(model.query_embed(TEXTS))),
    ):
        output = tmp_path / f"{kind}.npy"
        words = ["--kind", "late_interaction", "--input-type", kind, "--quiet"]
        assert embed(three, lines, "-o", output, *words) == 0
        assert embed(three, lines, "-o", output.with_suffix(".parquet"), *words) == 0
        assert np.array_equal(np.load(output), np.concatenate(expected))
        assert np.load(tmp_path / f"{kind}.vectors.offsets.npy")[-1] == sum(map(len, expected))
        column = pq.read_table(output.with_suffix(".parquet"))["vectors"].to_pylist()
        assert all(np.array_equal(found, one) for found, one in zip(column, expected, strict=True))


def test_three_results_in_one_file(three: str, lines: Path, tmp_path: Path) -> None:
    expected = list(M3Embedding(three).embed(TEXTS))
    output = tmp_path / "out.parquet"
    assert embed(three, lines, "--kind", "m3", "-o", output, "--quiet") == 0
    table = pq.read_table(output)
    assert table.column_names == ["id", "text", "dense", "indices", "values", "colbert"]
    columns = table.to_pydict()
    assert np.array_equal(np.array(columns["dense"], np.float32), np.stack([one.dense for one in expected]))
    assert columns["indices"] == [one.sparse.indices.tolist() for one in expected]
    assert all(
        np.array_equal(np.reshape(found, one.colbert.shape), one.colbert)
        for found, one in zip(columns["colbert"], expected, strict=True)
    )
    assert embed(three, lines, "--kind", "m3", "-o", tmp_path / "out.npy", "--quiet") == 0
    assert np.array_equal(np.load(tmp_path / "out.colbert.npy"), np.concatenate([one.colbert for one in expected]))


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    from PIL import Image

    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for number, path in enumerate(paths):
        Image.fromarray(levels(40, 30, seed=number)).save(path)
    return paths


def test_pictures(pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, half = small_clip()
    listed = tmp_path / "pictures.txt"
    listed.write_text("\n".join([pictures[0], str(listed), pictures[1], pictures[2]]), "utf-8")
    words = [half, listed, "-o", tmp_path / "out.npy", "--json"]
    assert embed(*words) == 1
    assert capsys.readouterr().err.startswith(f"onnxembed embed: {listed}, row 2: ")
    assert embed(*words, "--on-error", "skip") == 3
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["rows"], found["skipped"]) == (3, 1)
    assert shown.err.splitlines()[-1] == "onnxembed embed: 1 rows were passed over in all"
    assert np.array_equal(np.load(tmp_path / "out.npy"), np.stack(list(ImageEmbedding(half).embed(pictures))))
    assert [row["id"] for row in read_lines(tmp_path / "out.ids.jsonl")] == [1, 3, 4]


def test_pages_and_questions_of_a_multimodal_model(pictures: list[str], tmp_path: Path) -> None:
    name, folder = "Qdrant/colpali-v1.3-fp16", write_form(tmp_path / "model", Form(COLPALI))
    listed = tmp_path / "pictures.txt"
    listed.write_text("\n".join(pictures), "utf-8")
    model = LateInteractionMultimodalEmbedding(name, specific_model_path=folder)
    words = [name, listed, "--model-path", folder, "--quiet"]
    assert embed(*words, "-o", tmp_path / "pages.npy") == 0
    assert np.array_equal(np.load(tmp_path / "pages.npy"), np.concatenate(list(model.embed_image(pictures))))
    assert embed(*words, "-o", tmp_path / "asked.npy", "--input-type", "query") == 0
    assert np.array_equal(np.load(tmp_path / "asked.npy"), np.concatenate(list(model.embed_text(pictures))))


# bad rows


def test_a_bad_row_stops_and_the_rows_before_it_are_kept(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = lines.read_text("utf-8").splitlines()
    lines.write_text("\n".join([*good[:20], "no JSON", *good[20:]]), "utf-8")
    output = tmp_path / "out.jsonl"
    assert embed(small_model(), lines, "-o", output) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"onnxembed embed: {lines}, line 21 is no JSON: ")
    assert shown.endswith("--on-error skip passes such rows over\n")
    assert not output.exists()
    assert embed(small_model(), lines, "-o", output, "--on-error", "skip", "--json") == 3
    assert summary(capsys) == {"rows": 44, "skipped": 1, "begun_at": 20}
    assert [row["text"] for row in read_lines(output)] == TEXTS
    assert [row["id"] for row in read_lines(output)][19:22] == [20, 22, 23]
    # The bad line is mended, which a run that goes on would not notice.
    lines.write_text("\n".join(good), "utf-8")
    assert embed(small_model(), lines, "-o", output) == 1
    assert "has changed: its first 45 rows are not those" in capsys.readouterr().err


def test_a_mended_row_goes_on(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = lines.read_text("utf-8")
    lines.write_text(good.replace('{"key": "k30"', "{"), "utf-8")
    output = tmp_path / "out.parquet"
    assert embed(small_model(), lines, "-o", output) == 1
    capsys.readouterr()
    lines.write_text(good, "utf-8")
    assert embed(small_model(), lines, "-o", output, "--json") == 0
    assert summary(capsys) == {"rows": 44, "skipped": 0, "begun_at": 30}
    assert pq.read_table(output)["text"].to_pylist() == TEXTS


def test_only_bad_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text("{\n[\n", "utf-8")
    assert embed(small_model(), file, "-o", tmp_path / "out.npy", "--on-error", "skip") == 1
    assert "has no row to embed; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()


# interruptions


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends processes that it has forked")
@pytest.mark.parametrize(
    ("form", "step"),
    [("npy", 14), *(pytest.param(form, 1, marks=pytest.mark.full) for form in ("npy", "parquet", "jsonl"))],
)
def test_ended_at_any_moment(form: str, step: int, lines: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out.{form}"
    words = [str(step), "embed", "Qdrant/bm25", str(lines), "-o", str(output), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.killed", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= (14 if step == 1 else 2)
    assert not (tmp_path / f"out.{form}.partial").exists()
    whole = tmp_path / f"whole.{form}"
    assert embed("Qdrant/bm25", lines, "-o", whole, "--quiet") == 0
    ends = {"npy": [".indices.npy", ".values.npy", ".indices.offsets.npy", ".ids.jsonl"]}.get(form, [f".{form}"])
    for end in ends:
        assert (tmp_path / f"out{end}").read_bytes() == (tmp_path / f"whole{end}").read_bytes()


def partial(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


@pytest.fixture
def half(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An output of which 20 rows are done."""
    whole = lines.read_text("utf-8")
    good = whole.splitlines()
    lines.write_text("\n".join([*good[:20], "no JSON"]), "utf-8")
    output = tmp_path / "out.jsonl"
    assert embed(small_model(), lines, "-o", output) == 1
    lines.write_text(whole, "utf-8")
    capsys.readouterr()
    return output


def test_what_was_written_after_the_journal_does_not_count(half: Path, lines: Path) -> None:
    for path in partial(half).iterdir():
        if path.suffix in (".numbers", ".lengths") or path.name == "rows.jsonl":
            with path.open("ab") as stream:
                stream.write(b"half a row")
    assert embed(small_model(), lines, "-o", half, "--quiet") == 0
    assert [row["text"] for row in read_lines(half)] == TEXTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input-type", "query"], "input type 'document', now 'query'"),
        (["--output-precision", "float16"], "output precision 'float32', now 'float16'"),
        (["--max-length", "7"], "options {}, now {'max_length': 7}"),
        (["--id", "key"], "id field None, now 'key'"),
        (["--no-text"], "text True, now False"),
    ],
)
def test_another_run_does_not_go_on(
    words: list[str], said: str, half: Path, lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(small_model(), lines, "-o", half, *words) == 1
    shown = capsys.readouterr().err
    assert f"{partial(half)} holds 20 rows that were made otherwise: " in shown
    assert said in shown
    assert "pass --restart to begin again" in shown
    assert embed(small_model(), lines, "-o", half, "--restart", "--json", *words) == 0
    assert summary(capsys) == {"rows": 44, "skipped": 0, "begun_at": 0}


def test_another_model_or_input_does_not_go_on(
    half: Path, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_variant(tmp_path / "other", variant("custom_cls"))
    assert embed(other, lines, "-o", half) == 1
    assert f"({small_model()}), now " in capsys.readouterr().err
    lines.write_text(lines.read_text("utf-8").replace("text 7", "text seven"), "utf-8")
    assert embed(small_model(), lines, "-o", half) == 1
    assert f"{lines} has changed: its first 20 rows are not those" in capsys.readouterr().err
    lines.write_text('{"text": "one text"}\n', "utf-8")
    assert embed(small_model(), lines, "-o", half) == 1
    assert "has changed" in capsys.readouterr().err


def test_a_damaged_folder_is_refused(half: Path, lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (partial(half) / "vector.numbers").write_bytes(b"")
    assert embed(small_model(), lines, "-o", half) == 1
    assert "is shorter than the journal says" in capsys.readouterr().err
    (partial(half) / "journal.json").write_bytes(b"{")
    assert embed(small_model(), lines, "-o", half) == 1
    assert "journal.json is damaged" in capsys.readouterr().err
    assert embed(small_model(), lines, "-o", half, "--restart", "--quiet") == 0


def test_one_process_at_a_time(half: Path, lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    with FileLock(partial(half) / "lock"):
        assert embed(small_model(), lines, "-o", half) == 1
    assert f"another process is at work on {partial(half)}" in capsys.readouterr().err


def test_a_complete_output_is_left_alone(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.npy"
    assert embed(small_model(), lines, "-o", output, "--quiet") == 0
    before = output.stat().st_mtime_ns
    assert embed(small_model(), lines, "-o", output, "--json") == 0
    assert summary(capsys) == {"rows": 44, "skipped": 0, "begun_at": 44}
    assert output.stat().st_mtime_ns == before
    assert embed(small_model(), lines, "-o", output, "--input-type", "query") == 1
    assert "is there and was made otherwise: input type 'document', now 'query'" in capsys.readouterr().err
    with lines.open("a", encoding="utf-8") as stream:
        stream.write('"one more"\n')
    assert embed(small_model(), lines, "-o", output) == 1
    assert "has more than the 44 rows it was made of; pass --restart" in capsys.readouterr().err
    assert embed(small_model(), lines, "-o", output, "--restart", "--quiet") == 0
    assert len(np.load(output)) == 45


def test_a_file_of_others_is_not_replaced(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("npy", "jsonl", "parquet"):
        output = tmp_path / f"out.{form}"
        if form == "parquet":
            pq.write_table(pa.table({"a": [1]}), output)
        else:
            output.write_bytes(b"mine")
        before = output.read_bytes()
        assert embed(small_model(), lines, "-o", output) == 1
        assert str(output) in capsys.readouterr().err
        assert output.read_bytes() == before


def test_an_interrupt_keeps_what_is_done(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from onnxembed.cli.vectors.log import Log

    append, output = Log.append, tmp_path / "out.npy"

    def interrupted(self: Log, *args: Any) -> None:
        if self.record.rows == 13:
            raise KeyboardInterrupt
        append(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", interrupted)
        assert embed(small_model(), lines, "-o", output) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "onnxembed embed: interrupted"
    assert embed(small_model(), lines, "-o", output, "--json") == 0
    assert summary(capsys) == {"rows": 44, "skipped": 0, "begun_at": 13}
    assert np.array_equal(np.load(output), np.stack(list(TextEmbedding(small_model()).passage_embed(TEXTS))))


# what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "out.csv"], "out.csv: the ending does not say the form; expected .parquet, .npy, .jsonl"),
        (["-o", "nowhere/out.npy"], "nowhere is no folder; make it first"),
        (["--json"], "--restart and --json go with an output file"),
        (["--output-precision", "int8"], "--output-precision int8 needs --ranges FILE"),
        (["--output-precision", "int9"], "--output-precision int9: expected one of"),
        (["--ranges", "a.npy"], "--ranges goes with int8 and uint8"),
        (["--output-precision", "int8", "--ranges", "a.npy"], "--ranges a.npy cannot be read"),
        (["--batch-size", "0"], "--batch-size 0: --batch-size must be >= 1"),
        (["--dim", "1000"], "--dim 1000: the vectors of"),
        (["--device", "tpu"], "--device tpu is not understood"),
    ],
)
def test_refused(
    words: list[str], said: str, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert embed(small_model(), lines, *words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err.splitlines()[-1]
    assert "Traceback" not in shown.err


def test_nothing_is_left_where_nothing_was_done(lines: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npy"
    assert embed(small_model(), lines, "-o", output, "--batch-size", "0") == 1
    lines.write_text("no JSON", "utf-8")
    assert embed(small_model(), lines, "-o", output) == 1
    assert embed(small_model(), lines, "-o", output, "--on-error", "skip") == 1
    assert [path.name for path in tmp_path.iterdir()] == [lines.name]


def test_options_that_a_kind_lacks(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed("Qdrant/bm25", lines, "--dim", "4") == 1
    assert "--dim: sparse models have no such option; leave it out" in capsys.readouterr().err
    assert embed("Qdrant/bm25", lines, "--output-precision", "float16") == 1
    assert "--output-precision float16: vectors of sparse models are kept as they are" in capsys.readouterr().err
    assert embed(small_cross_encoder(), lines) == 1
    assert "is a reranker, which has no vectors; use `onnxembed rerank`" in capsys.readouterr().err
    assert embed(small_clip()[1], lines, "--input-type", "query") == 1
    assert "an image model embeds pictures only" in capsys.readouterr().err


# a hundred thousand lines

PEAK = (
    "import resource, sys\n"
    "from onnxembed.cli.main import main\n"
    "status = main(sys.argv[1:])\n"
    "print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
)


def peak_mb(*words: object) -> int:
    """Run in a process; gives the most memory it had, in MB."""
    command = [sys.executable, "-c", PEAK, "embed", *map(str, words), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, peak = map(int, done.stdout.split())
    assert status == 0, done.stderr
    return peak


def written(file: Path, count: int) -> list[str]:
    texts = [f"line {number} of {count} lines, which say {number * 7919 % 10007}" for number in range(count)]
    file.write_text("\n".join(texts), "utf-8")
    return texts


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 12_000):
        file = tmp_path / f"{count}.txt"
        written(file, count)
        peaks.append(peak_mb("Qdrant/bm25", file, "-o", tmp_path / f"{count}.npy"))
    assert peaks[1] - peaks[0] < 10


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_hundred_thousand_lines_ended_at_half(tmp_path: Path) -> None:
    file, output, count = tmp_path / "texts.txt", tmp_path / "out.parquet", 100_000
    texts = written(file, count)
    words = ["embed", small_model(), str(file), "-o", str(output), "--quiet"]
    with subprocess.Popen([sys.executable, "-m", "onnxembed", *words]) as process:
        while process.poll() is None and _rows(output) < count // 2:
            time.sleep(0.05)  # the process tells nobody else how far it is
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    begun_at = _rows(output)
    assert count // 2 <= begun_at < count
    resumed = subprocess.run(
        [sys.executable, "-m", "onnxembed", *words, "--json"], capture_output=True, text=True, check=True
    )
    told = json.loads(resumed.stdout)
    assert (told["rows"], told["begun_at"]) == (count, begun_at)
    table = pq.read_table(output)
    assert table["id"].to_pylist() == list(range(1, count + 1))
    assert table["text"].to_pylist() == texts
    vectors = np.stack(table["vector"].to_numpy())
    model = TextEmbedding(small_model())
    for start in (0, begun_at - 50, count - 100):
        expected = np.stack(list(model.passage_embed(texts[start : start + 100])))
        assert np.abs(vectors[start : start + 100] - expected).max() < 1e-5


def _rows(output: Path) -> int:
    begun = journal(partial(output))
    return 0 if begun is None else begun[0].rows


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["parquet", "npy", "jsonl"])
def test_memory_beyond_a_hundred_thousand_lines(form: str, tmp_path: Path) -> None:
    peaks = []
    for count in (100_000, 160_000):  # up to some 100,000 the memory pool of pyarrow still fills
        file = tmp_path / f"{count}.txt"
        written(file, count)
        peaks.append(peak_mb(small_model(), file, "-o", tmp_path / f"{count}.{form}", "--threads", 1))
    assert peaks[1] - peaks[0] < 20, peaks


@pytest.mark.parametrize(
    ("read", "output"), [("rows.jsonl", "rows.jsonl"), ("v.ids.jsonl", "v.npy"), ("v.jsonl.record.json", "v.jsonl")]
)
@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_the_input_is_never_written_over(
    read: str, output: str, restart: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = '{"text": "one"}\n'
    (tmp_path / read).write_text(content, "utf-8")
    link = tmp_path / "link"  # by another path, too
    link.symlink_to(tmp_path)
    assert embed(small_model(), tmp_path / read, "--input-format", "jsonl", "-o", link / output, *restart) == 1
    assert "would be written over" in capsys.readouterr().err
    assert (tmp_path / read).read_text("utf-8") == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", read]


def test_a_journal_of_another_shape(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.npy.partial").mkdir()
    for content in ("[]", "{}", '{"sizes": {}}', '{"record": 1, "sizes": {}}'):
        (tmp_path / "v.npy.partial" / "journal.json").write_text(content)
        assert embed(small_model(), lines, "-o", tmp_path / "v.npy", "--quiet") == 1
        assert "journal.json" in capsys.readouterr().err.splitlines()[-1]
    assert embed(small_model(), lines, "-o", tmp_path / "v.npy", "--quiet", "--restart") == 0

"""`EmbedBatches` alone: the batches of engines in, the same rows with vectors out."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
    TextEmbedding,
)
from onnxembed.batches import EmbedBatches
from onnxembed.batches.models import assigned_processors
from onnxembed.errors import InputError, InputTypeError, MissingExtraError, UnknownModelError
from tests.fixtures.image_models import image_variant, pictures, write_image_variant
from tests.fixtures.images import encoded
from tests.fixtures.text_models import PROMPTS, small_model

TEXTS = ["hello world", "the quick brown fox", "fox"]


@pytest.fixture(scope="module")
def model() -> TextEmbedding:
    return TextEmbedding(small_model(), pooling="mean", query_prompt=PROMPTS[0], passage_prompt=PROMPTS[1])


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table({"id": ["a", "b", "c"], "text": TEXTS}, metadata={"kept": "yes"})


def matrix(column: pa.ChunkedArray) -> Any:
    return np.array(column.to_pylist(), dtype=np.float32)


def test_an_arrow_table_gets_a_column_of_fixed_length(model: TextEmbedding, table: pa.Table) -> None:
    result = EmbedBatches(model)(table)
    assert result.schema.field("vector").type == pa.list_(pa.float32(), 32)
    assert result.schema.metadata == {b"kept": b"yes"}
    assert result.select(["id", "text"]).equals(table)
    np.testing.assert_array_equal(matrix(result["vector"]), list(model.passage_embed(TEXTS)))


def test_queries(model: TextEmbedding, table: pa.Table) -> None:
    result = EmbedBatches(model, input_type="query", output="v")(table)
    np.testing.assert_array_equal(matrix(result["v"]), list(model.query_embed(TEXTS)))


def test_a_record_batch_stays_one(model: TextEmbedding, table: pa.Table) -> None:
    (batch,) = table.to_batches()
    result = EmbedBatches(model)(batch)
    assert isinstance(result, pa.RecordBatch)
    assert matrix(result.column("vector")).shape == (3, 32)


def test_a_frame_keeps_its_index(model: TextEmbedding) -> None:
    frame = pd.DataFrame({"text": TEXTS}, index=[7, 8, 9])
    result = EmbedBatches(model)(frame)
    assert list(frame) == ["text"]
    assert list(result.index) == [7, 8, 9]
    np.testing.assert_array_equal(np.stack(result["vector"].tolist()), list(model.passage_embed(TEXTS)))


def test_a_dictionary_of_arrays(model: TextEmbedding) -> None:
    result = EmbedBatches(model)({"text": np.array(TEXTS)})
    assert result["vector"].dtype == np.float32
    np.testing.assert_array_equal(result["vector"], list(model.passage_embed(TEXTS)))


def test_an_empty_batch_has_its_types(model: TextEmbedding, table: pa.Table) -> None:
    full, empty = EmbedBatches(model)(table), EmbedBatches(model)(table.slice(0, 0))
    assert empty.schema == full.schema
    assert empty.num_rows == 0
    assert EmbedBatches(model)({"text": np.array([], dtype=object)})["vector"].shape == (0, 32)


def test_sparse_vectors_are_two_columns(table: pa.Table) -> None:
    wanted = list(SparseTextEmbedding("Qdrant/bm25").embed(TEXTS))
    embed = EmbedBatches("Qdrant/bm25")
    result = embed(table)
    assert result.schema.field("vector_indices").type == pa.list_(pa.int64())
    assert result.schema.field("vector_values").type == pa.list_(pa.float64())
    assert result["vector_indices"].to_pylist() == [vector.indices.tolist() for vector in wanted]
    assert result["vector_values"].to_pylist() == [vector.values.tolist() for vector in wanted]
    arrays = embed({"text": TEXTS})
    frame = embed(pd.DataFrame({"text": TEXTS}))
    for row, vector in enumerate(wanted):
        np.testing.assert_array_equal(arrays["vector_indices"][row], vector.indices)
        np.testing.assert_array_equal(frame["vector_values"][row], vector.values)


def test_late_interaction_gives_lists_of_vectors(table: pa.Table) -> None:
    model = LateInteractionTextEmbedding(small_model(), dense=True)
    wanted = list(model.passage_embed(TEXTS))
    embed = EmbedBatches(model)
    result = embed(table)
    assert result.schema.field("vector").type == pa.list_(pa.list_(pa.float32(), 32))
    arrays, frame = embed({"text": TEXTS}), embed(pd.DataFrame({"text": TEXTS}))
    for row, vectors in enumerate(wanted):
        np.testing.assert_array_equal(np.array(result["vector"][row].as_py(), np.float32), vectors)
        np.testing.assert_array_equal(arrays["vector"][row], vectors)
        np.testing.assert_array_equal(np.stack(frame["vector"][row]), vectors)


def test_images_by_path_by_bytes_and_as_data_sets_keep_them(tmp_path: Path) -> None:
    model = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=_image_folder(tmp_path))
    picture = pictures()[0]
    content = encoded(picture)
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    (wanted,) = model.embed([content])
    embed = EmbedBatches(model, column="image", on_error="skip", error_column="why")
    for cell in (content, str(path), {"bytes": content, "path": None}, {"bytes": None, "path": str(path)}):
        np.testing.assert_array_equal(matrix(embed(pa.table({"image": [cell]}))["vector"]), [wanted])
    result = embed(pa.table({"image": [content, b"no picture", None]}))
    assert result["vector"].null_count == 2
    assert [why is None for why in result["why"].to_pylist()] == [True, False, False]
    assert result["why"][2].as_py().startswith("row 2 of the batch (column='image'): is None; expected")
    assert embed.skipped == 2
    with pytest.raises(InputTypeError, match=r"row 1 of the batch \(column='image'\): is None"):
        EmbedBatches(model, column="image")(pa.table({"image": [content, None]}))
    with pytest.raises(InputError, match="a model of images has no queries"):
        EmbedBatches(model, column="image", input_type="query")(pa.table({"image": [content]}))


def _image_folder(folder: Path) -> Path:
    return write_image_variant(folder / "model", image_variant("clip"))


BAD = ["hello", None, "fox " * 30, "world", "the " * 40, ""]


@pytest.fixture(scope="module")
def strict() -> TextEmbedding:
    return TextEmbedding(small_model(), pooling="mean", truncate=False, max_length=8)


def test_bad_rows_are_skipped_and_counted(strict: TextEmbedding, caplog: pytest.LogCaptureFixture) -> None:
    embed = EmbedBatches(strict, on_error="skip", id_column="id", error_column="why")
    rows = pa.table({"id": list("abcdef"), "text": BAD})
    with caplog.at_level(logging.WARNING, "onnxembed.batches"):
        result = embed(rows)
    assert [vector is None for vector in result["vector"].to_pylist()] == [False, True, True, False, True, False]
    why = result["why"].to_pylist()
    assert why[1] == "row 1 of the batch (column='text', id='b'): is None; expected str"
    assert why[2].startswith("row 2 of the batch (column='text', id='c'): has 32 tokens, more than the limit of 8;")
    assert why[4].startswith("row 4 of the batch (column='text', id='e'): has 42 tokens")
    assert why[0] is why[3] is why[5] is None
    assert embed.skipped == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"skipped 3 of 6 rows of a batch; the first: {why[1]}"
    ]
    good = list(strict.passage_embed(["hello", "world", ""]))
    np.testing.assert_array_equal([result["vector"][row].as_py() for row in (0, 3, 5)], good)
    arrays = embed({"id": rows["id"].to_pylist(), "text": BAD})
    assert np.isnan(arrays["vector"]).all(axis=1).tolist() == [False, True, True, False, True, False]
    assert embed.skipped == 6


def test_the_first_bad_row_ends_a_batch_with_its_number(strict: TextEmbedding) -> None:
    with pytest.raises(InputTypeError, match=r"row 1 of the batch \(column='text', id=11\): is None; expected str"):
        EmbedBatches(strict, id_column="id")(pd.DataFrame({"id": range(10, 16), "text": BAD}))
    with pytest.raises(InputError, match=r"row 1 of the batch \(column='text'\): has 32 tokens"):
        EmbedBatches(strict)({"text": ["hello", "fox " * 30]})


def test_missing_texts_of_a_frame_are_null(strict: TextEmbedding) -> None:
    for missing in (float("nan"), pd.NA, None):
        with pytest.raises(InputTypeError, match="is None; expected str"):
            EmbedBatches(strict)(pd.DataFrame({"text": pd.Series(["hello", missing], dtype=object)}))


def test_only_settings_travel(model: TextEmbedding, table: pa.Table) -> None:
    embed = EmbedBatches(model, output="v", on_error="skip")
    before = embed(table)
    embed({"text": [None]})
    sent = pickle.dumps(embed)
    assert len(sent) < 10_000
    received = pickle.loads(sent)
    assert received.skipped == 0
    assert received(table).equals(before)
    assert received.model is received.model


def test_wrong_arguments_name_themselves(model: TextEmbedding, table: pa.Table) -> None:
    with pytest.raises(InputError, match=r"column='txt': the batch has no such column; it has 'id', 'text'\. .*'text'"):
        EmbedBatches(model, column="txt")(table)
    with pytest.raises(InputError, match="the batch has a column 'id' already"):
        EmbedBatches(model, output="id")(table)
    with pytest.raises(InputError, match="no such column"):
        EmbedBatches(model, id_column="key")(table)
    with pytest.raises(InputError, match="kind='rerank' gives scores of pairs"):
        EmbedBatches("anything", kind="rerank")
    with pytest.raises(InputError, match="threads goes with a model's name"):
        EmbedBatches(model, threads=1)
    with pytest.raises(InputError, match="expected 'raise' or 'skip'"):
        EmbedBatches(model, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="error_column goes with on_error='skip'"):
        EmbedBatches(model, error_column="why")
    with pytest.raises(InputTypeError, match="model is an int; expected a name"):
        EmbedBatches(3)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="column=''"):
        EmbedBatches(model, column="")
    with pytest.raises(InputTypeError, match="the batch is a list; expected a dictionary of NumPy arrays"):
        EmbedBatches(model)(TEXTS)
    with pytest.raises(UnknownModelError):
        EmbedBatches("no such model")({"text": TEXTS})


def test_rerankers_are_refused_by_their_files(tmp_path: Path) -> None:
    from tests.fixtures.rerank_models import VARIANTS, write_variant

    folder = write_variant(tmp_path / "cross", VARIANTS[0])
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(InputTypeError, match="model is a TextCrossEncoder; expected a name, a folder, or an object of"):
        EmbedBatches(folder)({"text": TEXTS})


def test_outside_of_engines_no_processors_are_assigned() -> None:
    assert assigned_processors() is None


def test_nothing_heavy_is_imported_with_the_class() -> None:
    heavy = {"numpy", "pandas", "pyarrow", "ray", "pyspark", "onnxruntime", "tokenizers"}
    code = f"import sys, onnxembed.batches, onnxembed.mteb; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("code", "package", "extra"),
    [
        ("EmbedBatches('Qdrant/bm25').for_spark().udf()", "pyspark", "spark"),
        ("Questions('Qdrant/bm25')", "Ray Serve", "ray"),
    ],
)
def test_a_missing_engine_is_named_with_its_extra(code: str, package: str, extra: str) -> None:
    from onnxembed.batches import Questions

    with pytest.MonkeyPatch.context() as patch:
        for name in ("pyspark", "pyspark.sql", "ray"):
            patch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf"{package} is not installed: pip install 'onnxembed\[{extra}\]'"):
            eval(code, {"EmbedBatches": EmbedBatches, "Questions": Questions})


def test_mteb_is_named_with_its_extra() -> None:
    from onnxembed.mteb import MtebEncoder

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mteb", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'onnxembed\[mteb\]'"):
            MtebEncoder("BAAI/bge-small-en-v1.5")

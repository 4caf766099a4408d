"""What Spark makes of `EmbedBatches` on this machine, for `tests.full.test_cluster`.

Run by the Python that has Spark: ``python -m tests.full.spark_cluster MODEL FOLDER``; writes ``FOLDER/spark.json``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextEmbedding
from onnxembed.batches import EmbedBatches

ROWS = 300


def main(model: str, folder: Path) -> None:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "64")
        .getOrCreate()
    )
    texts = [f"hello world {'fox ' * (row % 7)}" for row in range(ROWS)]
    frame = spark.createDataFrame([(row, text) for row, text in enumerate(texts)], "id long, text string").repartition(
        4
    )
    found: dict[str, Any] = {}

    dense = EmbedBatches(model, kind="dense").for_spark()
    expected = TextEmbedding(model).embed_to_array(texts)
    schema = dense.schema(frame)
    found["schema"] = schema.simpleString()
    for name, rows in (
        ("in_arrow", frame.mapInArrow(dense.in_arrow, schema).collect()),
        ("in_pandas", frame.mapInPandas(dense.in_pandas, schema).collect()),
        ("udf", frame.withColumn("vector", dense.udf()("text")).collect()),
    ):
        by_id = {row["id"]: row["vector"] for row in rows}
        found[name] = float(np.abs(np.array([by_id[row] for row in range(ROWS)]) - expected).max())

    sparse = EmbedBatches("Qdrant/bm25").for_spark()
    wanted = list(SparseTextEmbedding("Qdrant/bm25").embed(texts))
    given = {row["id"]: row for row in frame.mapInArrow(sparse.in_arrow, sparse.schema(frame)).collect()}
    structs = {row["id"]: row["v"] for row in frame.withColumn("v", sparse.udf()("text")).collect()}
    found["sparse"] = all(
        given[row]["vector_indices"] == want.indices.tolist() and given[row]["vector_values"] == want.values.tolist()
        for row, want in enumerate(wanted)
    )
    found["sparse_udf"] = all(
        structs[row]["indices"] == want.indices.tolist() and structs[row]["values"] == want.values.tolist()
        for row, want in enumerate(wanted)
    )

    late_model = LateInteractionTextEmbedding(model, dense=True, lazy_load=True)
    late = EmbedBatches(late_model).for_spark()
    first = frame.where("id < 20")
    matrices = list(late_model.embed(texts[:20]))
    for name, rows in (
        ("late_in_arrow", first.mapInArrow(late.in_arrow, late.schema(first)).collect()),
        ("late_in_pandas", first.mapInPandas(late.in_pandas, late.schema(first)).collect()),
    ):
        found[name] = max(float(np.abs(np.array(row["vector"]) - matrices[row["id"]]).max()) for row in rows)

    skipping = EmbedBatches(model, kind="dense", on_error="skip", error_column="why", id_column="id").for_spark()
    bad = spark.createDataFrame([(1, "hello"), (2, None)], "id long, text string").repartition(1)
    rows = bad.mapInPandas(skipping.in_pandas, skipping.schema(bad)).collect()
    found["skipped"] = sorted([row["id"], row["vector"] is None, row["why"]] for row in rows)
    nulls = bad.withColumn("vector", skipping.udf()("text")).collect()
    found["skipped_udf"] = sorted([row["id"], row["vector"] is None] for row in nulls)
    try:
        raising = EmbedBatches(model, kind="dense", id_column="id").for_spark()
        bad.mapInArrow(raising.in_arrow, raising.schema(bad)).collect()
        found["raised"] = ""
    except Exception as error:
        found["raised"] = str(error)
    (folder / "spark.json").write_text(json.dumps(found), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

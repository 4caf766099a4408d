"""Embed a Parquet data set with Spark, into another one.

``python examples/spark.py IN OUT [MODEL]``; needs ``pip install 'onnxembed[spark]'`` on each machine, and Java. IN has
a column ``text``.
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession

from onnxembed.batches import EmbedBatches


def main(source: str, target: str, model: str = "sentence-transformers/all-MiniLM-L6-v2") -> None:
    """Read, embed and write."""
    spark = SparkSession.builder.appName("onnxembed").getOrCreate()
    rows = spark.read.parquet(source)
    functions = EmbedBatches(model, on_error="skip", error_column="why").for_spark()
    rows.mapInArrow(functions.in_arrow, functions.schema(rows)).write.mode("overwrite").parquet(target)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])

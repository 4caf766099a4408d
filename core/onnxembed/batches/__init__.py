"""Vectors inside batch engines: Ray Data, Ray Serve, Spark, and whatever else hands over batches of rows.

- `embed`: `EmbedBatches`, the callable that engines send to their workers
- `models`: a model opened where it is used, with the processors that the engine gave
- `tables`: batches as dictionaries of arrays, Arrow tables and DataFrames; `forms`: vectors as columns of these
- `rows`: bad rows, raised with their number or skipped and counted
- `spark`: functions for mapInArrow, mapInPandas and pandas_udf; `serving`: `Questions`, a deployment of Ray Serve

pyarrow, pandas, pyspark and ray are imported where they are used; the extras are ``onnxembed[ray]`` and
``onnxembed[spark]``.
"""

from onnxembed.batches.embed import EmbedBatches
from onnxembed.batches.serving import Questions
from onnxembed.batches.spark import SparkFunctions

__all__ = ["EmbedBatches", "Questions", "SparkFunctions"]

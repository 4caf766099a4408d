"""Functions for Spark: partitions of rows in, the same rows with vectors out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnxembed.batches.forms import Form
from onnxembed.batches.models import missing
from onnxembed.batches.rows import Rows
from onnxembed.batches.tables import ArrowTable, FrameTable, Table


class Embeds(Protocol):
    """What is needed of an `EmbedBatches` here."""

    @property
    def form(self) -> Form:
        """How the model's vectors become columns."""

    @property
    def further_names(self) -> tuple[str, ...]:
        """The name of the column with the reasons, if there is one."""

    def new_names(self, present: Sequence[str]) -> tuple[str, ...]:
        """The names of the columns of vectors."""

    def table(self, table: Table) -> Any:
        """Embed a batch."""

    def rows(self, items: Sequence[object]) -> Rows:
        """Embed the items of a column; bad ones raise, or are counted."""


@dataclass(frozen=True, slots=True)
class SparkFunctions:
    """What Spark's DataFrames take of an `EmbedBatches`.

    ``frame.mapInArrow(functions.in_arrow, functions.schema(frame))``, the same with `in_pandas`, or
    ``frame.withColumn("vector", functions.udf()("text"))``. Spark's lists have no fixed length; a null stands for the
    vector of a skipped row.

    Attributes:
        embed: What runs on the workers.
    """

    embed: Embeds

    def in_arrow(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Embed the record batches of a partition; for ``mapInArrow``."""
        for batch in batches:
            yield self.embed.table(ArrowTable(batch, fixed=False))

    def in_pandas(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Embed the DataFrames of a partition; for ``mapInPandas``."""
        for batch in batches:
            yield self.embed.table(FrameTable(batch))

    def schema(self, frame: Any) -> Any:
        """Give the schema of the result.

        Args:
            frame: The DataFrame, or its schema.

        Returns:
            A ``pyspark.sql.types.StructType``: the fields of the frame, then those of the vectors, and of the reasons
            where they are asked for.

        Raises:
            InputError: The frame has one of the new columns already.
            MissingExtraError: pyspark is not installed.
        """
        from_text = _types().StructType.fromDDL
        fields = getattr(frame, "schema", frame).fields
        names = self.embed.new_names([field.name for field in fields])
        typed = zip(names, self.embed.form.spark_types(), strict=True)
        further = [f"`{name}` {kind}" for name, kind in typed]
        further += [f"`{name}` string" for name in self.embed.further_names]
        return _types().StructType([*fields, *from_text(", ".join(further)).fields])

    def udf(self) -> Callable[[Any], Any]:
        """Give a ``pandas_udf`` of one column of texts or images.

        Returns:
            A function of a column. It gives a column of lists; of sparse vectors structs of ``indices`` and ``values``.

        Raises:
            MissingExtraError: pyspark is not installed.
        """
        _types()
        import pandas
        from pyspark.sql.functions import pandas_udf

        types = self.embed.form.spark_types()
        sparse = len(types) > 1
        returned = f"indices {types[0]}, values {types[1]}" if sparse else types[0]
        embed = self.embed

        def vectors(batches: Any) -> Any:
            for batch in batches:
                found = embed.rows([cell if kept else None for cell, kept in zip(batch, batch.notna(), strict=True)])
                columns = [
                    pandas.Series(cells, index=batch.index, dtype=object) for cells in embed.form.cells(found.vectors)
                ]
                yield pandas.DataFrame({"indices": columns[0], "values": columns[1]}) if sparse else columns[0]

        # Spark reads the annotations, which cannot name pandas before it is imported.
        series = Iterator[pandas.Series]
        vectors.__annotations__ = {"batches": series, "return": Iterator[pandas.DataFrame] if sparse else series}
        made: Callable[[Any], Any] = pandas_udf(vectors, returned)
        return made


def _types() -> Any:
    try:
        from pyspark.sql import types
    except ImportError as error:
        raise missing("pyspark", "spark") from error
    return types

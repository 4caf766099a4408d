"""Batches as engines hand them over: dictionaries of NumPy arrays, Arrow tables and record batches, DataFrames."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnxembed.api.inputs import describe_type
from onnxembed.batches.forms import Form
from onnxembed.errors import InputTypeError


class Table(Protocol):
    """A batch."""

    def names(self) -> list[str]:
        """Give the names of the columns."""
        ...

    def items(self, column: str) -> list[Any]:
        """Give the cells of a column as Python values; a missing one is ``None``."""
        ...

    def joined(self, names: Sequence[str], form: Form, vectors: Sequence[Any], texts: Mapping[str, list[Any]]) -> Any:
        """Give the batch with columns of vectors and of texts, in the form in which it came."""
        ...


def read_table(batch: object, *, fixed: bool = True) -> Table:
    """Recognise a batch; nothing is imported, since who hands over a table has imported what it is made of."""
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is not None and isinstance(batch, pandas.DataFrame):
        return FrameTable(batch)
    if pyarrow is not None and isinstance(batch, pyarrow.Table | pyarrow.RecordBatch):
        return ArrowTable(batch, fixed)
    if isinstance(batch, Mapping):
        return ArrayTable(batch)
    raise InputTypeError(
        f"the batch is {describe_type(batch)}; expected a dictionary of NumPy arrays, a pyarrow.Table or RecordBatch, "
        "or a pandas.DataFrame"
    )


@dataclass(frozen=True, slots=True)
class ArrayTable:
    """A dictionary of arrays, or of lists, of one length."""

    batch: Mapping[str, Any]

    def names(self) -> list[str]:
        """Give the keys."""
        return list(self.batch)

    def items(self, column: str) -> list[Any]:
        """Give the items of an array; those of more dimensions, such as pictures, stay arrays."""
        cells = self.batch[column]
        return cells.tolist() if getattr(cells, "ndim", 0) == 1 else list(cells)

    def joined(self, names: Sequence[str], form: Form, vectors: Sequence[Any], texts: Mapping[str, list[Any]]) -> Any:
        """Give a new dictionary."""
        import numpy as np

        further = {name: np.array(cells, dtype=object) for name, cells in texts.items()}
        return {**self.batch, **dict(zip(names, form.arrays(vectors), strict=True)), **further}


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """An Arrow table or record batch."""

    batch: Any
    fixed: bool

    def names(self) -> list[str]:
        """Give the names of the schema."""
        return list(self.batch.schema.names)

    def items(self, column: str) -> list[Any]:
        """Give Python values; of an extension's type, such as Ray's tensors, what that makes of them."""
        held: list[Any] = self.batch.column(column).to_pylist()
        return held

    def joined(self, names: Sequence[str], form: Form, vectors: Sequence[Any], texts: Mapping[str, list[Any]]) -> Any:
        """Give a new table of the same class."""
        import pyarrow

        columns = dict(zip(names, form.arrow(vectors, fixed=self.fixed), strict=True))
        columns |= {name: pyarrow.array(cells, type=pyarrow.string()) for name, cells in texts.items()}
        fields = [pyarrow.field(name, cells.type) for name, cells in columns.items()]
        schema = pyarrow.schema([*self.batch.schema, *fields], metadata=self.batch.schema.metadata)
        return type(self.batch).from_arrays([*self.batch.columns, *columns.values()], schema=schema)


@dataclass(frozen=True, slots=True)
class FrameTable:
    """A pandas DataFrame."""

    batch: Any

    def names(self) -> list[str]:
        """Give the names of the columns."""
        return list(self.batch.columns)

    def items(self, column: str) -> list[Any]:
        """Give Python values; NaN and NA are ``None``."""
        cells = self.batch[column]
        return [cell if kept else None for cell, kept in zip(cells.tolist(), cells.notna().tolist(), strict=True)]

    def joined(self, names: Sequence[str], form: Form, vectors: Sequence[Any], texts: Mapping[str, list[Any]]) -> Any:
        """Give a new DataFrame with the same index."""
        import pandas

        columns = dict(zip(names, form.cells(vectors), strict=True)) | dict(texts)
        index = self.batch.index
        return self.batch.assign(
            **{name: pandas.Series(cells, index=index, dtype=object) for name, cells in columns.items()}
        )

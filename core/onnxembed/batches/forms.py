"""Vectors as columns of tables: dense ones, sparse ones, and those of late interaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnxembed.batches.models import missing


class Form(Protocol):
    """How one kind of vectors becomes columns. ``name`` is that of the column, ``None`` among vectors a skipped row."""

    def names(self, name: str) -> tuple[str, ...]:
        """Give the names of the columns."""
        ...

    def arrow(self, vectors: Sequence[Any], *, fixed: bool) -> list[Any]:
        """Give Arrow arrays; ``fixed``: lists of one length say so in their type."""
        ...

    def arrays(self, vectors: Sequence[Any]) -> list[Any]:
        """Give NumPy arrays with one row per vector."""
        ...

    def cells(self, vectors: Sequence[Any]) -> list[list[Any]]:
        """Give the cells of DataFrames."""
        ...

    def spark_types(self) -> tuple[str, ...]:
        """Give the types of the columns in Spark's words."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """One vector per row: float32 (dim,).

    Attributes:
        dim: Gives the numbers of a vector, for batches that have none.
    """

    dim: Callable[[], int]

    def names(self, name: str) -> tuple[str, ...]:
        """One column."""
        return (name,)

    def arrow(self, vectors: Sequence[Any], *, fixed: bool) -> list[Any]:
        """``fixed_size_list<float>[dim]``, or ``list<float>``."""
        pa = _arrow()
        return [_fixed(self.arrays(vectors)[0], vectors, pa) if fixed else _lists(vectors, _floats(vectors, pa), pa)]

    def arrays(self, vectors: Sequence[Any]) -> list[Any]:
        """Float32 (rows, dim); NaN in skipped rows."""
        import numpy as np

        dim = next((len(vector) for vector in vectors if vector is not None), None) or self.dim()
        rows = np.full((len(vectors), dim), np.nan, dtype=np.float32)
        for row, vector in zip(rows, vectors, strict=True):
            if vector is not None:
                row[:] = vector
        return [rows]

    def cells(self, vectors: Sequence[Any]) -> list[list[Any]]:
        """Each an array (dim,)."""
        return [list(vectors)]

    def spark_types(self) -> tuple[str, ...]:
        """As Spark has no lists of a fixed length."""
        return ("array<float>",)


@dataclass(frozen=True, slots=True)
class Sparse:
    """Indices, int64, and values, float64, in two columns."""

    def names(self, name: str) -> tuple[str, ...]:
        """Two columns."""
        return f"{name}_indices", f"{name}_values"

    def arrow(self, vectors: Sequence[Any], *, fixed: bool) -> list[Any]:  # noqa: ARG002  # their lengths differ
        """``list<int64>`` and ``list<double>``."""
        import numpy as np

        pa = _arrow()
        indices, values = self.cells(vectors)
        return [
            _lists(indices, pa.array(_joined(indices, np.int64)), pa),
            _lists(values, pa.array(_joined(values, np.float64)), pa),
        ]

    def arrays(self, vectors: Sequence[Any]) -> list[Any]:
        """Arrays of arrays."""
        return [_objects(cells) for cells in self.cells(vectors)]

    def cells(self, vectors: Sequence[Any]) -> list[list[Any]]:
        """Arrays (entries,)."""
        return [
            [None if vector is None else vector.indices for vector in vectors],
            [None if vector is None else vector.values for vector in vectors],
        ]

    def spark_types(self) -> tuple[str, ...]:
        """The types of both columns."""
        return "array<bigint>", "array<double>"


@dataclass(frozen=True, slots=True)
class Matrices:
    """A matrix per row: float32 (tokens, dim).

    Attributes:
        dim: Gives the columns of a matrix, for batches that have none.
    """

    dim: Callable[[], int]

    def names(self, name: str) -> tuple[str, ...]:
        """One column."""
        return (name,)

    def arrow(self, vectors: Sequence[Any], *, fixed: bool) -> list[Any]:
        """``list<fixed_size_list<float>[dim]>``, or ``list<list<float>>``."""
        pa = _arrow()
        tokens = [row for matrix in vectors if matrix is not None for row in matrix]
        return [_lists(vectors, Dense(self.dim).arrow(tokens, fixed=fixed)[0], pa)]

    def arrays(self, vectors: Sequence[Any]) -> list[Any]:
        """An array of matrices."""
        return [_objects(vectors)]

    def cells(self, vectors: Sequence[Any]) -> list[list[Any]]:
        """Lists of arrays (dim,), since Arrow takes no matrix out of a cell."""
        return [[None if matrix is None else list(matrix) for matrix in vectors]]

    def spark_types(self) -> tuple[str, ...]:
        """As Spark has no lists of a fixed length."""
        return ("array<array<float>>",)


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise missing("pyarrow", "ray") from error
    return pyarrow


def _fixed(rows: Any, vectors: Sequence[Any], pa: Any) -> Any:
    values = pa.array(rows.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, rows.shape[1], mask=_nulls(vectors, pa))


def _floats(vectors: Sequence[Any], pa: Any) -> Any:
    import numpy as np

    return pa.array(_joined(vectors, np.float32))


def _lists(items: Sequence[Any], values: Any, pa: Any) -> Any:
    """Cut ``values``, which are those of all items one after the other, into one list per item."""
    import numpy as np

    ends = np.cumsum([0, *(0 if item is None else len(item) for item in items)])
    if ends[-1] > np.iinfo(np.int32).max:  # more than lists with offsets of 32 bits hold
        return pa.LargeListArray.from_arrays(pa.array(ends.astype(np.int64)), values, mask=_nulls(items, pa))
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values, mask=_nulls(items, pa))


def _nulls(items: Sequence[Any], pa: Any) -> Any:
    absent = [item is None for item in items]
    return pa.array(absent) if any(absent) else None


def _joined(items: Sequence[Any], dtype: Any) -> Any:
    import numpy as np

    return np.concatenate([np.zeros(0, dtype), *(item for item in items if item is not None)]).astype(dtype, copy=False)


def _objects(items: Sequence[Any]) -> Any:
    import numpy as np

    held = np.empty(len(items), dtype=object)
    for position, item in enumerate(items):
        held[position] = item
    return held

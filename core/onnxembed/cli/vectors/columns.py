"""What is kept of the results of each kind of model: columns of numbers, one entry for each row of the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.cli.model_options import M3

Array = np.ndarray[Any, np.dtype[Any]]

_SINGLE = ("indices", "values")
"""Columns whose entries are single numbers, not vectors."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: What files call it.
        dtype: The type of its numbers, as NumPy names it.
        width: Numbers of a vector; 0 where entries are single numbers.
        lengths_of: For a column of which a row has any number of entries, the column that has as many, often itself;
            empty where a row has one.
    """

    name: str
    dtype: str
    width: int
    lengths_of: str = ""

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry."""
        return np.dtype(self.dtype).itemsize * max(1, self.width)

    @property
    def counts(self) -> bool:
        """Whether its lengths are kept, under its own name."""
        return self.lengths_of == self.name

    def shaped(self, numbers: Array) -> Array:
        """Give numbers in a row the shape (entries, width), or (entries,) for single ones."""
        return numbers.reshape(-1, self.width) if self.width else numbers


@dataclass(frozen=True, slots=True)
class Layout:
    """What a kind's results become.

    Attributes:
        arrays: Takes a result apart.
        lengths_of: For each column what `Column.lengths_of` is.
    """

    arrays: Callable[[Any], dict[str, Array]]
    lengths_of: Mapping[str, str]

    def columns(self, arrays: Mapping[str, Array]) -> tuple[Column, ...]:
        """Describe the columns by the arrays of a result."""
        return tuple(
            Column(name, array.dtype.name, 0 if name in _SINGLE else array.shape[-1], self.lengths_of[name])
            for name, array in arrays.items()
        )


def _dense(result: Any) -> dict[str, Array]:
    return {"vector": result}


def _tokens(result: Any) -> dict[str, Array]:
    return {"vectors": result}


def _sparse(result: Any) -> dict[str, Array]:
    return {"indices": result.indices, "values": result.values}


def _three(result: Any) -> dict[str, Array]:
    return {"dense": result.dense, **_sparse(result.sparse), "colbert": result.colbert}


_OF_SPARSE = {"indices": "indices", "values": "indices"}
_ONE, _MANY = Layout(_dense, {"vector": ""}), Layout(_tokens, {"vectors": "vectors"})
LAYOUTS = {
    "dense": _ONE,
    "image": _ONE,
    "sparse": Layout(_sparse, _OF_SPARSE),
    "late_interaction": _MANY,
    "multimodal": _MANY,
    M3: Layout(_three, {"dense": "", **_OF_SPARSE, "colbert": "colbert"}),
}
"""The layout of each kind that gives vectors."""

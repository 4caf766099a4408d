"""A sparse vector, and its ways into other libraries.

One rule for every model: ids are int64, ascending and unique; values are float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from qdrant_client.models import SparseVector
    from scipy.sparse import csr_array

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class SparseEmbedding:
    """A sparse vector.

    Attributes:
        values: (entries,) float64, read-only. Vectors of one call may share their memory: copy an array to keep it
            alone.
        indices: (entries,) int64, read-only, ascending, unique, not negative.
    """

    values: Array
    indices: Array

    def __init__(self, values: Any, indices: Any) -> None:
        """Check and sort the entries.

        Args:
            values: (entries,) finite numbers.
            indices: (entries,) integers of at least 0, each once, in any order.

        Raises:
            InputError: If the two differ in length, are not one-dimensional, or break these rules.
        """
        ids = _checked_indices(indices)
        numbers = _checked_values(values)
        if len(ids) != len(numbers):
            raise InputError(f"{len(numbers)} values and {len(ids)} indices; a sparse vector has one value per index")
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        if len(ids) > 1 and not (ids[1:] > ids[:-1]).all():
            twice = int(ids[1:][ids[1:] == ids[:-1]][0])
            raise InputError(f"index {twice} occurs more than once; add the values of equal indices first")
        numbers = numbers[order]
        ids.flags.writeable = numbers.flags.writeable = False
        _set_values(self, numbers)
        _set_indices(self, ids)

    @classmethod
    def trusted(cls, values: Array, indices: Array) -> SparseEmbedding:
        """Wrap arrays that already follow the rules and are read-only, without checks."""
        embedding: SparseEmbedding = _new(cls)
        _set_values(embedding, values)
        _set_indices(embedding, indices)
        return embedding

    @classmethod
    def from_dict(cls, data: Mapping[int, float]) -> SparseEmbedding:
        """Make a vector of ``{index: value}``; an InputError if one of them cannot be used."""
        return cls(list(data.values()), list(data.keys()))

    def as_object(self) -> dict[str, Array]:
        """Give the arrays of the vector itself, ``{"values": ..., "indices": ...}``."""
        return {"values": self.values, "indices": self.indices}

    def as_dict(self) -> dict[int, float]:
        """Give the entries as ``{index: value}`` of Python numbers, indices ascending."""
        return dict(zip(self.indices.tolist(), self.values.tolist(), strict=True))

    def to_qdrant(self) -> SparseVector:
        """Convert to a ``qdrant_client.models.SparseVector``; a MissingExtraError if qdrant-client is not installed."""
        try:
            from qdrant_client.models import SparseVector
        except ImportError as error:
            raise MissingExtraError("to_qdrant() needs the Qdrant client: pip install qdrant-client") from error
        return SparseVector(indices=self.indices.tolist(), values=self.values.tolist())

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseEmbedding):
            return NotImplemented
        return np.array_equal(self.indices, other.indices) and np.array_equal(self.values, other.values)

    def __repr__(self) -> str:
        head = ", ".join(f"{key}: {value:.6g}" for key, value in zip(self.indices[:4], self.values[:4], strict=True))
        return f"SparseEmbedding({{{head}{', ...' if len(self) > 4 else ''}}}, {len(self)} entries)"

    def __reduce__(self) -> tuple[Any, tuple[Array, Array]]:
        return _unpickled, (self.values, self.indices)


# Slots are set through their descriptors: a frozen class refuses assignment, and this is the quickest other way.
_new = object.__new__
_set_values = SparseEmbedding.__dict__["values"].__set__
_set_indices = SparseEmbedding.__dict__["indices"].__set__


def _unpickled(values: Array, indices: Array) -> SparseEmbedding:
    """Arrays come out of a pickle writable."""
    values.flags.writeable = indices.flags.writeable = False
    return SparseEmbedding.trusted(values, indices)


@dataclass(frozen=True, slots=True)
class FlatVectors:
    """Sparse vectors one after the other.

    Attributes:
        values: (entries,) float64.
        indices: (entries,) int64, ascending within a vector.
        ends: (vectors,) int64, where each vector ends.
    """

    values: Array
    indices: Array
    ends: Array

    @classmethod
    def joined(cls, embeddings: Sequence[SparseEmbedding]) -> FlatVectors:
        """Copy vectors into shared arrays."""
        return cls(
            values=np.concatenate([np.zeros(0, dtype=np.float64), *(embedding.values for embedding in embeddings)]),
            indices=np.concatenate([np.zeros(0, dtype=np.int64), *(embedding.indices for embedding in embeddings)]),
            ends=np.cumsum([len(embedding) for embedding in embeddings], dtype=np.int64),
        )

    @property
    def bounds(self) -> Array:
        """(vectors + 1,) int64; vector ``i`` is the entries from ``bounds[i]`` to ``bounds[i + 1]``."""
        return np.concatenate([np.zeros(1, dtype=np.int64), self.ends])

    def split(self) -> list[SparseEmbedding]:
        """Give vectors that share the arrays, which become read-only."""
        values, indices = self.values, self.indices
        values.flags.writeable = indices.flags.writeable = False
        embeddings = [_new(SparseEmbedding) for _ in self.ends]
        # As in SparseEmbedding.trusted, without a call for each: this runs once for every document of a collection.
        for embedding, (start, end) in zip(embeddings, pairwise([0, *self.ends.tolist()]), strict=True):
            _set_values(embedding, values[start:end])
            _set_indices(embedding, indices[start:end])
        return embeddings


def split_by_text(texts: Array, indices: Array, values: Array, count: int) -> list[SparseEmbedding]:
    """Make one vector per text of the entries of a whole batch.

    ``texts`` (entries,) ascends and says which of the ``count`` texts an entry belongs to; ``indices`` ascend and are
    unique within a text.
    """
    ends = np.searchsorted(texts, np.arange(1, count + 1))
    return FlatVectors(values.astype(np.float64), indices.astype(np.int64), ends).split()


def to_scipy(embeddings: Sequence[SparseEmbedding], size: int | None = None) -> csr_array[Any, tuple[int, int]]:
    """Stack vectors into one SciPy matrix.

    Args:
        embeddings: One vector per row.
        size: Number of columns; ``None`` for the highest index plus one. BM25's indices go up to 2^31.

    Returns:
        (len(embeddings), size) ``scipy.sparse.csr_array`` of float64.

    Raises:
        MissingExtraError: If SciPy is not installed.
        InputError: If an index is not below ``size``.
    """
    try:
        from scipy.sparse import csr_array
    except ImportError as error:
        raise MissingExtraError("to_scipy() needs SciPy: pip install scipy, or the extra 'onnxembed[index]'") from error
    joined = FlatVectors.joined(embeddings)
    least = int(joined.indices.max(initial=-1)) + 1
    if size is not None and size < least:
        raise InputError(f"size={size}, but the vectors have the index {least - 1}; pass size={least} or more")
    columns = least if size is None else size
    return csr_array((joined.values, joined.indices, joined.bounds), shape=(len(embeddings), columns))


def _checked_indices(indices: Any) -> Array:
    given = _one_dimensional(indices, "indices")
    if len(given) == 0:
        return np.zeros(0, dtype=np.int64)
    if given.dtype.kind not in "iu":
        raise InputError(f"indices are {given.dtype}; expected integers")
    if given.min() < 0 or given.max() > np.iinfo(np.int64).max:
        wrong = given.min() if given.min() < 0 else given.max()
        raise InputError(f"index {wrong} is out of range; expected 0 to 2^63-1")
    return given.astype(np.int64)


def _checked_values(values: Any) -> Array:
    given = _one_dimensional(values, "values")
    if len(given) == 0:
        return np.zeros(0, dtype=np.float64)
    if given.dtype.kind not in "iuf":
        raise InputError(f"values are {given.dtype}; expected real numbers")
    numbers: Array = given.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"value {numbers[~np.isfinite(numbers)][0]} is not finite; leave such entries out")
    return numbers


def _one_dimensional(given: Any, name: str) -> Array:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InputError(f"{name} are not a list of numbers: {error}") from error
    if array.ndim != 1:
        raise InputError(f"{name} have the shape {list(array.shape)}; expected one dimension")
    return array

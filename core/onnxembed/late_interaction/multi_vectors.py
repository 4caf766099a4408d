"""A store of token vectors in float32, float16 or int8."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from onnxembed.errors import InputError
from onnxembed.late_interaction.documents import offsets_of
from onnxembed.late_interaction.matrix import each_of_one_width
from onnxembed.suggest import nearest

Array = np.ndarray[Any, np.dtype[Any]]
Storage: TypeAlias = Literal["float32", "float16", "int8"]

_STORAGES = ("float32", "float16", "int8")
_INT8_LIMIT = 127

# Bit patterns: float16 has a bias of 15, float32 of 127.
_FLOAT16_INFINITY = 0x7C00
_FLOAT16_MINUS_INFINITY = 0xFC00
_FLOAT32_SIGN_AND_REST = np.int32(-0x70002000)  # 0x8FFFE000
_EXPONENTS_APART = np.float32(2.0 ** (127 - 15))


@dataclass(frozen=True, slots=True, eq=False)
class MultiVectors:
    """Many documents in one array: a small store of token vectors for ``maxsim``.

    ``pack`` makes one. The three arrays may also be saved with ``numpy.save`` and come back from
    ``numpy.load(..., mmap_mode="r")``: rows are only read where they are needed.

    - ``float16`` rounds to 11 significant bits: each number is off by at most its own 2^-11 (2^-25 near zero).
    - ``int8`` divides each vector by a scale of its own, the largest magnitude in it / 127, and rounds to the nearest
      integer: each number is off by at most half a scale, and so a dot product with ``q`` by at most
      ``sum(abs(q)) * max(abs(vector)) / 254``.

    Attributes:
        values: (vectors, dim) float32, float16 or int8.
        offsets: (documents + 1,) int64; document ``i`` is the rows from ``offsets[i]`` to ``offsets[i + 1]``.
        scales: (vectors,) float32 for int8 values, else ``None``.
    """

    values: Array
    offsets: Array
    scales: Array | None = None

    def __post_init__(self) -> None:
        values, offsets, scales = self.values, self.offsets, self.scales
        if values.dtype.name not in _STORAGES or values.ndim != 2:
            raise InputError(
                f"values are {values.dtype.name} of shape {values.shape}; expected a matrix (vectors, dim) of "
                f"{', '.join(_STORAGES)}"
            )
        ends = (0, len(values))
        if (
            offsets.dtype != np.int64
            or offsets.ndim != 1
            or len(offsets) < 1
            or (offsets[0], offsets[-1]) != ends
            or bool((np.diff(offsets) < 0).any())
        ):
            raise InputError(f"offsets must be int64 and rise from 0 to {len(values)}, the number of vectors")
        if (values.dtype == np.int8) != (scales is not None):
            raise InputError("scales go with int8 values, and only with them")
        if scales is not None and (scales.dtype != np.float32 or scales.shape != values.shape[:1]):
            raise InputError(
                f"scales are {scales.dtype.name} of shape {scales.shape}; expected float32, one for each of "
                f"{len(values)} vectors"
            )

    @classmethod
    def pack(cls, documents: Iterable[object], dtype: Storage = "float32") -> MultiVectors:
        """Store documents; they are taken one by one, so a generator needs no more memory than the result.

        Args:
            documents: (tokens, dim) matrices; a document may have no rows.
            dtype: How to store numbers: ``"float32"``, ``"float16"`` (half the size) or ``"int8"`` (a quarter).

        Returns:
            The documents, in read-only arrays.

        Raises:
            InputTypeError: If this is no iterable of matrices of numbers.
            InputError: For an unknown ``dtype``, widths that differ, or numbers that the type cannot hold.
        """
        if dtype not in _STORAGES:
            raise InputError(
                f"dtype={dtype!r}; expected one of {', '.join(_STORAGES)}.{nearest(str(dtype), _STORAGES)}"
            )
        rows, scales = bytearray(), bytearray()  # they grow in place
        lengths: list[int] = []
        dim = 0
        for index, matrix in enumerate(each_of_one_width(documents, "document")):
            dim = matrix.shape[1]
            stored, scale = _encode(matrix, dtype, index)
            rows += stored.tobytes()
            scales += scale.tobytes()
            lengths.append(len(matrix))
        offsets = offsets_of(lengths)
        values = np.frombuffer(rows, dtype).reshape(int(offsets[-1]), dim)
        kept = np.frombuffer(scales, np.float32) if dtype == "int8" else None
        for array in (values, offsets, kept):
            if array is not None:
                array.flags.writeable = False
        return cls(values, offsets, kept)

    @property
    def dim(self) -> int:
        """Numbers of a vector; 0 if ``pack`` was given no document."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes that the numbers take."""
        return self.values.nbytes + self.offsets.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Array:
        """Decode one document, (tokens, dim) float32; negative positions count from the end."""
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"document {position} of {len(self)}")
        position %= len(self)
        start, stop = int(self.offsets[position]), int(self.offsets[position + 1])
        return self.read(start, stop, np.empty((stop - start, self.dim), np.float32))

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def read(self, start: int, stop: int, buffer: Array) -> Array:
        """Decode rows; see ``Documents.read``."""
        rows = self.values[start:stop]
        if rows.dtype == np.float32:
            return rows
        decoded = buffer[: stop - start]
        if rows.dtype == np.float16:
            _widen(rows, decoded)
        else:
            np.copyto(decoded, rows)
        if self.scales is not None:
            decoded *= self.scales[start:stop, None]
        return decoded


def _widen(rows: Array, out: Array) -> None:
    """Convert float16 to float32, exactly, into ``out``, contiguous and of the same shape.

    Sign, exponent and fraction are moved to where float32 has them; one product then corrects the exponent, for
    subnormal numbers too. NumPy's own conversion goes number by number and takes six times as long, more than the
    product with a query does; only what is not finite is left to it.
    """
    bits = rows.view(np.int16)
    if bits.max(initial=0) >= _FLOAT16_INFINITY or rows.view(np.uint16).max(initial=0) >= _FLOAT16_MINUS_INFINITY:
        np.copyto(out, rows)
        return
    moved = out.view(np.int32)
    np.copyto(moved, bits)  # the sign fills the upper half
    np.left_shift(moved, 13, out=moved)
    np.bitwise_and(moved, _FLOAT32_SIGN_AND_REST, out=moved)
    np.multiply(out, _EXPONENTS_APART, out=out)


def _encode(matrix: Array, dtype: Storage, index: int) -> tuple[Array, Array]:
    """Round the document ``index`` to a storage type: numbers, and one float32 scale per row, which only int8 has."""
    no_scale = np.empty(0, np.float32)
    if dtype == "float32":
        return matrix.astype(np.float32), no_scale
    if dtype == "float16":
        limit = float(np.finfo(np.float16).max)
        largest = float(np.abs(matrix, dtype=np.float64).max(initial=0.0))
        if limit < largest < float("inf"):
            raise InputError(f"document {index} holds {largest:g}, more than float16 can ({limit:g}); use float32")
        return matrix.astype(np.float16), no_scale
    wide = matrix.astype(np.float32)
    if not np.isfinite(wide).all():
        raise InputError(f"document {index} holds numbers that are not finite, which int8 cannot; use float32")
    scale = np.abs(wide).max(axis=1, initial=np.float32(0)) / np.float32(_INT8_LIMIT)
    scale[scale == 0] = 1  # vectors of zeros, or so near zero that the scale itself is
    steps = np.rint(wide / scale[:, None])
    return np.clip(steps, -_INT8_LIMIT, _INT8_LIMIT).astype(np.int8), scale

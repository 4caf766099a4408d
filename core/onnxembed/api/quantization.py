"""Vectors in fewer bits, and back: steps within a range, or signs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from onnxembed.api.output_precision import (
    PACKED,
    STEPPED,
    OutputPrecision,
    parse_output_precision,
    refuse_ranges,
)
from onnxembed.errors import InputError, InputTypeError

Array = np.ndarray[Any, np.dtype[Any]]

_logger = logging.getLogger("onnxembed.output")

_STEPS = 255
_SIGN_BIT = 0x80
# Below this the extremes of a sample are far from those of what follows.
_FEW_VECTORS = 100
_WANTED = "expected float vectors: (dim,), (vectors, dim), or a list of matrices (tokens, dim)"


@overload
def quantize_embeddings(
    vectors: Array, precision: OutputPrecision, ranges: object = None, calibration: object = None
) -> Array: ...
@overload
def quantize_embeddings(
    vectors: object, precision: OutputPrecision, ranges: object = None, calibration: object = None
) -> Any: ...
def quantize_embeddings(
    vectors: object, precision: OutputPrecision, ranges: object = None, calibration: object = None
) -> Any:
    """Encode vectors in fewer bits, with the results of sentence-transformers' function of this name.

    ``int8`` and ``uint8`` cut the range of each dimension into 255 steps and count the whole ones, from -128 or from 0;
    what lies outside becomes the nearest end. ``binary`` and ``ubinary`` keep whether each number is above 0, as bits,
    the first number in the highest bit; ``binary`` is the same byte less 128. Missing bits of the last byte are 0.

    Args:
        vectors: (dim,), (vectors, dim), a list of vectors, or a list of matrices (tokens, dim); any float type.
        precision: ``"float32"``, ``"float16"``, ``"int8"``, ``"uint8"``, ``"binary"`` or ``"ubinary"``.
        ranges: (2, dim), the least and the largest value of each dimension, for ``int8`` and ``uint8``; queries need
            those of the documents.
        calibration: (vectors, dim), a sample to take the ranges from instead. With neither they are those of
            ``vectors``, which must be several.

    Returns:
        Of the same form: float32, float16, int8 or uint8, for ``binary`` and ``ubinary`` int8 and uint8 with
        ``ceil(dim / 8)`` entries a vector. For a list of matrices a list.

    Raises:
        InputError: For shapes that do not fit, ranges that are needed and cannot be had, or numbers that the type
            cannot hold.
        InputTypeError: For what are no float vectors, such as vectors that are encoded already.
    """
    output = Output.read(precision, ranges, calibration, name="precision")
    if isinstance(vectors, list | tuple):
        if not vectors:
            return []
        if np.ndim(vectors[0]) == 2:
            return output.all_of(_matrices(vectors))
    return output.of(_floats(vectors, "vectors", 1, 2))


def quantization_ranges(vectors: object) -> Array:
    """Measure the least and the largest value of each dimension; a warning in the log says when vectors are few.

    Args:
        vectors: (vectors, dim), two or more, or a list of matrices (tokens, dim).

    Returns:
        (2, dim) float32, the ``ranges`` of `quantize_embeddings` and of the ``embed`` methods.

    Raises:
        InputError: For fewer than two vectors, or numbers that are not finite.
    """
    if isinstance(vectors, list | tuple) and vectors and np.ndim(vectors[0]) == 2:
        vectors = np.concatenate(_matrices(vectors))
    rows = _floats(vectors, "vectors", 1, 2)
    if rows.ndim == 1 or len(rows) < 2:
        raise InputError(
            "the ranges of int8 and uint8 cannot be measured with fewer than two vectors: pass ranges=, such as "
            "quantization_ranges(vectors) of many documents"
        )
    if len(rows) < _FEW_VECTORS:
        _logger.warning(
            "the ranges of int8 and uint8 are measured with %d vectors only; pass those of %d or more as ranges=",
            len(rows),
            _FEW_VECTORS,
        )
    return _ranges(np.stack([rows.min(axis=0), rows.max(axis=0)]), "vectors")


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """How results are encoded.

    Attributes:
        precision: In which numbers.
        ranges: (2, dim) float32 for int8 and uint8; ``None`` there means those of all vectors together.
    """

    precision: OutputPrecision
    ranges: Array | None = None

    @classmethod
    def read(
        cls, precision: object, ranges: object, calibration: object = None, name: str = "output_precision"
    ) -> Output:
        """Read and check what a caller asks for."""
        parsed = parse_output_precision(precision, name)
        refuse_ranges(parsed, ranges)
        refuse_ranges(parsed, calibration, "calibration")
        if calibration is not None:
            if ranges is not None:
                raise InputError("ranges= and calibration= are both given; pass one of them")
            return cls(parsed, quantization_ranges(calibration))
        return cls(parsed, None if ranges is None else _ranges(ranges, "ranges"))

    @property
    def waits(self) -> bool:
        """Whether nothing can be encoded before all vectors are known."""
        return self.precision in STEPPED and self.ranges is None

    def each(self, vectors: Iterable[Array]) -> Iterator[Array]:
        """Encode vectors, or matrices, as they come; without ranges all are held until the last one is there."""
        if self.waits:
            yield from self.all_of(list(vectors))
        else:
            for vector in vectors:
                yield self.of(vector)

    def all_of(self, arrays: list[Array]) -> list[Array]:
        """Encode vectors, or matrices, with one range for all."""
        output = self
        if self.waits and any(map(len, arrays)):
            rows = np.stack(arrays) if arrays[0].ndim == 1 else np.concatenate(arrays)
            output = Output(self.precision, quantization_ranges(rows))
        return [output.of(array) for array in arrays]

    def of(self, vectors: Array) -> Array:
        """Encode a vector or a matrix of floats."""
        if self.precision in STEPPED:
            return self._steps(vectors)
        if self.precision in PACKED:
            return self._signs(vectors)
        return _rounded(vectors, self.precision)

    def decode(self, encoded: Array, dim: int) -> Array:
        """Give float32 numbers near those that were encoded: the middle of a step, or -1 and 1 for signs."""
        if self.precision in PACKED:
            octets = encoded.view(np.uint8) ^ np.uint8(_SIGN_BIT) if self.precision == "binary" else encoded
            bits: Array = np.unpackbits(octets, axis=-1, count=dim)
            return bits.astype(np.float32) * 2 - 1
        if self.precision not in STEPPED:
            return encoded.astype(np.float32, copy=False)
        if self.ranges is None:
            raise InputError(f"{self.precision} vectors cannot be read without the ranges= they were made with")
        self._check_width(dim)
        low, high = self.ranges
        levels = encoded.astype(np.float32) + (128.5 if self.precision == "int8" else 0.5)
        decoded: Array = low + levels * ((high - low) / _STEPS)
        return decoded

    def _steps(self, vectors: Array) -> Array:
        kind = np.int8 if self.precision == "int8" else np.uint8
        if vectors.ndim == 2 and not len(vectors):
            return np.zeros(vectors.shape, kind)
        ranges = quantization_ranges(vectors) if self.ranges is None else self.ranges
        Output(self.precision, ranges)._check_width(vectors.shape[-1])
        if not np.isfinite(vectors).all():
            raise InputError(f"the vectors hold numbers that are not finite, which {self.precision} cannot")
        low, high = ranges
        step = (high - low) / _STEPS
        step[step == 0] = 1
        levels: Array = np.clip(np.floor((vectors - low) / step), 0, _STEPS)
        return (levels - 128 if kind is np.int8 else levels).astype(kind)

    def _check_width(self, dim: int) -> None:
        """Refuse ranges of other vectors."""
        if self.ranges is not None and self.ranges.shape[1] != dim:
            raise InputError(f"ranges= are of {self.ranges.shape[1]} dimensions, the vectors have {dim}")

    def _signs(self, vectors: Array) -> Array:
        if np.isnan(vectors).any():
            raise InputError(f"the vectors hold NaN, which has no sign for {self.precision}")
        packed: Array = np.packbits(vectors > 0, axis=-1)
        if self.precision == "binary":
            packed = (packed ^ np.uint8(_SIGN_BIT)).view(np.int8)
        return packed


def _rounded(vectors: Array, precision: OutputPrecision) -> Array:
    """Convert to a float type; numbers that float16 would make infinite are refused."""
    if precision == "float32":
        return vectors.astype(np.float32)
    limit = float(np.finfo(np.float16).max)
    largest = float(np.abs(vectors, dtype=np.float64).max(initial=0.0))
    if limit < largest < float("inf"):
        raise InputError(f"the vectors hold {largest:g}, more than float16 can ({limit:g}); use float32")
    return vectors.astype(np.float16)


def _floats(values: object, name: str, *dimensions: int) -> Array:
    """Read float vectors; bytes are most likely encoded already."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name}: {_WANTED}; given {type(values).__name__} ({error})") from None
    if array.dtype in (np.int8, np.uint8):
        raise InputTypeError(f"{name} are {array.dtype.name}, which is encoded already; {_WANTED}")
    if array.dtype.kind not in "fiu":
        raise InputTypeError(f"{name}: {_WANTED}; given {type(values).__name__} holding {array.dtype.name}")
    if array.ndim not in dimensions:
        raise InputError(f"{name} have the shape {array.shape}; {_WANTED}")
    return array


def _matrices(values: Sequence[object]) -> list[Array]:
    """Read matrices of one width."""
    matrices = [_floats(matrix, "vectors", 2) for matrix in values]
    widths = sorted({matrix.shape[1] for matrix in matrices})
    if len(widths) > 1:
        raise InputError(f"vectors are matrices of {', '.join(map(str, widths))} numbers a row; expected one length")
    return matrices


def _ranges(values: object, name: str) -> Array:
    """Read ranges: two rows, the first nowhere above the second, and no further apart than float32 can tell."""
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and refused
            array = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name}: expected ranges (2, dim); given {type(values).__name__} ({error})") from None
    if array.ndim != 2 or len(array) != 2:
        raise InputError(f"{name} have the shape {array.shape}; expected (2, dim), the least and the largest values")
    if not np.isfinite(array).all():
        raise InputError(f"{name} hold numbers that are not finite; int8 and uint8 need finite ranges")
    if bool((array[0] > array[1]).any()):
        raise InputError(f"{name}: a least value is above the largest; expected the rows (least, largest)")
    with np.errstate(over="ignore"):
        if not np.isfinite(array[1] - array[0]).all():
            raise InputError(f"{name} are further apart than float32 can hold ({np.finfo(np.float32).max:g})")
    return array

"""In which numbers results are given: the names, with the meaning that sentence-transformers gives them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from onnxembed.errors import InputError, InputTypeError
from onnxembed.suggest import nearest

OutputPrecision: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
"""What the numbers of a result are.

``float32`` and ``float16`` are numbers as they are; ``int8`` and ``uint8`` are steps, 255 between the least and the
largest value of each dimension; ``binary`` and ``ubinary`` are signs, one bit for each number, eight in a byte.
"""
OUTPUT_PRECISIONS: Final[tuple[OutputPrecision, ...]] = get_args(OutputPrecision)
STEPPED: Final = ("int8", "uint8")
"""Those that need the range of each dimension."""
PACKED: Final = ("binary", "ubinary")
"""Those that keep signs only."""


def parse_output_precision(value: object, name: str = "output_precision") -> OutputPrecision:
    """Read the name of an output precision."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected one of {_listed()}")
    if value not in OUTPUT_PRECISIONS:
        raise InputError(f"{name}={value!r}: expected one of {_listed()}.{nearest(value, OUTPUT_PRECISIONS)}")
    return value


def refuse_ranges(precision: OutputPrecision, ranges: object, name: str = "ranges") -> None:
    """Refuse ranges where they would be passed over."""
    if ranges is not None and precision not in STEPPED:
        raise InputError(f"{name}= goes with {' and '.join(STEPPED)}; {precision} needs none: leave it out")


def width_of(precision: OutputPrecision, dim: int) -> int:
    """Entries of a result for vectors of ``dim`` numbers."""
    return (dim + 7) // 8 if precision in PACKED else dim


def _listed() -> str:
    return ", ".join(map(repr, OUTPUT_PRECISIONS))

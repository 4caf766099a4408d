"""In which numbers a model is computed: the names, and what this processor has for them."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from onnxembed.errors import InputError, InputTypeError
from onnxembed.suggest import nearest

logger = logging.getLogger("onnxembed.runtime")

FULL_BITS = 32
"""Bits of a number of single precision."""
AUTO = "auto"
"""What leaves the choice to the machine; see `onnxembed.runtime.precision_choice`."""
_CPU_FILE = Path("/proc/cpuinfo")
_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
"""What Linux calls the instructions that add four 8-bit products at once, on x86 and on ARM."""
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What Linux calls the instructions that multiply bfloat16, on x86 and on ARM."""
_ARM = frozenset({"aarch64", "arm64"})


class Precision(StrEnum):
    """How the large products of a model are computed."""

    FP32 = "fp32"
    """In single precision."""
    TF32 = "tf32"
    """In NVIDIA's tensor units, which take 11 bits of each number of single precision."""
    INT8 = "int8"
    """In 8-bit integers, with one scale per row: a text's vector does not depend on its neighbours. The tables of token
    vectors are kept in 8 bits, too."""
    FP16 = "fp16"
    """In floats of 16 bits, 11 of them for the number, with all that is sensitive in single precision."""
    BF16 = "bf16"
    """In floats of 16 bits, 8 of them for the number."""


PRECISION_NAMES = (*(one.value for one in Precision), AUTO)
"""All that ``precision=`` takes."""


class GraphNumbers(StrEnum):
    """The numbers of the graph that is loaded for a precision."""

    SINGLE = "float32"
    INT8 = "int8"
    INT7 = "int7"
    """8-bit products whose weights have 7, for processors that add two products in 16 bits."""
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


WEIGHT_BITS: Mapping[GraphNumbers, int] = {GraphNumbers.INT8: 8, GraphNumbers.INT7: 7}
"""Bits that the weights of 8-bit products are rounded to."""


def parse_precision(value: object, name: str) -> Precision | str:
    """Read a precision, or its name in any case; `AUTO` stays as it is."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected a precision such as 'fp32' or 'int8'")
    if value.lower() not in PRECISION_NAMES:
        raise InputError(
            f"{name}={value!r} is no precision; known are {', '.join(map(repr, PRECISION_NAMES))}."
            f"{nearest(value.lower(), PRECISION_NAMES)}"
        )
    return AUTO if value.lower() == AUTO else Precision(value.lower())


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return platform.machine().lower() in _ARM


@cache
def has_dot_products(cpu_file: Path = _CPU_FILE) -> bool:
    """Whether this processor adds 8-bit products without overflow in between; an unknown one is taken for one without.

    Others add two products in 16 bits, which overflow: weights are rounded to 7 bits for them.
    """
    if sys.platform == "darwin" and is_arm():
        return True  # every one of them has
    return _has(_DOT_PRODUCTS, cpu_file)


@cache
def has_bfloat16(cpu_file: Path = _CPU_FILE) -> bool:
    """Whether this processor multiplies bfloat16; an unknown one is taken for one that does not."""
    return _has(_BFLOAT16, cpu_file)


def _has(wanted: frozenset[str], cpu_file: Path) -> bool:
    try:
        text = cpu_file.read_text("ascii", "replace")
    except OSError:
        return False
    lines = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features")))
    return any(not wanted.isdisjoint(line) for line in lines)


def integer_form(*, dot_products: bool | None = None) -> GraphNumbers:
    """The form of 8-bit products on this processor, with a warning where it is the lesser one.

    ``dot_products`` overrides what the processor has.
    """
    form = _integer_form(dot_products)
    if form is GraphNumbers.INT7:
        logger.warning(
            "this processor has no 8-bit dot products, so that weights are rounded to 7 bits: vectors differ a little "
            "from those of processors that have, and precision='fp32' may be the faster"
        )
    return form


def _integer_form(dot_products: bool | None) -> GraphNumbers:
    there = has_dot_products() if dot_products is None else dot_products
    return GraphNumbers.INT8 if there else GraphNumbers.INT7


def weight_bits(precision: Precision, *, dot_products: bool | None = None) -> int:
    """Bits that the weights of 8-bit products are rounded to here; 32 for other precisions."""
    if precision is not Precision.INT8:
        return FULL_BITS
    return WEIGHT_BITS[_integer_form(dot_products)]

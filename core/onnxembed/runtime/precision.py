"""In which numbers a model is computed."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from functools import cache
from pathlib import Path

from onnxembed.errors import InputError, InputTypeError
from onnxembed.suggest import nearest

logger = logging.getLogger("onnxembed.runtime")

FULL_BITS = 32
"""Bits of a number of single precision."""
_CPU_FILE = Path("/proc/cpuinfo")
_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
"""What Linux calls the instructions that add four 8-bit products at once, on x86 and on ARM."""


class Precision(StrEnum):
    """How the large products of a model are computed."""

    FP32 = "fp32"
    """In single precision."""
    INT8 = "int8"
    """In 8-bit integers, with one scale per row: a text's vector does not depend on its neighbours. The tables of token
    vectors are kept in 8 bits, too."""


def parse_precision(value: object, name: str) -> Precision:
    """Read a precision, or its name in any case."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected a precision such as 'fp32' or 'int8'")
    names = [precision.value for precision in Precision]
    if value.lower() not in names:
        raise InputError(
            f"{name}={value!r} is no precision; known are {', '.join(map(repr, names))}.{nearest(value.lower(), names)}"
        )
    return Precision(value.lower())


@cache
def has_dot_products(cpu_file: Path = _CPU_FILE) -> bool:
    """Whether this processor adds 8-bit products without overflow in between; an unknown one is taken for one without.

    Others add two products in 16 bits, which overflow: weights are rounded to 7 bits for them.
    """
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        return True  # every one of them has
    try:
        text = cpu_file.read_text("ascii", "replace")
    except OSError:
        return False
    lines = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features")))
    return any(not _DOT_PRODUCTS.isdisjoint(line) for line in lines)


def weight_bits(precision: Precision, *, dot_products: bool | None = None) -> int:
    """Bits that the weights are rounded to; 32 for single precision. ``dot_products`` overrides the processor."""
    if precision is Precision.FP32:
        return FULL_BITS
    if has_dot_products() if dot_products is None else dot_products:
        return 8
    logger.warning(
        "this processor has no 8-bit dot products, so that weights are rounded to 7 bits: vectors differ a little from "
        "those of processors that have, and precision='fp32' may be the faster"
    )
    return 7

"""The two formats of 16 bits: what they hold, and which operators are given to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.compile.graph_builder import BFLOAT16 as BFLOAT16_NUMBER
from onnxembed.compile.graph_builder import FLOAT16 as FLOAT16_NUMBER
from onnxembed.compile.graph_builder import MICROSOFT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Operators = dict[tuple[str, str], tuple[int, ...]]
"""By domain and name: the places of the inputs that have the type of the first output."""
PLACE_OF_BIAS = 5
"""Where both attentions of ONNX Runtime take what is added to the scores."""


@dataclass(frozen=True, slots=True)
class HalfFormat:
    """A float of 16 bits.

    Attributes:
        name: Its name, as `GraphBuilder` knows it.
        number: ONNX's number of it.
        largest: The largest number that it holds.
        narrow: Rounds numbers of single precision to it, and gives them as they are stored.
        computed: What runs in it wherever its inputs are of single precision.
        carried: What runs in it where its first input is in it already.
        scaled: What runs in it where one input is in it already, and the other a constant of one axis at most.
    """

    name: str
    number: int
    largest: float
    narrow: Callable[[NDArray[np.float32]], NDArray[np.generic]]
    computed: Mapping[tuple[str, str], tuple[int, ...]]
    carried: Mapping[tuple[str, str], tuple[int, ...]]
    scaled: frozenset[str]


def _to_float16(numbers: NDArray[np.float32]) -> NDArray[np.generic]:
    return numbers.astype(np.float16)


def _to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.generic]:
    """Keep the upper 16 bits, rounded to the nearest, a half to the even one; what is no number stays none."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(numbers), np.uint32(0x7FC0), rounded).astype(np.uint16)


_PRODUCTS: Operators = {("", "MatMul"): (0, 1), ("", "Gemm"): (0, 1, 2)}
_MOVING: Operators = {
    ("", operator): (0,)
    for operator in ("Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
}
_ACTIVATIONS: Operators = {
    **{("", operator): (0,) for operator in ("Gelu", "Relu", "Sigmoid", "Tanh")},
    **{(MICROSOFT, operator): (0,) for operator in ("Gelu", "QuickGelu")},
    **{(MICROSOFT, operator): (0, 1) for operator in ("BiasGelu", "FastGelu")},
}

FLOAT16 = HalfFormat(
    "float16",
    FLOAT16_NUMBER,
    65504.0,
    _to_float16,
    {
        **_PRODUCTS,
        ("", "Conv"): (0, 1, 2),
        (MICROSOFT, "FusedMatMul"): (0, 1),
        # The inputs left out are masks of whole numbers, and what earlier tokens left.
        (MICROSOFT, "Attention"): (0, 1, 2, 5),
        (MICROSOFT, "MultiHeadAttention"): (0, 1, 2, 3, 5),
    },
    {**_MOVING, **_ACTIVATIONS, (MICROSOFT, "RotaryEmbedding"): (0, 2, 3)},
    frozenset({"Add", "Div", "Mul", "Sub"}),
)
"""IEEE's: 11 bits of a number, none above 65504."""

BFLOAT16 = HalfFormat(
    "bfloat16",
    BFLOAT16_NUMBER,
    float(np.finfo(np.float32).max),
    _to_bfloat16,
    _PRODUCTS,
    _MOVING,
    frozenset(),
)
"""The range of single precision with 8 bits of a number. Not every ONNX Runtime has attention and GELU in it."""

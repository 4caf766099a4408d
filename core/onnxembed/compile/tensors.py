"""Constant tensors of a graph, which are made while its file is written, large ones a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STORED_AS = {"bfloat16": "uint16"}
"""Types that numpy lacks, and the type of its arrays that hold them."""
BYTES_AT_A_TIME = 1 << 26
"""The size of the parts that large tensors are made in."""


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor or some of its rows, as the little-endian bytes of the file.

    Attributes:
        shape: Its shape.
        element_type: Its type, as numpy names it, or ``bfloat16``.
        make: Makes it, in whatever order of axes in memory; bfloat16 as uint16.
    """

    shape: tuple[int, ...]
    element_type: str
    make: Callable[[], NDArray[Any]]

    def __len__(self) -> int:
        import numpy as np

        return prod(self.shape) * np.dtype(self._stored_as).itemsize

    def tobytes(self) -> memoryview:
        """Make the bytes."""
        import numpy as np

        value = self.make()
        if value.shape != self.shape or value.dtype.name != self._stored_as:
            raise ValueError(f"a tensor of {self.element_type} {self.shape} is {value.dtype} {value.shape}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return little.reshape(-1).view(np.uint8).data

    @property
    def _stored_as(self) -> str:
        return _STORED_AS.get(self.element_type, self.element_type)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A constant tensor, whose parts lie one after the other; there is at least one."""

    shape: tuple[int, ...]
    parts: Sequence[Part]

    @property
    def element_type(self) -> str:
        """Its type, as `Part` names it."""
        return self.parts[0].element_type

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def parts_by_rows(shape: tuple[int, ...], make: Callable[[slice], NDArray[Any]]) -> list[Part]:
    """Divide a float32 tensor into parts of some rows each, which ``make`` gives; one without axes is one part."""
    if not shape:
        return [Part((), "float32", partial(make, slice(None)))]
    count = max(1, BYTES_AT_A_TIME // max(1, 4 * prod(shape[1:])))
    starts = range(0, max(1, shape[0]), count)
    all_rows = [slice(start, min(start + count, shape[0])) for start in starts]
    return [Part((rows.stop - rows.start, *shape[1:]), "float32", partial(make, rows)) for rows in all_rows]

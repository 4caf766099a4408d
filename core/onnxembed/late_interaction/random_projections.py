"""The random hyperplanes and projections of MUVERA, and how they are applied to token vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Of float32's products, as a part of the lengths of both vectors: twice what rounding may add up to, per number.
_ROUNDING = float(np.finfo(np.float32).eps)
# Below this length float32 has no digits left to be sure of.
_SHORTEST = 1e-18
_BITS_OF_BYTE = 8


@dataclass(frozen=True, slots=True, eq=False)
class RandomProjections:
    """Hyperplanes and projections of all repetitions, side by side.

    Attributes:
        repetitions: How many.
        hyperplanes: (planes of each * repetitions, dim) float64: the first planes of all repetitions, then the second.
        longest: Length of the longest of them.
        rough_hyperplanes: The same in float32.
        signs: (dim, repetitions * projected numbers) float32 of -1 and 1; ``None`` without projection.
    """

    repetitions: int
    hyperplanes: Array
    longest: float
    rough_hyperplanes: Array
    signs: Array | None

    def clusters_of(self, rows: Array) -> Array:
        """Number the cluster of each row, (rows, repetitions) intp: bit ``i`` is set above hyperplane ``i``.

        Float32 says the side of a row that is not too near to a hyperplane, in half the time; float64 says the others.
        """
        if rows.dtype in (np.float16, np.float32):
            above = self._above(rows.astype(np.float32, copy=False))
        else:
            above = self.hyperplanes @ rows.astype(np.float64, copy=False).T > 0
        bits = above.reshape(-1, self.repetitions, len(rows))
        number_type = np.uint8 if len(bits) <= _BITS_OF_BYTE else np.intp
        numbers = bits[-1].astype(number_type)
        for bit in bits[-2::-1]:
            numbers <<= 1
            numbers |= bit
        of_rows: Array = numbers.astype(np.intp, copy=False).T
        return of_rows

    def _above(self, rows: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            limit = len(rows[0]) * _ROUNDING * self.longest * float(np.sqrt(np.einsum("rn,rn->r", rows, rows).max()))
            if not _SHORTEST < limit < np.inf:
                exact: Array = self.hyperplanes @ rows.astype(np.float64).T > 0
                return exact
            products = self.rough_hyperplanes @ rows.T
        above: Array = products > 0
        near = np.flatnonzero((np.abs(products) <= limit).any(axis=0))
        if len(near):
            above[:, near] = self.hyperplanes @ rows[near].astype(np.float64).T > 0
        return above

    def project(self, rows: Array) -> Array:
        """Project each row for each repetition, unscaled: (rows, repetitions, projected numbers) of the same type."""
        if self.signs is None:
            return np.broadcast_to(rows[:, None, :], (len(rows), self.repetitions, rows.shape[1]))
        projected: Array = rows @ self.signs.astype(rows.dtype, copy=False)
        return projected.reshape(len(rows), self.repetitions, -1)


@lru_cache(maxsize=8)
def random_projections(dim: int, k_sim: int, dim_proj: int, r_reps: int, random_seed: int) -> RandomProjections:
    """Draw, in the order and with the generator calls of fastembed 0.9.1, on which the numbers depend.

    The arguments are those of ``Muvera``. The arrays are shared, and not to be written to.
    """
    generator = np.random.default_rng(random_seed)
    drawn = np.stack([generator.normal(size=(dim, k_sim)) for _ in range(r_reps)])
    hyperplanes = np.ascontiguousarray(drawn.transpose(2, 0, 1)).reshape(k_sim * r_reps, dim)
    longest = float(np.linalg.norm(hyperplanes, axis=1).max())
    rough = hyperplanes.astype(np.float32)
    if dim_proj == dim:
        return RandomProjections(r_reps, hyperplanes, longest, rough, None)
    signs = generator.choice([-1, 1], size=(r_reps, dim, dim_proj))
    side_by_side = signs.transpose(1, 0, 2).reshape(dim, r_reps * dim_proj)
    return RandomProjections(r_reps, hyperplanes, longest, rough, side_by_side.astype(np.float32))

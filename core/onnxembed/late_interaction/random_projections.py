"""The random hyperplanes and projections of MUVERA, and how they are applied to token vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class RandomProjections:
    """Hyperplanes and projections of all repetitions, side by side.

    Attributes:
        repetitions: How many.
        hyperplanes: (dim, repetitions * planes of each) float64.
        signs: (dim, repetitions * projected numbers) float32 of -1 and 1; ``None`` without projection.
    """

    repetitions: int
    hyperplanes: Array
    signs: Array | None

    def clusters_of(self, rows: Array) -> Array:
        """Number the cluster of each row, (rows, repetitions) intp: bit ``i`` is set above hyperplane ``i``."""
        planes = self.hyperplanes.shape[1] // self.repetitions
        above = rows.astype(np.float64, copy=False) @ self.hyperplanes > 0
        bits = above.reshape(-1, planes).astype(np.float32)
        numbers: Array = (bits @ np.exp2(np.arange(planes, dtype=np.float32))).astype(np.intp)
        return numbers.reshape(len(rows), self.repetitions)

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
    hyperplanes = np.concatenate([generator.normal(size=(dim, k_sim)) for _ in range(r_reps)], axis=1)
    if dim_proj == dim:
        return RandomProjections(r_reps, hyperplanes, None)
    signs = generator.choice([-1, 1], size=(r_reps, dim, dim_proj))
    side_by_side = signs.transpose(1, 0, 2).reshape(dim, r_reps * dim_proj)
    return RandomProjections(r_reps, hyperplanes, side_by_side.astype(np.float32))

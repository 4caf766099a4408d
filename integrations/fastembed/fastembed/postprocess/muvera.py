"""MUVERA in double precision, as fastembed computes it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fastembed.common.types import NumpyArray
from onnxembed import Muvera as CoreMuvera


class MultiVectorModel(Protocol):
    """A late-interaction model, as far as MUVERA needs to know it."""

    @property
    def embedding_size(self) -> int:
        """Numbers of a token vector."""
        ...


class Muvera:
    """Turns matrices of token vectors into single vectors of float64; `onnxembed.Muvera` gives float32 and batches."""

    def __init__(self, dim: int, k_sim: int = 5, dim_proj: int = 16, r_reps: int = 20, random_seed: int = 42) -> None:
        """Take the settings of `onnxembed.Muvera`; a ValueError if ``dim_proj`` is more than ``dim``."""
        self._core = CoreMuvera(dim, k_sim, dim_proj, r_reps, random_seed)
        self.dim, self.k_sim, self.dim_proj = self._core.dim, self._core.k_sim, self._core.dim_proj
        self.r_reps, self.random_seed = self._core.r_reps, self._core.random_seed

    @classmethod
    def from_multivector_model(
        cls, model: MultiVectorModel, k_sim: int = 5, dim_proj: int = 16, r_reps: int = 20, random_seed: int = 42
    ) -> Muvera:
        """Take ``dim`` from a late-interaction model."""
        return cls(model.embedding_size, k_sim, dim_proj, r_reps, random_seed)

    @property
    def embedding_size(self) -> int:
        """Numbers of a result."""
        return self._core.embedding_size

    def process_document(self, vectors: NumpyArray) -> NumpyArray:
        """Encode a document, (tokens, dim), to (embedding_size,) float64."""
        return self.process(vectors)

    def process_query(self, vectors: NumpyArray) -> NumpyArray:
        """Encode a query, (tokens, dim), to (embedding_size,) float64."""
        return self.process(vectors, fill_empty_clusters=False, normalize_by_count=False)

    def process(
        self, vectors: NumpyArray, fill_empty_clusters: bool = True, normalize_by_count: bool = True
    ) -> NumpyArray:
        """Encode one matrix of one row or more, by `onnxembed.Muvera.process` in float64."""
        encoded: NumpyArray = self._core.process(
            np.asarray(vectors), fill_empty_clusters, normalize_by_count, dtype="float64"
        )
        return encoded

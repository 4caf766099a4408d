"""MUVERA: one vector of fixed length for a document of many, whose dot product approximates MaxSim.

Dhulipala, Hadian, Jayaram, Lee and Mirrokni, "MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings", 2024,
arXiv:2405.19504. Space is cut by random hyperplanes into ``2 ** k_sim`` clusters, ``r_reps`` times. A query sums
its vectors in each cluster, a document averages them; each sum is projected at random to ``dim_proj`` numbers.

Random numbers are those of fastembed 0.9.1 for the same settings, and so are the vectors. Which side of a hyperplane a
vector lies on is what float64 says, as there, so that vectors near one go the same way. The projection is computed
in float32, and in float64 for documents of float64 or integers; results are float32 unless float64 is asked for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.clusters import FEW_CLUSTERS, first_rows, nearest_few, nearest_many, sum_few, sum_many
from onnxembed.late_interaction.matrix import as_matrix, each_matrix
from onnxembed.late_interaction.random_projections import RandomProjections, random_projections

Array = np.ndarray[Any, np.dtype[Any]]

# Documents encoded at once. Larger products are no faster per row, and these stay in the caches.
_BATCH_ROWS = 1024
_BATCH_DOCUMENTS = 64
_FLOAT32: np.dtype[Any] = np.dtype(np.float32)


class MultiVectorModel(Protocol):
    """A late-interaction model, as far as MUVERA needs to know it."""

    @property
    def embedding_size(self) -> int:
        """Numbers of a token vector."""
        ...


@dataclass(frozen=True, slots=True)
class Muvera:
    """Turns matrices of token vectors into single vectors.

    Equal settings give equal vectors, everywhere. Pickles hold the five numbers alone. Safe to share between threads.

    Attributes:
        dim: Numbers of a token vector.
        k_sim: Hyperplanes of a repetition; it has ``2 ** k_sim`` clusters.
        dim_proj: Numbers that a cluster is projected to; ``dim`` for no projection.
        r_reps: Repetitions.
        random_seed: Seed of the random numbers.
    """

    dim: int
    k_sim: int = 5
    dim_proj: int = 16
    r_reps: int = 20
    random_seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("k_sim", 1), ("dim_proj", 1), ("r_reps", 1), ("random_seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise InputTypeError(f"{name} is {type(value).__name__}; expected an integer of {least} or more")
            if value < least:
                raise InputError(f"{name}={value}; expected {least} or more")
            object.__setattr__(self, name, operator.index(value))
        if self.dim_proj > self.dim:
            raise InputError(f"dim_proj={self.dim_proj} is more than dim={self.dim}; expected at most dim")

    @classmethod
    def from_multivector_model(
        cls, model: MultiVectorModel, k_sim: int = 5, dim_proj: int = 16, r_reps: int = 20, random_seed: int = 42
    ) -> Muvera:
        """Take ``dim`` from a late-interaction model, that is, from anything with an ``embedding_size``."""
        dim = getattr(model, "embedding_size", None)
        if dim is None:
            raise InputTypeError(
                f"{type(model).__name__} has no embedding_size; expected a late-interaction model, or write Muvera(dim)"
            )
        return cls(dim, k_sim, dim_proj, r_reps, random_seed)

    @property
    def embedding_size(self) -> int:
        """Numbers of a result: ``r_reps * 2 ** k_sim * dim_proj``."""
        return self.r_reps * (1 << self.k_sim) * self.dim_proj

    def process_document(self, vectors: object) -> Array:
        """Encode a document, (tokens, dim), to (embedding_size,) float32: clusters are averaged, empty ones filled."""
        return self.process(vectors)

    def process_query(self, vectors: object) -> Array:
        """Encode a query, (tokens, dim), to (embedding_size,) float32: clusters are summed, empty ones stay zero."""
        return self.process(vectors, fill_empty_clusters=False, normalize_by_count=False)

    def process(
        self,
        vectors: object,
        fill_empty_clusters: bool = True,
        normalize_by_count: bool = True,
        *,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> Array:
        """Encode one matrix.

        Args:
            vectors: (tokens, dim) matrix of numbers, of one row or more.
            fill_empty_clusters: Whether an empty cluster takes the first vector of the nearest one that is not empty.
                The nearest differs in the fewest bits; of equally near ones it is the one of the lowest number.
            normalize_by_count: Whether sums are divided by how many vectors they hold.
            dtype: ``"float64"`` computes and gives everything in that precision, as fastembed does.

        Returns:
            (embedding_size,) of ``dtype``: repetitions, clusters within them, projected numbers within those.

        Raises:
            InputTypeError: If this is no matrix of numbers.
            InputError: If it has no rows, or not ``dim`` columns.
        """
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype={dtype!r}: expected 'float32' or 'float64'")
        matrix = self._check(as_matrix(vectors, "the matrix"), "the matrix")
        given = matrix.astype(np.float64) if dtype == "float64" else matrix
        encoded: Array = self._encode_all([given], fill_empty_clusters, normalize_by_count, np.dtype(dtype))[0]
        return encoded

    def process_documents(self, documents: Iterable[object]) -> Array:
        """Encode (tokens, dim) matrices to (documents, embedding_size) float32; see ``process_document``."""
        return self._encode_all(self._check_all(documents, "document"), fill=True, average=True)

    def process_queries(self, queries: Iterable[object]) -> Array:
        """Encode (tokens, dim) matrices to (queries, embedding_size) float32; see ``process_query``."""
        return self._encode_all(self._check_all(queries, "query"), fill=False, average=False)

    def _check_all(self, matrices: Iterable[object], name: str) -> list[Array]:
        checked = enumerate(each_matrix(matrices, name, self.dim))
        return [self._check(matrix, f"{name} {index}") for index, matrix in checked]

    def _check(self, matrix: Array, name: str) -> Array:
        if matrix.shape[1] != self.dim:
            raise InputError(
                f"{name} has vectors of {matrix.shape[1]} numbers; this Muvera was made for dim={self.dim}. "
                "Make it with Muvera.from_multivector_model(model) of the model that gave them"
            )
        if not len(matrix):
            raise InputError(f"{name} has no rows; expected one vector or more")
        return matrix

    def _encode_all(
        self, matrices: Sequence[Array], fill: bool, average: bool, dtype: np.dtype[Any] = _FLOAT32
    ) -> Array:
        projections = random_projections(self.dim, self.k_sim, self.dim_proj, self.r_reps, self.random_seed)
        encoded = np.empty((len(matrices), self.embedding_size), dtype)
        for first, last in _batches(matrices):
            # (documents * repetitions * clusters, numbers): a view, filled in place.
            cells = encoded[first:last].reshape(-1, self.dim_proj)
            self._encode(matrices[first:last], projections, cells, fill, average)
        return encoded

    def _encode(
        self, matrices: Sequence[Array], projections: RandomProjections, cells: Array, fill: bool, average: bool
    ) -> None:
        """Encode one batch of one precision into ``cells``, (documents * repetitions * clusters, dim_proj)."""
        rows = np.concatenate(matrices) if len(matrices) > 1 else matrices[0]
        lengths = [len(matrix) for matrix in matrices]
        clusters = 2**self.k_sim
        few = clusters <= FEW_CLUSTERS
        cluster_of = projections.clusters_of(rows)
        vectors = projections.project(rows.astype(_precision(rows), copy=False))
        first_cell = np.repeat(np.arange(0, len(cells), clusters).reshape(-1, self.r_reps), lengths, axis=0)
        cell_of = first_cell + cluster_of
        counts = np.bincount(cell_of.ravel(), minlength=len(cells))

        sums = sum_few(vectors, cluster_of, clusters, lengths) if few else sum_many(vectors, cell_of, len(cells))
        scale = 1.0 if self.dim_proj == self.dim else 1.0 / math.sqrt(self.dim_proj)
        factors = (scale / np.maximum(counts, 1)).astype(sums.dtype)[:, None] if average else scale
        np.multiply(sums, factors, out=cells, casting="same_kind")
        empty = np.flatnonzero(counts == 0)
        if fill and len(empty):
            filled: Array = counts.reshape(len(matrices), self.r_reps, clusters) > 0
            if few:
                wanted: Array = filled.min(axis=2) == 0
                nearest = nearest_few(cluster_of, wanted, clusters, lengths)
            else:
                nearest = nearest_many(filled.reshape(-1, clusters))
            group = empty // clusters
            row = first_rows(cell_of, len(cells))[group * clusters + nearest[empty]]
            cells[empty] = vectors[row, group % self.r_reps] * scale


def _precision(matrix: Array) -> type[np.floating[Any]]:
    return np.float32 if matrix.dtype in (np.float16, np.float32) else np.float64


def _batches(matrices: Sequence[Array]) -> Iterator[tuple[int, int]]:
    """Cut documents into batches of some rows and one precision, so that neighbours do not change a result."""
    first, rows = 0, 0
    for index, matrix in enumerate(matrices):
        if index > first and (
            rows + len(matrix) > _BATCH_ROWS
            or index - first == _BATCH_DOCUMENTS
            or _precision(matrix) is not _precision(matrices[first])
        ):
            yield first, index
            first, rows = index, 0
        rows += len(matrix)
    if matrices:
        yield first, len(matrices)

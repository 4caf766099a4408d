"""Sparse vectors that can be searched in memory: an inverted index as one SciPy matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.api.inputs import check_count
from onnxembed.errors import InputTypeError, MissingExtraError
from onnxembed.sparse.idf import inverse_document_frequency
from onnxembed.sparse.vector import FlatVectors, SparseEmbedding

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Array = np.ndarray[Any, np.dtype[Any]]


class SparseIndex:
    """Vectors by position, searched exactly by their dot product with a query.

    Immutable: `extended` gives a new index. Needs SciPy.

    Args:
        embeddings: The vectors.

    Raises:
        MissingExtraError: If SciPy is not installed.
    """

    def __init__(self, embeddings: Iterable[SparseEmbedding] = ()) -> None:
        self._embeddings = tuple(embeddings)
        for position, embedding in enumerate(self._embeddings):
            _check(embedding, f"vector {position}")
        # Ids go up to 2^31, so columns are the ids that occur, not all that might.
        self._ids, self._columns = _columns(self._embeddings)
        self._document_frequencies = np.diff(self._columns.indptr)

    def __len__(self) -> int:
        return len(self._embeddings)

    def extended(self, embeddings: Iterable[SparseEmbedding]) -> SparseIndex:
        """Give a new index with further vectors at its end."""
        return SparseIndex((*self._embeddings, *embeddings))

    def search(self, query: SparseEmbedding, k: int, *, idf: bool = False) -> tuple[list[int], list[float]]:
        """Find the vectors with the largest dot products.

        Args:
            query: The query.
            k: How many at most.
            idf: Whether the query's weights are multiplied by the inverse document frequencies of this index,
                ``ln((N - n + 0.5) / (n + 0.5) + 1)``, as search engines with an IDF modifier do.

        Returns:
            Positions and scores, best first, equal scores by position; only vectors whose score is not 0.
        """
        k = check_count(k, "k", 1)
        _check(query, "the query")
        places = np.searchsorted(self._ids, query.indices)
        known = places < len(self._ids)
        known[known] = self._ids[places[known]] == query.indices[known]
        columns, weights = places[known], query.values[known]
        if idf:
            weights = weights * inverse_document_frequency(self._document_frequencies[columns], len(self))
        scores = np.asarray(self._columns[:, columns] @ weights, dtype=np.float64)
        found = np.flatnonzero(scores)
        if len(found) > k:
            # Everything as good as the k-th stays in for the moment, so that equal scores go by position.
            least = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= least]
        order = found[np.argsort(-scores[found], kind="stable")][:k]
        return order.tolist(), scores[order].tolist()


def _columns(embeddings: tuple[SparseEmbedding, ...]) -> tuple[Array, csc_array[Any, tuple[int, int]]]:
    """Give the ids that occur, ascending, and the matrix (vectors, ids)."""
    try:
        from scipy.sparse import csc_array, csr_array
    except ImportError as error:
        raise MissingExtraError(
            "a SparseIndex needs SciPy: pip install scipy, or the extra 'onnxembed[index]'"
        ) from error
    joined = FlatVectors.joined(embeddings)
    ids, places = np.unique(joined.indices, return_inverse=True)
    rows = csr_array((joined.values, places, joined.bounds), shape=(len(embeddings), len(ids)))
    return ids, csc_array(rows)


def _check(embedding: object, what: str) -> None:
    if not isinstance(embedding, SparseEmbedding):
        raise InputTypeError(f"{what} is a {type(embedding).__name__}; expected a SparseEmbedding")

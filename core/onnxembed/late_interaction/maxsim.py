"""MaxSim: how well a document answers a query when both have one vector a token.

The score is the sum, over the query's vectors, of the largest dot product with any of the document's (ColBERT, Khattab
& Zaharia, 2020, arXiv:2004.12832, equation 3). Nothing is approximated; everything is computed in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.documents import ArrayList, Documents
from onnxembed.late_interaction.matrix import as_matrix
from onnxembed.late_interaction.multi_vectors import MultiVectors

Array = np.ndarray[Any, np.dtype[Any]]

# A block of document rows, and its product with the query, have at most this many numbers (4 MB of float32). Both then
# stay in the second-level cache: with 200,000 rows and 32 query vectors, 1 to 8 MB took 20-21 ms, 128 MB 34 ms.
_BLOCK_NUMBERS = 1 << 20

# Query vectors multiplied at once. Beyond some hundreds the product gains nothing.
_QUERY_ROWS = 1024

# Up to so many query vectors the product is laid out (document rows, query rows), else the other way round. Maxima
# along the last axis are faster, the first product is. Measured on 200,000 rows of 128 numbers, in ms:
# 8 query vectors 10.6 and 14.9, 32: 20.2 and 22.3, 128: 72 and 50, 1024: 1324 and 312; the bare product 10, 15.5, 44,
# 316. A product for each document took 30-35 with 32 query vectors, a maximum over a reshaped axis 21-22.
_NARROW_QUERY = 48


@dataclass(frozen=True, slots=True)
class _Block:
    """Working memory, used again for every block: fresh pages for each would cost more than the product.

    Attributes:
        rows: (block rows, dim) float32.
        products: (block rows * query rows,) float32.
    """

    rows: Array
    products: Array

    @classmethod
    def fitting(cls, query: Array, most: int) -> _Block:
        """Take memory for products with a query.

        Args:
            query: (query rows, dim).
            most: Rows that all documents have together.

        Returns:
            The memory, not initialised.
        """
        count = max(1, min(most, _BLOCK_NUMBERS // max(query.shape)))
        return cls(np.empty((count, query.shape[1]), np.float32), np.empty(count * len(query), np.float32))


def maxsim(query: object, documents: MultiVectors | Iterable[object]) -> Array:
    """Score documents against one query.

    Memory: besides the scores, some 16 MB, whatever the number and length of the documents (more for queries of over
    1024 vectors).

    Args:
        query: (tokens, dim) matrix of numbers.
        documents: A ``MultiVectors``, or (tokens, dim) matrices of any lengths.

    Returns:
        (documents,) float32. A document, or a query, without vectors scores 0.

    Raises:
        InputTypeError: If something else than matrices of numbers is given.
        InputError: If a matrix is not one, or the widths differ.
    """
    scores: Array = _score(ArrayList([as_matrix(query, "the query")], "query"), _as_documents(documents))[0]
    return scores


def maxsim_matrix(queries: Iterable[object], documents: MultiVectors | Iterable[object]) -> Array:
    """Score documents against many queries.

    Args:
        queries: (tokens, dim) matrices of any lengths.
        documents: As in ``maxsim``.

    Returns:
        (queries, documents) float32.

    Raises:
        InputTypeError: If something else than matrices of numbers is given.
        InputError: If a matrix is not one, or the widths differ.
    """
    return _score(ArrayList(queries, "query"), _as_documents(documents))


def maxsim_top_k(query: object, documents: MultiVectors | Iterable[object], k: int) -> tuple[Array, Array]:
    """Find the documents that score best.

    Args:
        query: (tokens, dim) matrix of numbers.
        documents: As in ``maxsim``.
        k: How many; all of them where there are fewer.

    Returns:
        Positions (k,) int64 and scores (k,) float32, the best first; of equal scores, the lower position first.

    Raises:
        InputTypeError: If something else than matrices of numbers is given, or ``k`` is no integer.
        InputError: If a matrix is not one, the widths differ, or ``k`` is less than 1.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise InputTypeError(f"k is {type(k).__name__}; expected an integer of 1 or more")
    if k < 1:
        raise InputError(f"k={k}; expected 1 or more")
    scores = maxsim(query, documents)
    order = np.argsort(-scores, kind="stable")[: operator.index(k)]
    return order.astype(np.int64, copy=False), scores[order]


def similarities(query: object, document: object) -> Array:
    """Compare every query vector with every vector of one document, as heat maps show it.

    ``similarities(q, d).max(axis=1).sum()`` is the score, and ``.argmax(axis=1)`` the tokens it comes from.

    Args:
        query: (query tokens, dim) matrix of numbers.
        document: (document tokens, dim) matrix of numbers.

    Returns:
        (query tokens, document tokens) float32, the dot products.

    Raises:
        InputTypeError: If something else than matrices of numbers is given.
        InputError: If a matrix is not one, or the widths differ.
    """
    left = as_matrix(query, "the query")
    right = as_matrix(document, "the document")
    _check_width(left.shape[1], right.shape[1])
    products: Array = left.astype(np.float32, copy=False) @ right.astype(np.float32, copy=False).T
    return products


def maxsim_reference(query: object, documents: Iterable[object]) -> Array:
    """Score as the formula says it, one dot product at a time in float64: slow, and the measure of ``maxsim``.

    Args:
        query: (tokens, dim) matrix of numbers.
        documents: (tokens, dim) matrices.

    Returns:
        (documents,) float64.
    """
    asked = np.asarray(query, np.float64)
    scores = []
    for document in documents:
        rows = np.asarray(document, np.float64)
        best = [max((float(np.dot(token, row)) for row in rows), default=0.0) for token in asked]
        scores.append(sum(best))
    return np.array(scores, np.float64)


def _as_documents(documents: MultiVectors | Iterable[object]) -> Documents:
    return documents if isinstance(documents, MultiVectors) else ArrayList(documents, "document")


def _check_width(asked: int, given: int) -> None:
    if asked != given:
        raise InputError(
            f"the query has vectors of {asked} numbers, the documents of {given}; both must come from one model"
        )


def _score(queries: ArrayList, documents: Documents) -> Array:
    """Score all pairs.

    Args:
        queries: The queries.
        documents: The documents.

    Returns:
        (queries, documents) float32.
    """
    scores = np.zeros((len(queries.offsets) - 1, len(documents.offsets) - 1), np.float32)
    if scores.size == 0:
        return scores
    _check_width(queries.dim, documents.dim)
    asked, query_bounds = _with_rows(queries.offsets)
    answering, document_bounds = _with_rows(documents.offsets)
    for first, last in _runs(query_bounds, _QUERY_ROWS):
        start, stop = int(query_bounds[first]), int(query_bounds[last])
        rows = queries.read(start, stop, np.empty((stop - start, queries.dim), np.float32))
        block = _Block.fitting(rows, int(document_bounds[-1]))
        for begin, end in _runs(document_bounds, len(block.rows)):
            best = _largest(rows, documents, document_bounds[begin : end + 1], block)
            found = np.add.reduceat(best, query_bounds[first:last] - start, axis=0)
            scores[np.ix_(asked[first:last], answering[begin:end])] = found
    return scores


def _with_rows(offsets: Array) -> tuple[Array, Array]:
    """Leave out what has no rows, which ``reduceat`` cannot say.

    Args:
        offsets: (n + 1,) int64.

    Returns:
        Positions (m,) of what has rows, and its offsets (m + 1,).
    """
    positions = np.flatnonzero(np.diff(offsets))
    return positions, np.append(offsets[positions], offsets[-1])


def _runs(bounds: Array, limit: int) -> Iterator[tuple[int, int]]:
    """Cut neighbours into runs of at most ``limit`` rows; whoever has more goes alone.

    Args:
        bounds: (n + 1,) rising offsets.
        limit: Rows.

    Yields:
        The first of a run, and one past its last.
    """
    first = 0
    while first < len(bounds) - 1:
        reached = int(np.searchsorted(bounds, bounds[first] + limit, side="right")) - 1
        last = max(first + 1, reached)
        yield first, last
        first = last


def _largest(query: Array, documents: Documents, bounds: Array, block: _Block) -> Array:
    """Find each query vector's largest dot product in each of some neighbouring documents.

    Args:
        query: (query rows, dim) float32.
        documents: All documents.
        bounds: (n + 1,) offsets of these, all with rows. Only a lone one may have more rows than a block.
        block: Working memory.

    Returns:
        (query rows, n) float32.
    """
    starts = bounds[:-1] - bounds[0]
    step, stop = len(block.rows), int(bounds[-1])
    best = np.full((len(query), len(starts)), -np.inf, np.float32)
    for begin in range(int(bounds[0]), stop, step):
        rows = documents.read(begin, min(begin + step, stop), block.rows)
        np.maximum(best, _block_largest(query, rows, starts, block.products), out=best)
    return best


def _block_largest(query: Array, rows: Array, starts: Array, memory: Array) -> Array:
    products = memory[: len(query) * len(rows)]
    largest: Array
    if len(query) <= _NARROW_QUERY:
        by_row = np.matmul(rows, query.T, out=products.reshape(len(rows), len(query)))
        largest = np.maximum.reduceat(by_row, starts, axis=0).T
    else:
        by_query = np.matmul(query, rows.T, out=products.reshape(len(query), len(rows)))
        largest = np.maximum.reduceat(by_query, starts, axis=1)
    return largest

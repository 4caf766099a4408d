"""MaxSim: how well a document answers a query when both have one vector per token.

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
from onnxembed.late_interaction.documents import ArrayList, Documents, check_arrays
from onnxembed.late_interaction.matrix import as_matrix
from onnxembed.late_interaction.multi_vectors import MultiVectors

Array = np.ndarray[Any, np.dtype[Any]]

# A block of document rows, and its product with the query, have at most this many numbers (4 MB of float32). Both then
# stay in the second-level cache: with 200,000 rows and 32 query vectors, 1 to 8 MB took 20-21 ms, 128 MB 34 ms.
BLOCK_NUMBERS = 1 << 20

# Query vectors multiplied at once. Beyond some hundreds the product is no faster.
QUERY_ROWS = 1024

# Up to so many query vectors the product is laid out (document rows, query rows), else the other way round. Maxima
# along the last axis are faster, the first product is. Measured on 200,000 rows of 128 numbers, in ms:
# 8 query vectors 10.6 and 14.9, 32: 20.2 and 22.3, 128: 72 and 50, 1024: 1324 and 312; the bare product 10, 15.5, 44,
# 316. A product for each document took 30-35 with 32 query vectors, a maximum over a reshaped axis 21-22.
NARROW_QUERY = 48


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
        """Take memory for products of a query, (query rows, dim), with at most ``most`` rows of documents."""
        count = max(1, min(most, BLOCK_NUMBERS // max(query.shape)))
        return cls(np.empty((count, query.shape[1]), np.float32), np.empty(count * len(query), np.float32))


def maxsim(query: object, documents: MultiVectors | Iterable[object]) -> Array:
    """Score documents against one query.

    Besides the scores this takes some 16 MB, whatever the number and length of the documents (more for queries of over
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
    scores: Array = _score(ArrayList([as_matrix(query, "the query")]), _as_documents(documents))[0]
    return scores


def maxsim_matrix(queries: Iterable[object], documents: MultiVectors | Iterable[object]) -> Array:
    """Score documents against many queries: (queries, documents) float32; arguments and errors are as in ``maxsim``."""
    return _score(check_arrays(queries, "query"), _as_documents(documents))


def maxsim_top_k(query: object, documents: MultiVectors | Iterable[object], k: int) -> tuple[Array, Array]:
    """Find the documents that score best.

    Args:
        query: (tokens, dim) matrix of numbers.
        documents: As in ``maxsim``, whose errors this raises too.
        k: How many, 1 or more; all of them where there are fewer.

    Returns:
        Positions (k,) int64 and scores (k,) float32, the best first; of equal scores, the lower position first.
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
        (query tokens, document tokens) float32, the dot products. Errors are those of ``maxsim``.
    """
    left = as_matrix(query, "the query")
    right = as_matrix(document, "the document")
    _check_width(left.shape[1], right.shape[1])
    products: Array = left.astype(np.float32, copy=False) @ right.astype(np.float32, copy=False).T
    return products


def score_rows(query: Array, rows: Array, ends: Array) -> Array:
    """Score documents that lie end to end in one array, for which one product fits in memory.

    ``query`` and ``rows`` are (vectors, dim) float32; ``ends`` are the rows at which the documents end. Gives float32
    (documents,).
    """
    starts = np.append(0, ends[:-1])
    answering = np.flatnonzero(ends > starts)
    scores = np.zeros(len(ends), np.float32)
    if len(query) and len(answering):
        memory = np.empty(len(query) * len(rows), np.float32)
        scores[answering] = _block_largest(query, rows, starts[answering], memory).sum(axis=0)
    return scores


def _as_documents(documents: MultiVectors | Iterable[object]) -> Documents:
    return documents if isinstance(documents, MultiVectors) else check_arrays(documents, "document")


def _check_width(asked: int, given: int) -> None:
    if asked != given:
        raise InputError(
            f"the query has vectors of {asked} numbers, the documents of {given}; both must come from one model"
        )


def _score(queries: ArrayList, documents: Documents) -> Array:
    """Score all pairs: (queries, documents) float32."""
    scores = np.zeros((len(queries.offsets) - 1, len(documents.offsets) - 1), np.float32)
    if scores.size == 0:
        return scores
    _check_width(queries.dim, documents.dim)
    asked, query_bounds = _with_rows(queries.offsets)
    answering, document_bounds = _with_rows(documents.offsets)
    for first, last in _runs(query_bounds, QUERY_ROWS):
        start, stop = int(query_bounds[first]), int(query_bounds[last])
        rows = queries.read(start, stop, np.empty((stop - start, queries.dim), np.float32))
        block = _Block.fitting(rows, int(document_bounds[-1]))
        for begin, end in _runs(document_bounds, len(block.rows)):
            best = _largest(rows, documents, document_bounds[begin : end + 1], block)
            found = np.add.reduceat(best, query_bounds[first:last] - start, axis=0)
            scores[np.ix_(asked[first:last], answering[begin:end])] = found
    return scores


def _with_rows(offsets: Array) -> tuple[Array, Array]:
    """Leave out what has no rows, which ``reduceat`` cannot express: positions of the rest, and its offsets."""
    positions = np.flatnonzero(np.diff(offsets))
    return positions, np.append(offsets[positions], offsets[-1])


def _runs(bounds: Array, limit: int) -> Iterator[tuple[int, int]]:
    """Cut neighbours into runs of at most ``limit`` rows; one that has more is a run of its own."""
    first = 0
    while first < len(bounds) - 1:
        reached = int(np.searchsorted(bounds, bounds[first] + limit, side="right")) - 1
        last = max(first + 1, reached)
        yield first, last
        first = last


def _largest(query: Array, documents: Documents, bounds: Array, block: _Block) -> Array:
    """Find each query vector's largest dot product in each of n neighbouring documents: (query rows, n) float32.

    ``bounds`` (n + 1,) are the offsets of these, all with rows. Only a single document may have more rows than a block.
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
    if len(query) <= NARROW_QUERY:
        by_row = np.matmul(rows, query.T, out=products.reshape(len(rows), len(query)))
        largest = np.maximum.reduceat(by_row, starts, axis=0).T
    else:
        by_query = np.matmul(query, rows.T, out=products.reshape(len(query), len(rows)))
        largest = np.maximum.reduceat(by_query, starts, axis=1)
    return largest

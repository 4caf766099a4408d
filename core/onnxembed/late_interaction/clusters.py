"""Sums over clusters of token vectors, and the cluster nearest to an empty one: the inner loops of ``Muvera``.

Documents of ``lengths`` rows lie end to end: ``vectors`` is (rows, repetitions, numbers), ``cluster_of`` and
``cell_of`` are (rows, repetitions). A cell is one cluster of one repetition of one document; cells are numbered in that
order, the document first. ``clusters``, those of a repetition, is a power of 2; up to ``FEW_CLUSTERS`` other loops are
quicker than beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Measured with 200 rows, 20 repetitions, 32 clusters, 16 numbers each. Sums: product with a 0/1 matrix 0.05 ms (it
# grows with the clusters), bincount 0.13, sorting and add.reduceat 0.15, add.at 0.6. Nearest: table 0.01 ms (0.004 for
# 10 rows), bit by bit 0.025 for any number of rows.
FEW_CLUSTERS = 64


def sum_few(vectors: Array, cluster_of: Array, clusters: int, lengths: Sequence[int]) -> Array:
    """Sum the vectors of each cell with one small matrix product per document and repetition: (cells, numbers)."""
    _, repetitions, numbers = vectors.shape
    sums = np.empty((len(lengths), repetitions, clusters, numbers), vectors.dtype)
    members = _members(clusters, vectors.dtype)
    room = np.empty(repetitions * max(lengths) * clusters, vectors.dtype)
    for document, rows in enumerate(_slices(lengths)):
        shape = (repetitions, lengths[document], clusters)
        member = room[: math.prod(shape)].reshape(shape)
        members.take(cluster_of[rows].T, axis=0, out=member, mode="clip")
        np.matmul(member.transpose(0, 2, 1), vectors[rows].transpose(1, 0, 2), out=sums[document])
    return sums.reshape(-1, numbers)


def sum_many(vectors: Array, cell_of: Array, cells: int) -> Array:
    """Sum the vectors of each cell, number by number: (cells, numbers) float64."""
    flat = cell_of.ravel()
    columns = [np.bincount(flat, vectors[:, :, number].ravel(), cells) for number in range(vectors.shape[2])]
    return np.stack(columns, axis=1)


def nearest_few(cluster_of: Array, wanted: Array, clusters: int, lengths: Sequence[int]) -> Array:
    """Find for each cell the nearest cluster with rows: the fewest bits differ, and of several it is the lowest.

    ``wanted`` (documents, repetitions) bool says where to look; elsewhere the result (cells,) is 0.
    """
    ranks = _ranks(clusters)
    best = np.zeros((*wanted.shape, clusters), ranks.dtype)
    for document, rows in enumerate(_slices(lengths)):
        here = wanted[document]
        best[document, here] = ranks.take(cluster_of[rows][:, here], axis=0).min(axis=0)
    numbers: Array = best & (clusters - 1)
    return numbers.ravel()


def nearest_many(filled: Array) -> Array:
    """Find the same as ``nearest_few``, everywhere.

    ``filled`` (groups, clusters) bool has the clusters of one repetition of one document in a row, at least one filled.
    A rank, distance times clusters plus number, is smallest for the nearest and lowest. Distances add up bit by bit, so
    one pass per bit is enough: to cross the bit costs one more.
    """
    groups, clusters = filled.shape
    rank = np.where(filled, np.arange(clusters), clusters * clusters)
    for position in range(clusters.bit_length() - 1):
        pairs = rank.reshape(groups, -1, 2, 1 << position)
        rank = np.minimum(pairs, pairs[:, :, ::-1] + clusters).reshape(groups, clusters)
    numbers: Array = rank & (clusters - 1)
    return numbers.ravel()


def first_rows(cell_of: Array, cells: int) -> Array:
    """Find the first row of each cell, counted over all documents: (cells,), meaningless for cells without rows."""
    rows, repetitions = cell_of.shape
    first = np.zeros(cells, np.intp)
    first[cell_of[::-1].ravel()] = np.repeat(np.arange(rows - 1, -1, -1), repetitions)  # the last one written stays
    return first


def _slices(lengths: Sequence[int]) -> Iterator[slice]:
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length


@lru_cache(maxsize=8)
def _members(clusters: int, dtype: Any) -> Array:
    return np.eye(clusters, dtype=dtype)


@lru_cache(maxsize=8)
def _ranks(clusters: int) -> Array:
    """Make a table, int16: at ``[filled, cluster]`` the differing bits times ``clusters``, plus ``filled``."""
    numbers = np.arange(clusters, dtype=np.int16)
    differing = numbers[:, None] ^ numbers
    ranks = np.tile(numbers[:, None], clusters)
    for position in range(clusters.bit_length() - 1):
        ranks += (differing >> position & 1) * np.int16(clusters)
    return ranks

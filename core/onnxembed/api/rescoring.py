"""Search in signs, and the order of what was found by the float queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxembed.api.inputs import check_count
from onnxembed.api.output_precision import OutputPrecision, width_of
from onnxembed.api.quantization import Output
from onnxembed.errors import InputError, InputTypeError

Array = np.ndarray[Any, np.dtype[Any]]

_MATRIX = 2
_BITS_OF_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)


def hamming_top_k(queries: Array, documents: Array, top_k: int = 10) -> tuple[Array, Array]:
    """Find the documents whose signs differ least from a query's, by looking at all of them.

    Args:
        queries: (queries, ceil(dim / 8)) int8 or uint8, as ``binary`` and ``ubinary`` give them.
        documents: (documents, ceil(dim / 8)) of the same type.
        top_k: Most documents for each query.

    Returns:
        The numbers of differing bits, (queries, k) int64, smallest first, and the positions of the documents,
        (queries, k) int64; equal distances in the order of the documents. ``k`` is ``top_k`` or the number of
        documents.

    Raises:
        InputError: If widths or types differ.
        InputTypeError: If these are no packed signs.
    """
    for array, name in ((queries, "queries"), (documents, "documents")):
        if not isinstance(array, np.ndarray) or array.dtype not in (np.int8, np.uint8):
            raise InputTypeError(f"{name}: expected packed signs, int8 of 'binary' or uint8 of 'ubinary'")
    if queries.ndim != _MATRIX or documents.ndim != _MATRIX or queries.shape[1] != documents.shape[1]:
        raise InputError(
            f"queries have the shape {queries.shape}, documents {documents.shape}; expected matrices of one width"
        )
    if queries.dtype != documents.dtype:
        raise InputError(f"queries are {queries.dtype.name}, documents {documents.dtype.name}; expected one of both")
    count = len(documents)
    kept = min(check_count(top_k, "top_k", 1), count)
    distances = np.zeros((len(queries), kept), np.int64)
    positions = np.zeros((len(queries), kept), np.int64)
    own, bits = np.arange(count), documents.view(np.uint8)
    for row, query in enumerate(queries.view(np.uint8) if kept else ()):
        # One number orders by distance, and then by position.
        keys = _differing(bits, query) * count + own
        best = np.sort(np.partition(keys, kept - 1)[:kept])
        distances[row], positions[row] = np.divmod(best, count)
    return distances, positions


def _differing(documents: Array, query: Array) -> Array:
    """The number of bits in which each document differs from a query."""
    counted: Array = _BITS_OF_BYTE[documents ^ query].sum(axis=1, dtype=np.int64)
    return counted


def rescore(
    queries: Array,
    candidates: Array,
    documents: Array,
    precision: OutputPrecision,
    top_k: int = 10,
    *,
    ranges: object = None,
) -> tuple[Array, Array]:
    """Sort what a coarse search has found by the dot products of the float queries with the documents.

    Of documents in ``binary`` or ``ubinary`` a bit counts as -1 or 1, of those in ``int8`` or ``uint8`` a step as its
    middle. Documents in ``float32`` or ``float16``, such as a file read by ``numpy.load(..., mmap_mode="r")``, give
    exact scores; only the rows of the candidates are read.

    Args:
        queries: (queries, dim) float.
        candidates: (queries, candidates) positions of documents, as `hamming_top_k` or FAISS give them; -1 is none.
        documents: (documents, width), encoded as ``precision`` says.
        precision: What the documents are encoded in.
        top_k: Most documents for each query.
        ranges: (2, dim), with which ``int8`` and ``uint8`` documents were made.

    Returns:
        The scores, (queries, k) float32, best first, and the positions of the documents, (queries, k) int64, with
        -inf and -1 where a query has fewer candidates; equal scores in the order of the candidates. ``k`` is ``top_k``
        or the number of candidates.

    Raises:
        InputError: For shapes that do not fit, positions that no document has, ranges that are missing, or numbers
            that are not finite.
        InputTypeError: For queries that are no floats, positions that are no integers, or documents that are no array.
    """
    output = Output.read(precision, ranges, name="precision")
    queries, candidates, kind = np.asarray(queries), np.asarray(candidates), np.dtype(_STORED[output.precision])
    if not isinstance(documents, np.ndarray):
        raise InputTypeError(f"documents are a {type(documents).__name__}; expected an array, such as one of numpy")
    if queries.dtype.kind != "f":
        raise InputTypeError(f"queries are {queries.dtype.name}; expected the float vectors, before any encoding")
    if candidates.dtype.kind not in "iu":
        raise InputTypeError(f"candidates are {candidates.dtype.name}; expected positions of documents")
    if queries.ndim != _MATRIX or candidates.ndim != _MATRIX or len(queries) != len(candidates):
        raise InputError(
            f"queries have the shape {queries.shape}, candidates {candidates.shape}; expected (queries, dim) and "
            "(queries, candidates)"
        )
    dim = queries.shape[1]
    if documents.ndim != _MATRIX or documents.shape[1] != width_of(output.precision, dim) or documents.dtype != kind:
        raise InputError(
            f"documents are {documents.dtype.name} of the shape {documents.shape}; expected {kind.name} of the shape "
            f"(documents, {width_of(output.precision, dim)}), {output.precision} of vectors of {dim} numbers"
        )
    if not np.isfinite(queries).all():
        raise InputError("queries hold numbers that are not finite, with which no order can be told")
    if candidates.size and not -1 <= candidates.min() <= candidates.max() < len(documents):
        raise InputError(f"candidates hold positions outside the {len(documents)} documents")
    kept = min(check_count(top_k, "top_k", 1), candidates.shape[1])
    scores = np.full((len(queries), kept), -np.inf, np.float32)
    positions = np.full((len(queries), kept), -1, np.int64)
    for row, (query, found) in enumerate(zip(queries.astype(np.float32), candidates, strict=True)):
        found = found[found >= 0]
        given = output.decode(documents[found], dim) @ query
        if np.isnan(given).any():
            raise InputError(f"the document at {found[np.isnan(given)][0]} holds NaN, or infinity of both signs")
        order = np.argsort(-given, kind="stable")[:kept]
        scores[row, : len(order)], positions[row, : len(order)] = given[order], found[order]
    return scores, positions


_STORED = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}

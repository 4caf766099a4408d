"""Scaling and rounding of vectors, whatever they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Below this a length counts as zero: the usual guard of the reference implementations.
_MIN_NORM = 1e-12


def normalize(vectors: Array) -> Array:
    """Scale rows to length 1; rows of zeros stay zeros.

    Args:
        vectors: (batch, dim).

    Returns:
        (batch, dim); computed in float32 at least, and of the type of ``vectors``.
    """
    wide = vectors.astype(np.promote_types(vectors.dtype, np.float32), copy=False)
    norms = np.sqrt(np.einsum("bd,bd->b", wide, wide))[:, None]
    scaled: Array = (wide / np.maximum(norms, _MIN_NORM)).astype(vectors.dtype, copy=False)
    return scaled


def finish(pooled: Array, graph_dtype: np.dtype[Any], *, normalized: bool) -> Array:
    """Bring pooled vectors to the precision that the graph promises, and then to float32.

    Args:
        pooled: (batch, dim), of the graph's type or of float64.
        graph_dtype: The type of the graph's output.
        normalized: Whether to scale the vectors to length 1.

    Returns:
        (batch, dim) float32.
    """
    if normalized:
        pooled = normalize(pooled)
    if pooled.dtype == np.float64 and np.issubdtype(graph_dtype, np.floating):
        pooled = pooled.astype(graph_dtype, copy=False)
    return pooled.astype(np.float32, copy=False)

"""The vectors of a text joined into fewer: similar ones become their mean, by Ward's clustering.

Distances are those of cosines, ``1 - a.b``; clusters are merged while the sum of squares within them grows least (Ward,
1963), until the wanted number is left, as sentence-transformers' HierarchicalTokenPooling does it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from onnxembed.errors import MissingExtraError
from onnxembed.late_interaction.spec import TokenPooling

Array = np.ndarray[Any, np.dtype[Any]]

# As in the ColBERT code: a vector shorter than this is not stretched to length 1.
_SMALLEST_NORM = 1e-12


def unit(vectors: Array) -> Array:
    """Scale vectors, (vectors, dim) float32, to length 1; shorter ones than ``1e-12`` are not stretched to it."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Array = vectors / np.maximum(lengths, np.float32(_SMALLEST_NORM))
    return scaled


def joined_by_text(vectors: Array, ends: Array, pooling: TokenPooling) -> tuple[Array, Array]:
    """Join the vectors of each text, end to end in (vectors, dim) float32; give them with the rows where texts end."""
    texts = [joined(vectors[start:end], pooling) for start, end in pairwise([0, *ends.tolist()])]
    whole = np.concatenate(texts) if texts else vectors
    return whole, np.cumsum([len(text) for text in texts], dtype=ends.dtype)


def joined(vectors: Array, pooling: TokenPooling) -> Array:
    """Join the vectors of one text, (vectors, dim) float32; a `MissingExtraError` where SciPy is missing."""
    loose = vectors[pooling.protected :]
    wanted = max(int(len(loose) // pooling.factor), 1)
    if wanted < len(loose):
        vectors = np.concatenate([vectors[: pooling.protected], _means(loose, _clusters(loose, wanted))])
    return unit(vectors) if pooling.normalize else vectors


def _clusters(vectors: Array, wanted: int) -> Array:
    """Give each vector the number of its cluster."""
    try:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform
    except ImportError as error:
        raise MissingExtraError(
            "this model joins the vectors of a text by clusters, which needs SciPy: pip install scipy, or the extra "
            "'onnxembed[index]'"
        ) from error
    distances = np.clip(1 - vectors @ vectors.T, 0, 2)
    labels: Array = fcluster(linkage(squareform(distances, checks=False), method="ward"), wanted, criterion="maxclust")
    return labels


def _means(vectors: Array, labels: Array) -> Array:
    """Give the mean of each cluster, in the order of their numbers."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), vectors.shape[1]), vectors.dtype)
    np.add.at(sums, places, vectors)
    means: Array = sums / counts[:, None].astype(vectors.dtype)
    return means

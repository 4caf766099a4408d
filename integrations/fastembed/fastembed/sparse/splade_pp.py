"""Models that weight every entry of the vocabulary, queries as documents."""

from __future__ import annotations

from fastembed.sparse.sparse_embedding_base import SparseTextEmbeddingBase
from onnxembed import SparseKind


class SpladePP(SparseTextEmbeddingBase):
    """Models that weight every entry of the vocabulary, queries as documents."""

    kind = SparseKind.SPLADE

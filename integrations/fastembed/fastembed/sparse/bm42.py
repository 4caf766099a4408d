"""Words weighted by the attention that the first token pays them; queries need no graph."""

from __future__ import annotations

from fastembed.sparse.sparse_embedding_base import SparseTextEmbeddingBase
from onnxembed import SparseKind


class Bm42(SparseTextEmbeddingBase):
    """Words weighted by the attention that the first token pays them; queries need no graph."""

    kind = SparseKind.BM42
    queries_run = False
    own_keywords = ("alpha",)

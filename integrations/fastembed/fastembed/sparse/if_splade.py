"""The same for documents; a query's weights come from a table, without the graph."""

from __future__ import annotations

from fastembed.sparse.sparse_embedding_base import SparseTextEmbeddingBase
from onnxembed import SparseKind


class IfSplade(SparseTextEmbeddingBase):
    """The same for documents; a query's weights come from a table, without the graph."""

    kind = SparseKind.INFERENCE_FREE
    queries_run = False

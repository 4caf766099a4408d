"""BM25 with a few numbers for the sense of each word; float32 and int32."""

from __future__ import annotations

import numpy as np

from fastembed.sparse.sparse_embedding_base import SparseTextEmbeddingBase
from onnxembed import SparseKind


class MiniCOIL(SparseTextEmbeddingBase):
    """BM25 with a few numbers for the sense of each word; float32 and int32."""

    kind = SparseKind.MINICOIL
    own_keywords = ("k", "b", "avg_len")
    types = query_types = (np.float32, np.int32)

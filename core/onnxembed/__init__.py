"""Embeddings on ONNX Runtime, without PyTorch.

Names are loaded on first use, so importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.engine.ranking import RankedDocument
    from onnxembed.errors import OnnxEmbedError
    from onnxembed.image.embedding import ImageEmbedding
    from onnxembed.late_interaction.embedding import LateInteractionTextEmbedding
    from onnxembed.late_interaction.maxsim import maxsim, maxsim_matrix, maxsim_top_k, similarities
    from onnxembed.late_interaction.multi_vectors import MultiVectors
    from onnxembed.late_interaction.muvera import Muvera
    from onnxembed.models.multimodal_spec import MultimodalKind
    from onnxembed.models.rerank_spec import Activation
    from onnxembed.models.sparse_spec import SparseKind
    from onnxembed.models.spec import ModelSource, PoolingType
    from onnxembed.multimodal.embedding import LateInteractionMultimodalEmbedding
    from onnxembed.rerank.text_cross_encoder import TextCrossEncoder
    from onnxembed.runtime.providers import Device
    from onnxembed.sparse.embedding import SparseTextEmbedding
    from onnxembed.sparse.index import SparseIndex
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.vector import SparseEmbedding
    from onnxembed.text.embedding import TextEmbedding

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Bm25Statistics",
    "Device",
    "ImageEmbedding",
    "LateInteractionMultimodalEmbedding",
    "LateInteractionTextEmbedding",
    "ModelSource",
    "MultiVectors",
    "MultimodalKind",
    "Muvera",
    "OnnxEmbedError",
    "PoolingType",
    "RankedDocument",
    "SparseEmbedding",
    "SparseIndex",
    "SparseKind",
    "SparseTextEmbedding",
    "TextCrossEncoder",
    "TextEmbedding",
    "__version__",
    "maxsim",
    "maxsim_matrix",
    "maxsim_top_k",
    "similarities",
]

_HOMES = {
    "Activation": "onnxembed.models.rerank_spec",
    "Bm25Statistics": "onnxembed.sparse.statistics",
    "Device": "onnxembed.runtime.providers",
    "ImageEmbedding": "onnxembed.image.embedding",
    "LateInteractionMultimodalEmbedding": "onnxembed.multimodal.embedding",
    "LateInteractionTextEmbedding": "onnxembed.late_interaction.embedding",
    "ModelSource": "onnxembed.models.spec",
    "MultiVectors": "onnxembed.late_interaction.multi_vectors",
    "MultimodalKind": "onnxembed.models.multimodal_spec",
    "Muvera": "onnxembed.late_interaction.muvera",
    "OnnxEmbedError": "onnxembed.errors",
    "PoolingType": "onnxembed.models.spec",
    "RankedDocument": "onnxembed.engine.ranking",
    "SparseEmbedding": "onnxembed.sparse.vector",
    "SparseIndex": "onnxembed.sparse.index",
    "SparseKind": "onnxembed.models.sparse_spec",
    "SparseTextEmbedding": "onnxembed.sparse.embedding",
    "TextCrossEncoder": "onnxembed.rerank.text_cross_encoder",
    "TextEmbedding": "onnxembed.text.embedding",
    "maxsim": "onnxembed.late_interaction.maxsim",
    "maxsim_matrix": "onnxembed.late_interaction.maxsim",
    "maxsim_top_k": "onnxembed.late_interaction.maxsim",
    "similarities": "onnxembed.late_interaction.maxsim",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

"""Embeddings on ONNX Runtime, without PyTorch.

Names are loaded on first use, so importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.api.ranking import RankedDocument
    from onnxembed.errors import OnnxEmbedError
    from onnxembed.image.model import ImageEmbedding
    from onnxembed.late_interaction.maxsim import maxsim, maxsim_matrix, maxsim_top_k, similarities
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
    from onnxembed.late_interaction.multi_vectors import MultiVectors
    from onnxembed.late_interaction.muvera import Muvera
    from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
    from onnxembed.multimodal.spec import MultimodalKind
    from onnxembed.opening import open_model
    from onnxembed.rerank.model import TextCrossEncoder
    from onnxembed.rerank.spec import Activation
    from onnxembed.runtime.providers import Device
    from onnxembed.sparse.index import SparseIndex
    from onnxembed.sparse.model import SparseTextEmbedding
    from onnxembed.sparse.spec import SparseKind
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.vector import SparseEmbedding
    from onnxembed.spec import ModelSource, PoolingType
    from onnxembed.text.model import TextEmbedding

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
    "open_model",
    "similarities",
]

_HOMES = {
    "Activation": "onnxembed.rerank.spec",
    "Bm25Statistics": "onnxembed.sparse.statistics",
    "Device": "onnxembed.runtime.providers",
    "ImageEmbedding": "onnxembed.image.model",
    "LateInteractionMultimodalEmbedding": "onnxembed.multimodal.model",
    "LateInteractionTextEmbedding": "onnxembed.late_interaction.model",
    "ModelSource": "onnxembed.spec",
    "MultiVectors": "onnxembed.late_interaction.multi_vectors",
    "MultimodalKind": "onnxembed.multimodal.spec",
    "Muvera": "onnxembed.late_interaction.muvera",
    "OnnxEmbedError": "onnxembed.errors",
    "PoolingType": "onnxembed.spec",
    "RankedDocument": "onnxembed.api.ranking",
    "SparseEmbedding": "onnxembed.sparse.vector",
    "SparseIndex": "onnxembed.sparse.index",
    "SparseKind": "onnxembed.sparse.spec",
    "SparseTextEmbedding": "onnxembed.sparse.model",
    "TextCrossEncoder": "onnxembed.rerank.model",
    "TextEmbedding": "onnxembed.text.model",
    "maxsim": "onnxembed.late_interaction.maxsim",
    "maxsim_matrix": "onnxembed.late_interaction.maxsim",
    "maxsim_top_k": "onnxembed.late_interaction.maxsim",
    "open_model": "onnxembed.opening",
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

"""Embeddings on ONNX Runtime, without PyTorch.

Names are loaded on first use, so importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.api.fusion import reciprocal_rank_fusion
    from onnxembed.api.quantization import quantization_ranges, quantize_embeddings
    from onnxembed.api.ranking import RankedDocument
    from onnxembed.api.rescoring import hamming_top_k, rescore
    from onnxembed.description import ModelDescription, describe
    from onnxembed.errors import OnnxEmbedError
    from onnxembed.image.failures import SkippedImage
    from onnxembed.image.model import ImageEmbedding
    from onnxembed.image.spec import ImageModel
    from onnxembed.late_interaction.maxsim import maxsim, maxsim_matrix, maxsim_top_k, similarities
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
    from onnxembed.late_interaction.multi_vectors import MultiVectors
    from onnxembed.late_interaction.muvera import Muvera
    from onnxembed.late_interaction.spec import LateInteractionModel
    from onnxembed.m3.model import M3Embedding
    from onnxembed.m3.work import M3Vectors
    from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
    from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
    from onnxembed.opening import export_model, open_model
    from onnxembed.rerank.model import TextCrossEncoder
    from onnxembed.rerank.spec import Activation, CrossEncoderModel
    from onnxembed.runtime.providers import Device
    from onnxembed.sparse.index import SparseIndex
    from onnxembed.sparse.model import SparseTextEmbedding
    from onnxembed.sparse.spec import SparseKind, SparseModel
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.vector import SparseEmbedding, to_scipy
    from onnxembed.spec import ModelSource, PoolingType
    from onnxembed.text.model import TextEmbedding
    from onnxembed.text.spec import DenseModel, Matryoshka, Prompts

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Bm25Statistics",
    "CrossEncoderModel",
    "DenseModel",
    "Device",
    "ImageEmbedding",
    "ImageModel",
    "LateInteractionModel",
    "LateInteractionMultimodalEmbedding",
    "LateInteractionTextEmbedding",
    "M3Embedding",
    "M3Vectors",
    "Matryoshka",
    "ModelDescription",
    "ModelSource",
    "MultiVectors",
    "MultimodalKind",
    "MultimodalModel",
    "Muvera",
    "OnnxEmbedError",
    "PoolingType",
    "Prompts",
    "RankedDocument",
    "SkippedImage",
    "SparseEmbedding",
    "SparseIndex",
    "SparseKind",
    "SparseModel",
    "SparseTextEmbedding",
    "TextCrossEncoder",
    "TextEmbedding",
    "__version__",
    "describe",
    "export_model",
    "hamming_top_k",
    "maxsim",
    "maxsim_matrix",
    "maxsim_top_k",
    "open_model",
    "quantization_ranges",
    "quantize_embeddings",
    "reciprocal_rank_fusion",
    "rescore",
    "similarities",
    "to_scipy",
]

_HOMES = {
    "Activation": "onnxembed.rerank.spec",
    "Bm25Statistics": "onnxembed.sparse.statistics",
    "CrossEncoderModel": "onnxembed.rerank.spec",
    "DenseModel": "onnxembed.text.spec",
    "Device": "onnxembed.runtime.providers",
    "ImageEmbedding": "onnxembed.image.model",
    "ImageModel": "onnxembed.image.spec",
    "LateInteractionModel": "onnxembed.late_interaction.spec",
    "LateInteractionMultimodalEmbedding": "onnxembed.multimodal.model",
    "LateInteractionTextEmbedding": "onnxembed.late_interaction.model",
    "M3Embedding": "onnxembed.m3.model",
    "M3Vectors": "onnxembed.m3.work",
    "Matryoshka": "onnxembed.text.spec",
    "ModelDescription": "onnxembed.description",
    "ModelSource": "onnxembed.spec",
    "MultiVectors": "onnxembed.late_interaction.multi_vectors",
    "MultimodalKind": "onnxembed.multimodal.spec",
    "MultimodalModel": "onnxembed.multimodal.spec",
    "Muvera": "onnxembed.late_interaction.muvera",
    "OnnxEmbedError": "onnxembed.errors",
    "PoolingType": "onnxembed.spec",
    "Prompts": "onnxembed.text.spec",
    "RankedDocument": "onnxembed.api.ranking",
    "SkippedImage": "onnxembed.image.failures",
    "SparseEmbedding": "onnxembed.sparse.vector",
    "SparseIndex": "onnxembed.sparse.index",
    "SparseKind": "onnxembed.sparse.spec",
    "SparseModel": "onnxembed.sparse.spec",
    "SparseTextEmbedding": "onnxembed.sparse.model",
    "TextCrossEncoder": "onnxembed.rerank.model",
    "TextEmbedding": "onnxembed.text.model",
    "describe": "onnxembed.description",
    "export_model": "onnxembed.opening",
    "hamming_top_k": "onnxembed.api.rescoring",
    "maxsim": "onnxembed.late_interaction.maxsim",
    "maxsim_matrix": "onnxembed.late_interaction.maxsim",
    "maxsim_top_k": "onnxembed.late_interaction.maxsim",
    "open_model": "onnxembed.opening",
    "quantization_ranges": "onnxembed.api.quantization",
    "quantize_embeddings": "onnxembed.api.quantization",
    "reciprocal_rank_fusion": "onnxembed.api.fusion",
    "rescore": "onnxembed.api.rescoring",
    "similarities": "onnxembed.late_interaction.maxsim",
    "to_scipy": "onnxembed.sparse.vector",
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

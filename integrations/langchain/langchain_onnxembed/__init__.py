"""onnxembed's models behind LangChain's interfaces.

The classes are loaded on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_onnxembed.cross_encoder import OnnxCrossEncoder
    from langchain_onnxembed.embeddings import OnnxEmbeddings
    from langchain_onnxembed.hybrid import OnnxHybridRetriever
    from langchain_onnxembed.late_interaction import OnnxLateInteractionRetriever
    from langchain_onnxembed.milvus import OnnxMilvusSparse
    from langchain_onnxembed.multimodal import OnnxMultimodalEmbeddings
    from langchain_onnxembed.muvera import OnnxMuveraEmbeddings
    from langchain_onnxembed.rerank import OnnxLateInteractionRerank, OnnxRerank
    from langchain_onnxembed.retrievers import OnnxSparseRetriever
    from langchain_onnxembed.sparse import OnnxSparse

__all__ = [
    "OnnxCrossEncoder",
    "OnnxEmbeddings",
    "OnnxHybridRetriever",
    "OnnxLateInteractionRerank",
    "OnnxLateInteractionRetriever",
    "OnnxMilvusSparse",
    "OnnxMultimodalEmbeddings",
    "OnnxMuveraEmbeddings",
    "OnnxRerank",
    "OnnxSparse",
    "OnnxSparseRetriever",
]

_HOMES = {
    "OnnxCrossEncoder": "langchain_onnxembed.cross_encoder",
    "OnnxEmbeddings": "langchain_onnxembed.embeddings",
    "OnnxHybridRetriever": "langchain_onnxembed.hybrid",
    "OnnxLateInteractionRerank": "langchain_onnxembed.rerank",
    "OnnxLateInteractionRetriever": "langchain_onnxembed.late_interaction",
    "OnnxMilvusSparse": "langchain_onnxembed.milvus",
    "OnnxMultimodalEmbeddings": "langchain_onnxembed.multimodal",
    "OnnxMuveraEmbeddings": "langchain_onnxembed.muvera",
    "OnnxRerank": "langchain_onnxembed.rerank",
    "OnnxSparse": "langchain_onnxembed.sparse",
    "OnnxSparseRetriever": "langchain_onnxembed.retrievers",
}


# Those that need an extra; without it they can be imported, and name it when an object is made.
_OPTIONAL = {"OnnxLateInteractionRetriever", "OnnxMilvusSparse", "OnnxSparse", "OnnxSparseRetriever"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _OPTIONAL:
        from onnxembed.adapters.extras import load_class

        value = load_class(name, _HOMES[name])
    else:
        value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

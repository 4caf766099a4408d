"""onnxembed's late-interaction, sparse and hybrid search behind LlamaIndex's retriever interface.

The classes are loaded on first use, since each needs a package that the other does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_index.retrievers.onnxembed.base import OnnxLateInteractionRetriever
    from llama_index.retrievers.onnxembed.hybrid import OnnxHybridRetriever
    from llama_index.retrievers.onnxembed.sparse import OnnxSparseRetriever

__all__ = ["OnnxHybridRetriever", "OnnxLateInteractionRetriever", "OnnxSparseRetriever"]

_HOMES = {
    "OnnxHybridRetriever": "llama_index.retrievers.onnxembed.hybrid",
    "OnnxLateInteractionRetriever": "llama_index.retrievers.onnxembed.base",
    "OnnxSparseRetriever": "llama_index.retrievers.onnxembed.sparse",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onnxembed.adapters.extras import load_class

    value = globals()[name] = load_class(name, _HOMES[name])
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

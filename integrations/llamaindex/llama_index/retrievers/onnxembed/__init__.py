"""onnxembed's late-interaction models behind LlamaIndex's retriever interface."""

from llama_index.retrievers.onnxembed.base import OnnxLateInteractionRetriever

__all__ = ["OnnxLateInteractionRetriever"]

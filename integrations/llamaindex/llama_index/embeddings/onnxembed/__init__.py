"""onnxembed's dense models behind LlamaIndex's embedding interface."""

from llama_index.embeddings.onnxembed.base import OnnxEmbedding

__all__ = ["OnnxEmbedding"]

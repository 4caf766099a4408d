"""onnxembed's sparse models behind LlamaIndex's sparse embedding interface."""

from llama_index.sparse_embeddings.onnxembed.base import OnnxSparseEmbedding

__all__ = ["OnnxSparseEmbedding"]

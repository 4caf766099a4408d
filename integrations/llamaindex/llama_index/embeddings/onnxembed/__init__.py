"""onnxembed's dense, image and multi-vector models behind LlamaIndex's embedding interfaces."""

from llama_index.embeddings.onnxembed.base import OnnxEmbedding
from llama_index.embeddings.onnxembed.multimodal import OnnxMultiModalEmbedding
from llama_index.embeddings.onnxembed.muvera import OnnxMuveraEmbedding

__all__ = ["OnnxEmbedding", "OnnxMultiModalEmbedding", "OnnxMuveraEmbedding"]

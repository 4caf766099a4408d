"""onnxembed's rerankers as LlamaIndex postprocessors."""

from llama_index.postprocessor.onnxembed_rerank.base import OnnxLateInteractionRerank, OnnxRerank

__all__ = ["OnnxLateInteractionRerank", "OnnxRerank"]

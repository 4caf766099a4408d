"""Rerankers for LangChain."""

from __future__ import annotations

from pydantic import Field

from langchain_onnxembed._compressor import Compressor
from onnxembed.adapters.fields import LATE_INTERACTION_MODEL, RERANK_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.rerank import CrossEncoderRanking, LateInteractionRanking

__all__ = ["OnnxLateInteractionRerank", "OnnxRerank"]


class OnnxRerank(CrossEncoderRanking, Compressor):
    """Onnx cross-encoder reranker integration.

    `activation` is `"raw"` for the model's logits, `"sigmoid"` for numbers from 0 to 1, `"model"` for its own choice.

    Usage:
        ```python
        from langchain_onnxembed import OnnxRerank

        reranker = OnnxRerank(model="Xenova/ms-marco-MiniLM-L-6-v2", top_n=3, activation="sigmoid")
        retriever = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=store.as_retriever())
        ```
    """

    model_name: ModelName = Field(default=RERANK_MODEL, alias="model")


class OnnxLateInteractionRerank(LateInteractionRanking, Compressor):
    """Onnx late-interaction reranker integration: MaxSim over the token vectors of a ColBERT model.

    A document's score is the sum, over the tokens of the query, of the largest dot product with any of its tokens.

    With `dense=True`, any dense model serves: its token vectors are compared.
    """

    model_name: ModelName = Field(default=LATE_INTERACTION_MODEL, alias="model")

"""Rerankers for LlamaIndex."""

from __future__ import annotations

from typing_extensions import override

from llama_index.postprocessor.onnxembed_rerank._reranker import Reranker
from onnxembed.adapters.fields import LATE_INTERACTION_MODEL, RERANK_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.rerank import CrossEncoderRanking, LateInteractionRanking

__all__ = ["OnnxLateInteractionRerank", "OnnxRerank"]


class OnnxRerank(CrossEncoderRanking, Reranker):
    """Reranks nodes with a cross-encoder, which reads query and node together, on this machine.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.postprocessor.onnxembed_rerank import OnnxRerank

        reranker = OnnxRerank(model="Xenova/ms-marco-MiniLM-L-6-v2", top_n=3)
        engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
        ```
    """

    model: ModelName = RERANK_MODEL

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxRerank"


class OnnxLateInteractionRerank(LateInteractionRanking, Reranker):
    """Reranks nodes by MaxSim over the token vectors of a ColBERT model, on this machine.

    A node's score is the sum, over the tokens of the query, of the largest dot product with any of its tokens.

    Examples:
        ```python
        from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank

        reranker = OnnxLateInteractionRerank(model="answerdotai/answerai-colbert-small-v1", top_n=3)
        ```

        With ``dense=True``, any dense model serves: its token vectors are compared.
    """

    model: ModelName = LATE_INTERACTION_MODEL

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxLateInteractionRerank"

"""Multi-vector models as plain dense vectors for LlamaIndex: MUVERA."""

from __future__ import annotations

from typing_extensions import override

from llama_index.embeddings.onnxembed._embedding import VectorEmbedding
from onnxembed.adapters.fields import LATE_INTERACTION_MODEL
from onnxembed.adapters.muvera import MuveraModel
from onnxembed.adapters.option_types import ModelName

__all__ = ["OnnxMuveraEmbedding"]


class OnnxMuveraEmbedding(MuveraModel, VectorEmbedding):
    """One vector of fixed length from the token vectors of a ColBERT model, for any store of dense vectors.

    The dot product of a query's vector and a text's approximates their MaxSim (MUVERA, arXiv:2405.19504). The store
    must rank by **dot product**: lengths carry part of the score, and cosine, which ``SimpleVectorStore`` takes, drops
    them. The approximation finds candidates; ``OnnxLateInteractionRerank`` with the same model sorts them exactly.

    Examples:
        ``pip install "llama-index-onnxembed[qdrant]"``

        ```python
        from llama_index.embeddings.onnxembed import OnnxMuveraEmbedding
        from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank
        from qdrant_client.models import Distance, VectorParams

        muvera = OnnxMuveraEmbedding(model_name="answerdotai/answerai-colbert-small-v1")
        config = VectorParams(size=muvera.dimension, distance=Distance.DOT)
        store = QdrantVectorStore("documents", client=client, dense_config=config)
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex(nodes, storage_context=context, embed_model=muvera)
        reranker = OnnxLateInteractionRerank(model=muvera.model_name, top_n=5)
        engine = index.as_query_engine(similarity_top_k=50, node_postprocessors=[reranker])
        ```
    """

    model_name: ModelName = LATE_INTERACTION_MODEL

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxMuveraEmbedding"

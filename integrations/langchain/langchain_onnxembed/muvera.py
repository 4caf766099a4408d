"""Multi-vector models as plain dense embeddings for LangChain: MUVERA."""

from __future__ import annotations

from pydantic import Field

from langchain_onnxembed._model import TextVectors
from onnxembed.adapters.fields import LATE_INTERACTION_MODEL
from onnxembed.adapters.muvera import MuveraModel
from onnxembed.adapters.option_types import ModelName

__all__ = ["OnnxMuveraEmbeddings"]


class OnnxMuveraEmbeddings(MuveraModel, TextVectors):
    """Onnx MUVERA embedding model integration: one vector of fixed length from the token vectors of a ColBERT model.

    The dot product of a query's vector and a document's approximates their MaxSim (MUVERA, arXiv:2405.19504), so any
    store of dense vectors finds candidates, and `OnnxLateInteractionRerank` with the same model sorts them exactly.

    The store must rank by **dot product**, not by cosine: lengths carry part of the score. A vector has
    `r_reps * 2 ** k_sim * dim_proj` numbers; more of them approximate better.

    Index and exact order:
        ```python
        from langchain_onnxembed import OnnxLateInteractionRerank, OnnxMuveraEmbeddings
        from qdrant_client.models import Distance

        muvera = OnnxMuveraEmbeddings(model="answerdotai/answerai-colbert-small-v1")
        store = QdrantVectorStore.from_documents(documents, muvera, location=":memory:", distance=Distance.DOT)
        retriever = ContextualCompressionRetriever(
            base_compressor=OnnxLateInteractionRerank(model=muvera.model, top_n=5),
            base_retriever=store.as_retriever(search_kwargs={"k": 50}),
        )
        ```
    """

    model_name: ModelName = Field(default=LATE_INTERACTION_MODEL, alias="model")

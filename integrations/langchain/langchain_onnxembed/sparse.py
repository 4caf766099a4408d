"""Sparse embeddings for LangChain's Qdrant store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field
from typing_extensions import override

from langchain_onnxembed._model import SINGLE_TEXT, NamedModel
from onnxembed.adapters.checks import as_texts
from onnxembed.adapters.fields import SPARSE_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import MissingExtraError

try:
    from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
except ImportError as error:
    raise MissingExtraError('OnnxSparse needs langchain-qdrant: pip install "langchain-onnxembed[qdrant]"') from error

if TYPE_CHECKING:
    from onnxembed import SparseEmbedding

__all__ = ["OnnxSparse"]


class OnnxSparse(SparseModel, NamedModel, SparseEmbeddings):
    """Onnx sparse embedding model integration, for `QdrantVectorStore` in sparse and hybrid mode.

    BM25, the default, needs no model and no download.

    Hybrid search:
        BM25, BM42 and MiniCOIL leave the inverse document frequency to the store, which counts it only if
        `sparse_vector_params()` is passed where the collection is created.

        ```python
        from langchain_onnxembed import OnnxEmbeddings, OnnxSparse
        from langchain_qdrant import QdrantVectorStore, RetrievalMode

        sparse = OnnxSparse(model="Qdrant/bm25", language="english")
        store = QdrantVectorStore.from_texts(
            texts,
            embedding=OnnxEmbeddings(),
            sparse_embedding=sparse,
            sparse_vector_params=sparse.sparse_vector_params(),
            retrieval_mode=RetrievalMode.HYBRID,
            location=":memory:",
        )
        ```
    """

    model_name: ModelName = Field(default=SPARSE_MODEL, alias="model")

    def sparse_vector_params(self) -> dict[str, Any]:
        """Give the store's ``sparse_vector_params=``.

        Returns:
            ``{"modifier": Modifier.IDF}`` where the store must weigh terms by their rarity, else ``{}``.
        """
        if not self.requires_idf:
            return {}
        from qdrant_client.models import Modifier

        return {"modifier": Modifier.IDF}

    @override
    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        texts = as_texts(texts, "embed_documents", SINGLE_TEXT)
        return [_as_qdrants(vector) for vector in self._sparse(texts, "document")]

    @override
    def embed_query(self, text: str) -> SparseVector:
        return _as_qdrants(self._sparse([text], "query")[0])

    @override
    async def aembed_documents(self, texts: list[str]) -> list[SparseVector]:
        return await self._in_pool(lambda: self.embed_documents(texts))

    @override
    async def aembed_query(self, text: str) -> SparseVector:
        return await self._in_pool(lambda: self.embed_query(text))


def _as_qdrants(vector: SparseEmbedding) -> SparseVector:
    # The core's indices are unique and as many as the values: there is nothing left to validate.
    return SparseVector.model_construct(indices=vector.indices.tolist(), values=vector.values.tolist())

"""Sparse embeddings for LangChain's Milvus store."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from langchain_onnxembed._model import SINGLE_TEXT, NamedModel
from onnxembed.adapters.checks import as_texts
from onnxembed.adapters.fields import SPARSE_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import MissingExtraError

try:
    from langchain_milvus.utils.sparse import BaseSparseEmbedding
except ImportError as error:
    raise MissingExtraError(
        'OnnxMilvusSparse needs langchain-milvus: pip install "langchain-onnxembed[milvus]"'
    ) from error

__all__ = ["OnnxMilvusSparse"]


class OnnxMilvusSparse(SparseModel, NamedModel, BaseSparseEmbedding):  # type: ignore[misc]  # no types in its package
    """Onnx sparse embedding model integration, for Milvus.

    Milvus multiplies vectors as they are. With BM25, give `statistics` (made by `SparseTextEmbedding.fit`) and
    `idf_in_query=True`, so that the query carries the inverse document frequency. Vectors are ``{id: value}``.
    """

    model_name: ModelName = Field(default=SPARSE_MODEL, alias="model")

    @override
    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        texts = as_texts(texts, "embed_documents", SINGLE_TEXT)
        return [vector.as_dict() for vector in self._sparse(texts, "document")]

    @override
    def embed_query(self, query: str) -> dict[int, float]:
        return self._sparse([query], "query")[0].as_dict()

    async def aembed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Embed documents without blocking the event loop."""
        return await self._in_pool(lambda: self.embed_documents(texts))

    async def aembed_query(self, query: str) -> dict[int, float]:
        """Embed a query without blocking the event loop."""
        return await self._in_pool(lambda: self.embed_query(query))

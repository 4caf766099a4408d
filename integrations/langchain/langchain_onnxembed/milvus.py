"""Sparse embeddings for LangChain's Milvus store."""

from __future__ import annotations

from typing import Any

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

    Pass the store `index_params()` and `search_params()`: left to itself, langchain-milvus asks for
    ``drop_ratio_build=0.2`` in both, which drops the smallest fifth of all weights and which Milvus Lite refuses.
    """

    model_name: ModelName = Field(default=SPARSE_MODEL, alias="model")

    def index_params(self) -> dict[str, Any]:
        """Give the entry of the store's ``index_params=`` that belongs to this model: an exact inverted index."""
        return {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP", "params": {}}

    def search_params(self) -> dict[str, Any]:
        """Give the entry of the store's ``search_params=`` that belongs to this model."""
        return {"metric_type": "IP", "params": {}}

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

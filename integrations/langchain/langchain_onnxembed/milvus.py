"""Sparse embeddings for LangChain's Milvus store."""

from __future__ import annotations

try:
    from langchain_milvus.utils.sparse import BaseSparseEmbedding
except ImportError as error:
    raise ImportError('OnnxMilvusSparse needs langchain-milvus: pip install "langchain-onnxembed[milvus]"') from error

from langchain_onnxembed._sparse_model import SparseModel


class OnnxMilvusSparse(SparseModel, BaseSparseEmbedding):  # type: ignore[misc]  # its package carries no types
    """Onnx sparse embedding model integration, for Milvus.

    Milvus multiplies vectors as they are. With BM25, give `statistics` (made by `SparseTextEmbedding.fit`) and
    `idf_in_query=True`, so that the query carries the inverse document frequency.
    """

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.

        Returns:
            ``{id: value}`` for each text, in the same order.
        """
        return [vector.as_dict() for vector in self._documents(texts)]

    def embed_query(self, query: str) -> dict[int, float]:
        """Embed a text that others are searched with.

        Args:
            query: The text.

        Returns:
            ``{id: value}``.
        """
        return self._query(query).as_dict()

    async def aembed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.

        Returns:
            ``{id: value}`` for each text, in the same order.
        """
        return await self.engine.run_async(lambda: self.embed_documents(texts))

    async def aembed_query(self, query: str) -> dict[int, float]:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            query: The text.

        Returns:
            ``{id: value}``.
        """
        return await self.engine.run_async(lambda: self.embed_query(query))

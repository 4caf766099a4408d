"""Sparse embeddings for LangChain's Qdrant store."""

from __future__ import annotations

from typing import Any

try:
    from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
except ImportError as error:
    raise ImportError('OnnxSparse needs langchain-qdrant: pip install "langchain-onnxembed[qdrant]"') from error

from langchain_onnxembed._sparse_model import SparseModel


class OnnxSparse(SparseModel, SparseEmbeddings):
    """Onnx sparse embedding model integration, for `QdrantVectorStore` in sparse and hybrid mode.

    Setup:
        ```bash
        pip install -U "langchain-onnxembed[qdrant]"
        ```

        BM25, the default, needs no model and no download.

    Key init args:
        model: str
            `"Qdrant/bm25"`, or a sparse model such as `"prithivida/Splade_PP_en_v1"`.
        language, k, b, avg_len, stopwords, statistics: ...
            How BM25 reads and weighs words.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxSparse

        sparse = OnnxSparse(model="Qdrant/bm25", language="english")
        ```

    Embed single text:
        ```python
        vector = sparse.embed_query("hello world")
        print(vector.indices, vector.values)
        ```

        ```
        [74040069, 613153351] [1.0, 1.0]
        ```

    Embed multiple texts:
        ```python
        vectors = sparse.embed_documents(["hello world", "a second text"])
        ```

    Async:
        ```python
        vector = await sparse.aembed_query("hello world")
        ```

    Hybrid search:
        BM25, BM42 and MiniCOIL leave the inverse document frequency to the store, which only counts it when the
        collection is told so: pass `sparse_vector_params()` where the collection is created.

        ```python
        from langchain_qdrant import QdrantVectorStore, RetrievalMode

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

    def sparse_vector_params(self) -> dict[str, Any]:
        """Give what Qdrant must know of the vectors, for ``sparse_vector_params=`` of the store.

        Returns:
            ``{"modifier": Modifier.IDF}`` where the store must weigh terms by their rarity, else ``{}``.
        """
        if not self.requires_idf:
            return {}
        from qdrant_client.models import Modifier

        return {"modifier": Modifier.IDF}

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.

        Returns:
            One sparse vector a text, in the same order; empty for a text without any word that counts.
        """
        # The core's indices are unique and as many as the values: there is nothing left to validate.
        return [
            SparseVector.model_construct(indices=vector.indices.tolist(), values=vector.values.tolist())
            for vector in self._documents(texts)
        ]

    def embed_query(self, text: str) -> SparseVector:
        """Embed a text that others are searched with.

        Args:
            text: The text.

        Returns:
            Its sparse vector.
        """
        vector = self._query(text)
        return SparseVector.model_construct(indices=vector.indices.tolist(), values=vector.values.tolist())

    async def aembed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.

        Returns:
            One sparse vector a text, in the same order.
        """
        return await self.engine.run_async(lambda: self.embed_documents(texts))

    async def aembed_query(self, text: str) -> SparseVector:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its sparse vector.
        """
        return await self.engine.run_async(lambda: self.embed_query(text))

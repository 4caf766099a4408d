"""Sparse text embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from pydantic import Field
from typing_extensions import override

from llama_index.sparse_embeddings.onnxembed.encoders import EncodedTexts, SparseEncoder
from onnxembed.adapters.checks import as_texts
from onnxembed.adapters.fields import SPARSE_MODEL
from onnxembed.adapters.option_types import InputType, ModelName
from onnxembed.adapters.progress import framework_shows
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import MissingExtraError

if TYPE_CHECKING:
    from qdrant_client.models import SparseVectorParams

__all__ = ["OnnxSparseEmbedding"]

_SINGLE = "use get_text_embedding for a single text"


class OnnxSparseEmbedding(SparseModel, BaseSparseEmbedding):
    """Sparse text embeddings on this machine: BM25, or a sparse model through ONNX Runtime.

    Texts are encoded as documents and queries as queries; both through one engine, which is loaded once in a process.

    Examples:
        ``pip install llama-index-onnxembed llama-index-vector-stores-qdrant``

        ```python
        from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
        from llama_index.vector_stores.qdrant import QdrantVectorStore

        sparse = OnnxSparseEmbedding(model_name="Qdrant/bm25")
        store = QdrantVectorStore("documents", client=client, **sparse.qdrant_kwargs())
        index = VectorStoreIndex.from_documents(documents, StorageContext.from_defaults(vector_store=store))
        index.as_query_engine(vector_store_query_mode="hybrid", similarity_top_k=5, sparse_top_k=10)
        ```

        That store calls its sparse functions inside its asynchronous methods, too: a large model blocks the event loop
        there for the time of one query.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {
        "model": "here it is called 'model_name'",
        "show_progress_bar": "pass show_progress= to the call",
    }

    model_name: ModelName = SPARSE_MODEL
    embed_batch_size: int = Field(default=256, gt=0, le=2048, description="Texts passed to the engine at a time.")

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxSparseEmbedding"

    def encode(self, texts: list[str], input_type: InputType) -> EncodedTexts:
        """Give the indices and the values of each text, as Qdrant's store takes them."""
        vectors = self._sparse(texts, input_type)
        return [vector.indices.tolist() for vector in vectors], [vector.values.tolist() for vector in vectors]

    def doc_encoder(self) -> SparseEncoder:
        """Give the function for the store's ``sparse_doc_fn``; it can be pickled."""
        return SparseEncoder(self, "document")

    def query_encoder(self) -> SparseEncoder:
        """Give the function for the store's ``sparse_query_fn``; it can be pickled."""
        return SparseEncoder(self, "query")

    def sparse_config(self) -> SparseVectorParams:
        """Give the store's ``sparse_config``, with the IDF modifier where the store must weigh terms by rarity."""
        try:
            from qdrant_client.models import Modifier, SparseVectorParams
        except ImportError as error:
            raise MissingExtraError(
                "sparse_config() needs the Qdrant client: pip install llama-index-vector-stores-qdrant"
            ) from error
        return SparseVectorParams(modifier=Modifier.IDF if self.requires_idf else None)

    def qdrant_kwargs(self) -> dict[str, Any]:
        """Give all arguments that ``QdrantVectorStore`` needs for hybrid search with this model."""
        return {
            "enable_hybrid": True,
            "sparse_doc_fn": self.doc_encoder(),
            "sparse_query_fn": self.query_encoder(),
            "sparse_config": self.sparse_config(),
        }

    @override
    def to_payload(self) -> dict[str, Any]:
        return {**super().to_payload(), "device": self.device}

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and the class's name as plain data."""
        return self.model_dump()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the object that `to_dict` described."""
        return cls(**data)

    @override
    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[SparseEmbedding]:
        texts = as_texts(texts, "get_text_embedding_batch", _SINGLE)
        with framework_shows():
            return super().get_text_embedding_batch(texts, show_progress or bool(self.show_progress), **kwargs)

    @override
    async def aget_text_embedding_batch(self, texts: list[str], show_progress: bool = False) -> list[SparseEmbedding]:
        texts = as_texts(texts, "get_text_embedding_batch", _SINGLE)
        with framework_shows():
            return await super().aget_text_embedding_batch(texts, show_progress or bool(self.show_progress))

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._sparse([query], "query")[0].as_dict()

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return await self._in_pool(lambda: self._get_query_embedding(query))

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return await self._in_pool(lambda: self._get_text_embedding(text))

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return [vector.as_dict() for vector in self._sparse(texts, "document")]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return await self._in_pool(lambda: self._get_text_embeddings(texts))

"""Sparse text embeddings for LlamaIndex."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from pydantic import BaseModel, Field

from llama_index.embeddings.onnxembed._engine import COMMON_NAMES, EngineFields
from llama_index.embeddings.onnxembed._options import ModelName
from llama_index.sparse_embeddings.onnxembed.encoders import SparseEncoder

if TYPE_CHECKING:
    from qdrant_client.models import SparseVectorParams

    from onnxembed import SparseTextEmbedding


class OnnxSparseEmbedding(EngineFields, BaseSparseEmbedding):
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

    Attributes:
        model_name: Name of the model, or a local folder.
        embed_batch_size: Texts handed over at a time.
        num_workers: Windows that the asynchronous batch method runs at once.
        language: Language of BM25's stems and stop words, as a name or an ISO 639-1 code.
        k: How fast repeated words saturate (BM25, MiniCOIL).
        b: How much long texts are discounted (BM25, MiniCOIL), 0 to 1.
        avg_len: Words of an average text (BM25, MiniCOIL).
        token_max_length: Longer words are left out (BM25).
        disable_stemmer: Whether words are taken as they are (BM25).
        stemmer: An object with ``stem_word(str) -> str`` instead of the language's own (BM25).
        stopwords: Words to leave out instead of the language's own (BM25).
        compatible: Whether words are cut exactly as fastembed cuts them, for an index made with it (BM25).
        segmenter: Cuts texts of scripts without spaces into words (BM25).
        statistics: What ``SparseTextEmbedding.fit`` measured, or the file it was saved in (BM25).
        idf_in_query: Whether queries carry the inverse document frequency, for stores that have no IDF modifier; needs
            ``statistics`` (BM25).
        alpha: Exponent of the attention weights (BM42).
        top_k: The most entries of a vector, the largest stay (SPLADE).
        min_weight: Smaller entries are left out (SPLADE).
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        **{
            name: name
            for name in (
                "language",
                "k",
                "b",
                "avg_len",
                "token_max_length",
                "disable_stemmer",
                "stemmer",
                "stopwords",
                "compatible",
                "segmenter",
                "statistics",
                "idf_in_query",
                "alpha",
                "top_k",
                "min_weight",
            )
        },
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "model": "here it is called 'model_name'",
        "stop_words": "here it is called 'stopwords'",
        "threshold": "here it is called 'min_weight'",
    }

    model_name: ModelName = "Qdrant/bm25"
    embed_batch_size: int = Field(default=256, gt=0, le=2048)
    language: str | None = None
    k: float | None = None
    b: float | None = None
    avg_len: float | None = None
    token_max_length: int | None = None
    disable_stemmer: bool | None = None
    stemmer: Any = None
    stopwords: list[str] | None = None
    compatible: bool | None = None
    segmenter: Any = None
    statistics: Any = None
    idf_in_query: bool | None = None
    alpha: float | None = None
    top_k: int | None = Field(default=None, ge=1)
    min_weight: float | None = None

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxSparseEmbedding"

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> SparseTextEmbedding:
        from onnxembed import Bm25Statistics, SparseTextEmbedding

        if isinstance(settings["statistics"], str | os.PathLike):
            settings = {**settings, "statistics": Bm25Statistics.load(settings["statistics"])}
        return SparseTextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> SparseTextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: SparseTextEmbedding = self._open(lazy_load=True)
        return engine

    @property
    def requires_idf(self) -> bool:
        """Whether the store must weigh terms by their rarity."""
        return self.engine.requires_idf

    def doc_encoder(self) -> SparseEncoder:
        """Give the function for the store's ``sparse_doc_fn``.

        Returns:
            A function from texts to indices and values; it can be pickled.
        """
        return SparseEncoder(self, "passage")

    def query_encoder(self) -> SparseEncoder:
        """Give the function for the store's ``sparse_query_fn``.

        Returns:
            A function from queries to indices and values; it can be pickled.
        """
        return SparseEncoder(self, "query")

    def sparse_config(self) -> SparseVectorParams:
        """Give what Qdrant must know of the vectors, for the store's ``sparse_config``.

        Returns:
            The parameters, with the IDF modifier where the store must weigh terms by their rarity.

        Raises:
            ImportError: If qdrant-client is not installed.
        """
        try:
            from qdrant_client.models import Modifier, SparseVectorParams
        except ImportError as error:
            raise ImportError(
                "sparse_config() needs the Qdrant client: pip install llama-index-vector-stores-qdrant"
            ) from error
        return SparseVectorParams(modifier=Modifier.IDF if self.requires_idf else None)

    def qdrant_kwargs(self) -> dict[str, Any]:
        """Give all arguments that ``QdrantVectorStore`` needs for hybrid search with this model.

        Returns:
            ``enable_hybrid``, ``sparse_doc_fn``, ``sparse_query_fn`` and ``sparse_config``.
        """
        return {
            "enable_hybrid": True,
            "sparse_doc_fn": self.doc_encoder(),
            "sparse_query_fn": self.query_encoder(),
            "sparse_config": self.sparse_config(),
        }

    def to_payload(self) -> dict[str, Any]:
        """Describe the model for events; nothing secret is in it.

        Returns:
            Class, model, window and device.
        """
        return {**super().to_payload(), "device": self.device}

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain data.

        Returns:
            The fields and the class's name.
        """
        return self.model_dump()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the object that ``to_dict`` described.

        Args:
            data: The fields.

        Returns:
            The object.
        """
        return cls.model_validate(dict(data))

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[SparseEmbedding]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Ignored; the framework's pipelines hand their own options to every component.

        Returns:
            ``{id: value}`` for each text, in the same order.
        """
        return super().get_text_embedding_batch(_as_texts(texts), show_progress, **kwargs)

    async def aget_text_embedding_batch(self, texts: list[str], show_progress: bool = False) -> list[SparseEmbedding]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.

        Returns:
            ``{id: value}`` for each text, in the same order.
        """
        return await super().aget_text_embedding_batch(_as_texts(texts), show_progress)

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return next(self.engine.query_embed([query])).as_dict()

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return await self.engine.run_async(lambda: self._get_query_embedding(query))

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return await self.engine.run_async(lambda: self._get_text_embedding(text))

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        parallel = self.parallel if len(texts) > 1 else None
        vectors = self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=parallel)
        return [vector.as_dict() for vector in vectors]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return await self.engine.run_async(lambda: self._get_text_embeddings(texts))

    def __eq__(self, other: object) -> bool:
        """Compare the settings; whether the model is already loaded makes no difference."""
        return type(self) is type(other) and isinstance(other, BaseModel) and self.__dict__ == other.__dict__


def _as_texts(texts: Iterable[str]) -> list[str]:
    """Refuse a single text, whose letters would be embedded."""
    from onnxembed.errors import InputTypeError

    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputTypeError(
            f"get_text_embedding_batch was given a {type(texts).__name__}, expected a list of str; "
            "use get_text_embedding for a single text"
        )
    return list(texts)

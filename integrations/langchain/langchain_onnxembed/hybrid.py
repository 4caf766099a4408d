"""Dense and sparse retrieval, fused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore
from pydantic import Field, PrivateAttr, field_validator, model_validator

from langchain_onnxembed._documents import SCORE, Filter, as_documents, as_ids, documents_of, texts_of
from langchain_onnxembed._hybrid_sides import (
    BesideMemory,
    InQdrant,
    Sides,
    hybrid_qdrant,
    new_hybrid_qdrant,
    refuse_without_idf,
)
from langchain_onnxembed._retriever import ScoringRetriever
from onnxembed.adapters.checks import wrong_type
from onnxembed.adapters.fusion import EVEN, FETCH_K, RANK_CONSTANT, RERANK_K, Fusion, as_fusion, refuse_other_ids
from onnxembed.adapters.memory import mean_length, sparse_core_model
from onnxembed.adapters.sparse import SparseModel
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter as QdrantFilter

    from langchain_onnxembed.retrievers import OnnxSparseRetriever
    from langchain_onnxembed.sparse import OnnxSparse
    from onnxembed import SparseTextEmbedding

__all__ = ["OnnxHybridRetriever"]

HybridFilter: TypeAlias = "Filter | QdrantFilter | tuple[Any, Filter]"


class OnnxHybridRetriever(ScoringRetriever):
    """Onnx hybrid retriever integration: any vector store and sparse vectors, fused by reciprocal ranks.

    Both sides search `fetch_k` deep, and a document's score is the sum of ``weight / (rank_constant + rank)``. The
    hybrid search that stores and frameworks have by default looks only as deep as the `k` asked for, which finds less.

    Usage:
        ```python
        from langchain_core.vectorstores import InMemoryVectorStore  # pip install "langchain-onnxembed[retriever]"
        from langchain_onnxembed import OnnxEmbeddings, OnnxHybridRetriever

        store = InMemoryVectorStore(OnnxEmbeddings())
        retriever = OnnxHybridRetriever.from_documents(documents, store, k=4)
        retriever.invoke("zeppelins", filter={"language": "en"})
        ```

    Sparse side:
        Sparse vectors live in memory, in an ``OnnxSparseRetriever``: BM25 unless another model is given. A store that
        is filled already needs the same documents, with the ids that it knows them by, in
        ``sparse=OnnxSparseRetriever.from_documents(documents)``. `add_documents` and `delete` change both sides; what
        is deleted from the store alone is still found by its words.

        `in_qdrant` makes a collection of both. There, and in any ``QdrantVectorStore`` in hybrid mode, the collection's
        own sparse vectors are searched, and Qdrant fuses them. Where it cannot (servers before 1.16, weights that
        differ), it searches twice and the same is computed here.

    Filters:
        A ``filter`` is a mapping of metadata that must be equal, or a function from a document to whether it may be
        found where the store takes one, too. For other conditions pass a pair: the store's own filter, and a function
        that says the same. With Qdrant's own sparse vectors, a ``qdrant_client.models.Filter`` is taken as well.

    Scores are those of the fusion, or the reranker's where there is one.
    """

    vectorstore: VectorStore = Field(description="The store of the dense vectors.")
    sparse: Any = Field(
        default=None, description="An `OnnxSparseRetriever` of the same documents; `None` for Qdrant's own vectors."
    )
    fetch_k: int = Field(default=FETCH_K, ge=1, description="Documents that each side finds; `k` if that is more.")
    rank_constant: int = Field(default=RANK_CONSTANT, ge=0, description="What is added to each rank.")
    weights: tuple[float, float] = Field(default=EVEN, description="Of the dense and of the sparse side.")
    reranker: BaseDocumentCompressor | None = Field(
        default=None, description="Orders the best of the fused ranking anew, such as `OnnxRerank`."
    )
    rerank_k: int = Field(default=RERANK_K, ge=1, description="Documents that the reranker reads; `k` if that is more.")
    id_key: str | None = Field(
        default=None, description="The metadata that a document is known by on both sides; `None` for its id."
    )

    _checked: tuple[Fusion, Sides] | None = PrivateAttr(default=None)

    @field_validator("sparse")
    @classmethod
    def _as_sparse(cls, given: Any) -> Any:
        if given is None:
            return None
        from langchain_onnxembed.retrievers import OnnxSparseRetriever

        if not isinstance(given, OnnxSparseRetriever):
            raise wrong_type("sparse", given, "an OnnxSparseRetriever; from_documents makes one of a model")
        if given.filter is not None:
            raise InputError("sparse has a filter of its own, which the store knows nothing of; pass filter= here")
        return given

    @model_validator(mode="after")
    def _has_both_sides(self) -> Self:
        as_fusion(self.fetch_k, self.rank_constant, self.weights)
        store = type(self.vectorstore).__name__
        qdrant = hybrid_qdrant(self.vectorstore)
        if qdrant is not None:
            refuse_without_idf(qdrant)
            if self.sparse is not None or self.id_key is not None:
                raise InputError(f"this {store} has sparse vectors of its own; leave sparse= and id_key= out")
        elif self.sparse is None:
            raise InputError(
                f"{store} holds no sparse vectors: pass sparse=OnnxSparseRetriever.from_documents(documents), or make "
                "the retriever by from_documents; a QdrantVectorStore needs retrieval_mode=RetrievalMode.HYBRID"
            )
        return self

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        vectorstore: VectorStore,
        embedding: SparseTextEmbedding | SparseModel | None = None,
        *,
        k: int = 4,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseDocumentCompressor | None = None,
        rerank_k: int = RERANK_K,
        id_key: str | None = None,
        filter: HybridFilter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
    ) -> Self:
        """Add documents to a store and to sparse vectors beside it. The other arguments are the fields.

        Args:
            documents: The documents.
            vectorstore: The store of the dense vectors.
            embedding: The sparse model, from the core or an adapter; BM25 in English when left out, with the mean
                length that these documents have. A Qdrant store in hybrid mode has its own.
            k: Most documents that a query finds.
            fetch_k: Documents that each side finds.
            rank_constant: What is added to each rank.
            weights: Of the dense and of the sparse side.
            reranker: Orders the best of the fused ranking anew.
            rerank_k: Documents that the reranker reads.
            id_key: The metadata that a document is known by; ``None`` for its id.
            filter: Which documents may be found; ``None`` for all.
            include_scores: Whether found documents have their score under ``relevance_score`` in their metadata.

        Returns:
            The retriever.

        Raises:
            InputError: The store has sparse vectors of its own and a model is given, or a number is out of range.
        """
        documents = as_documents(documents, "from_documents")
        retriever = cls(
            vectorstore=vectorstore,
            sparse=_empty_sparse(documents, vectorstore, embedding),
            k=k,
            fetch_k=fetch_k,
            rank_constant=rank_constant,
            weights=weights,
            reranker=reranker,
            rerank_k=rerank_k,
            id_key=id_key,
            filter=filter,
            include_scores=include_scores,
        )
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        vectorstore: VectorStore,
        embedding: SparseTextEmbedding | SparseModel | None = None,
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        k: int = 4,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseDocumentCompressor | None = None,
        rerank_k: int = RERANK_K,
        id_key: str | None = None,
        filter: HybridFilter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
    ) -> Self:
        """Add texts, with the metadata of each, as `from_documents` does documents."""
        return cls.from_documents(
            documents_of(texts, metadatas),
            vectorstore,
            embedding,
            k=k,
            fetch_k=fetch_k,
            rank_constant=rank_constant,
            weights=weights,
            reranker=reranker,
            rerank_k=rerank_k,
            id_key=id_key,
            filter=filter,
            include_scores=include_scores,
        )

    @classmethod
    def in_qdrant(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings,
        sparse_embedding: OnnxSparse | None = None,
        *,
        client: QdrantClient | None = None,
        collection_name: str = "hybrid",
        k: int = 4,
        fetch_k: int = FETCH_K,
        rank_constant: int = RANK_CONSTANT,
        weights: tuple[float, float] = EVEN,
        reranker: BaseDocumentCompressor | None = None,
        rerank_k: int = RERANK_K,
        filter: HybridFilter | None = None,  # noqa: A002 - LangChain's name
        include_scores: bool = False,
    ) -> Self:
        """Make a Qdrant collection of dense and sparse vectors, and add documents. The other arguments are the fields.

        The sparse model that was used is ``retriever.vectorstore.sparse_embeddings``: to add to the collection later,
        open it with the same ``avg_len``.

        Args:
            documents: The documents; their ids, if they have any, must be UUIDs, as Qdrant wants them.
            embedding: The dense model.
            sparse_embedding: The sparse model; BM25 in English when left out, with the mean length of these documents.
            client: Qdrant's client; in memory when left out.
            collection_name: The collection, which must not be there yet.
            k: Most documents that a query finds.
            fetch_k: Documents that each side finds.
            rank_constant: What is added to each rank.
            weights: Of the dense and of the sparse side.
            reranker: Orders the best of the fused ranking anew.
            rerank_k: Documents that the reranker reads.
            filter: Which documents may be found; ``None`` for all.
            include_scores: Whether found documents have their score under ``relevance_score`` in their metadata.

        Returns:
            The retriever.

        Raises:
            InputError: There is a collection of that name, a number is out of range, or an id is no UUID.
        """
        from langchain_onnxembed.sparse import OnnxSparse
        from onnxembed.adapters.qdrant import as_client

        documents = as_documents(documents, "in_qdrant")
        refuse_other_ids(document.id for document in documents)
        sparse = OnnxSparse(avg_len=mean_length(texts_of(documents))) if sparse_embedding is None else sparse_embedding
        return cls.from_documents(
            documents,
            new_hybrid_qdrant(as_client(client), collection_name, embedding, sparse),
            k=k,
            fetch_k=fetch_k,
            rank_constant=rank_constant,
            weights=weights,
            reranker=reranker,
            rerank_k=rerank_k,
            filter=filter,
            include_scores=include_scores,
        )

    def add_documents(self, documents: Iterable[Document]) -> list[str]:
        """Add documents to both sides. What the store does with an id that it has already is the store's choice.

        Args:
            documents: Their texts and metadata; an iterator is read whole first.

        Returns:
            The id of each, by which `delete` knows it.
        """
        given = as_documents(documents, "add_documents")
        ids = self.vectorstore.add_documents(given) if given else []
        if self.sparse is not None:
            self.sparse.add_documents(_with_ids(given, ids))
        return ids

    async def aadd_documents(self, documents: Iterable[Document]) -> list[str]:
        """Add documents as `add_documents` does, without blocking the event loop."""
        given = as_documents(documents, "aadd_documents")
        ids = await self.vectorstore.aadd_documents(given) if given else []
        if self.sparse is not None:
            await self.sparse.aadd_documents(_with_ids(given, ids))
        return ids

    def delete(self, ids: Iterable[str]) -> None:
        """Remove the documents of these ids from both sides."""
        given = as_ids(ids)
        if given:
            self.vectorstore.delete(given)
        if self.sparse is not None:
            self.sparse.delete(given)

    async def adelete(self, ids: Iterable[str]) -> None:
        """Remove documents as `delete` does, without blocking the event loop."""
        given = as_ids(ids)
        if given:
            await self.vectorstore.adelete(given)
        if self.sparse is not None:
            await self.sparse.adelete(given)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: HybridFilter | None = None,  # noqa: A002 - LangChain's name
    ) -> list[Document]:
        only = self.filter if filter is None else filter
        return self._told(self._found(query, self._limit(k), only, run_manager.get_child()))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: HybridFilter | None = None,  # noqa: A002 - LangChain's name
    ) -> list[Document]:
        only = self.filter if filter is None else filter
        return self._told(await self._afound(query, self._limit(k), only, run_manager.get_child()))

    def _scored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        return self._found(query, k, only, None)

    async def _ascored(self, query: str, k: int, only: Any) -> list[tuple[Document, float]]:
        return await self._afound(query, k, only, None)

    def _found(self, query: str, k: int, only: Any, callbacks: Callbacks) -> list[tuple[Document, float]]:
        if self.reranker is None:
            return self._sides().search(query, k, only)
        candidates = self._sides().search(query, max(k, self.rerank_k), only)
        kept = self.reranker.compress_documents([one for one, _ in candidates], query, callbacks) if candidates else []
        return _with_scores(kept[:k], candidates)

    async def _afound(self, query: str, k: int, only: Any, callbacks: Callbacks) -> list[tuple[Document, float]]:
        sides = await run_in_executor(None, self._sides)  # it may ask the server what it can
        if self.reranker is None:
            return await sides.asearch(query, k, only)
        candidates = await sides.asearch(query, max(k, self.rerank_k), only)
        documents = [one for one, _ in candidates]
        kept = await self.reranker.acompress_documents(documents, query, callbacks) if candidates else []
        return _with_scores(kept[:k], candidates)

    def _sides(self) -> Sides:
        """Both sides, made again when a field has changed."""
        fusion = as_fusion(self.fetch_k, self.rank_constant, self.weights)
        qdrant = hybrid_qdrant(self.vectorstore) if self.sparse is None else None
        if qdrant is None:
            return BesideMemory(self.vectorstore, self.sparse, fusion, self.id_key)
        if self._checked is None or self._checked[0] != fusion:
            from onnxembed.adapters.qdrant_fusion import fuses

            self._checked = fusion, InQdrant(qdrant, fusion, fuses(qdrant.client, fusion))
        return self._checked[1]


def _empty_sparse(
    documents: Sequence[Document], store: VectorStore, embedding: SparseTextEmbedding | SparseModel | None
) -> OnnxSparseRetriever | None:
    """The sparse side that documents come into; ``None`` where the store has one."""
    if hybrid_qdrant(store) is not None:
        if embedding is not None:
            raise InputError(f"this {type(store).__name__} has a sparse model of its own; leave embedding= out")
        return None
    from langchain_onnxembed.retrievers import OnnxSparseRetriever

    return OnnxSparseRetriever(embedding=sparse_core_model(embedding, texts_of(documents)))


def _with_ids(documents: Sequence[Document], ids: Sequence[str]) -> list[Document]:
    """The documents by the ids that the store gave them."""
    if len(ids) != len(documents):
        raise InputError(
            f"the vector store gave {len(ids)} ids for {len(documents)} documents, so that the sparse side cannot "
            "know them by the same; add them to both sides one by one"
        )
    return [one.model_copy(update={"id": str(name)}) for one, name in zip(documents, ids, strict=True)]


def _with_scores(
    kept: Sequence[Document], candidates: Sequence[tuple[Document, float]]
) -> list[tuple[Document, float]]:
    """Documents of a reranker, with its score, or the fusion's where it tells none."""
    before = {(one.id, one.page_content): score for one, score in candidates}
    return [(one, one.metadata.get(SCORE, before.get((one.id, one.page_content), 0.0))) for one in kept]

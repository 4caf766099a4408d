"""Multi-vector models as plain dense vectors for LlamaIndex: MUVERA."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from llama_index.core.base.embeddings.base import Embedding
from pydantic import Field

from llama_index.embeddings.onnxembed._embedding import VectorEmbedding
from llama_index.embeddings.onnxembed._engine import COMMON_NAMES
from llama_index.embeddings.onnxembed._options import ModelName

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding, Muvera


class OnnxMuveraEmbedding(VectorEmbedding):
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

    Attributes:
        model_name: Name of the late-interaction model, or a local folder.
        dense: Whether the model is a dense one, whose token vectors are taken.
        normalize: Whether token vectors are scaled to length 1; ``None`` does as the model's authors do.
        skip_special_tokens: Whether the vectors of tokens such as ``[CLS]`` are left out.
        k_sim: Hyperplanes of a repetition; they cut space into ``2 ** k_sim`` clusters.
        dim_proj: Numbers that a cluster is projected to; at most those of a token vector.
        r_reps: Repetitions. A vector has ``r_reps * 2 ** k_sim * dim_proj`` numbers.
        random_seed: What the random numbers start from; an index and its queries need the same.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dense": "dense",
        "normalize": "normalize",
        "skip_special_tokens": "skip_special_tokens",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "model": "here it is called 'model_name'",
        "dimensions": "the length is r_reps * 2 ** k_sim * dim_proj; pass these",
    }

    model_name: ModelName = "answerdotai/answerai-colbert-small-v1"
    dense: bool = False
    normalize: bool | None = None
    skip_special_tokens: bool = False
    k_sim: int = Field(default=5, ge=1)
    dim_proj: int = Field(default=16, ge=1)
    r_reps: int = Field(default=20, ge=1)
    random_seed: int = Field(default=42, ge=0)

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxMuveraEmbedding"

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> LateInteractionTextEmbedding:
        from onnxembed import LateInteractionTextEmbedding

        return LateInteractionTextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> LateInteractionTextEmbedding:
        """The core object that gives the token vectors; equal settings share one set of weights."""
        engine: LateInteractionTextEmbedding = self._open(lazy_load=True)
        return engine

    @property
    def encoder(self) -> Muvera:
        """What makes one vector of many; equal settings make equal ones."""
        from onnxembed import Muvera

        return Muvera.from_multivector_model(self.engine, self.k_sim, self.dim_proj, self.r_reps, self.random_seed)

    @property
    def dimension(self) -> int:
        """Length of the vectors; loads the model only from a folder that does not tell its size."""
        return self.encoder.embedding_size

    @property
    def _cache_key(self) -> str:
        decisive = f"{self.class_name()}\0{self.engine.fingerprint}\0{self.encoder!r}"
        return hashlib.sha256(decisive.encode()).hexdigest()[:32]

    def _embed(self, texts: list[str], side: Literal["query", "passage"]) -> list[Embedding]:
        encoder = self.encoder
        if side == "query":
            queries = self.engine.query_embed(texts, batch_size=self.batch_size)
            return cast("list[Embedding]", encoder.process_queries(_with_rows(queries, encoder.dim)).tolist())
        parallel = self.parallel if len(texts) > 1 else None
        documents = self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=parallel)
        return cast("list[Embedding]", encoder.process_documents(_with_rows(documents, encoder.dim)).tolist())


def _with_rows(matrices: Iterable[Any], dim: int) -> Iterator[Any]:
    """Give a text without vectors one of zeros: its MaxSim is 0, too."""
    return (matrix if len(matrix) else [[0.0] * dim] for matrix in matrices)

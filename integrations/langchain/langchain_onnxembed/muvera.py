"""Multi-vector models as plain dense embeddings for LangChain: MUVERA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.embeddings import Embeddings
from pydantic import Field

from langchain_onnxembed._engine import COMMON_NAMES, EngineModel, as_list
from langchain_onnxembed._options import ModelName

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding, Muvera

_SINGLE = "wrap a single text in a list, or use embed_query for a query"

# Texts whose token vectors are held at once; a vector made of them takes no more than these.
_WINDOW = 256


class OnnxMuveraEmbeddings(EngineModel, Embeddings):
    """Onnx MUVERA embedding model integration: one vector of fixed length from the token vectors of a ColBERT model.

    The dot product of a query's vector and a document's approximates their MaxSim (MUVERA, arXiv:2405.19504), so any
    store of dense vectors finds candidates, and `OnnxLateInteractionRerank` with the same model sorts them exactly.

    The store must rank by **dot product**, not by cosine: lengths carry part of the score.

    Setup:
        ```bash
        pip install -U "langchain-onnxembed[qdrant]"
        ```

    Key init args:
        model: str
            Name of the late-interaction model, or a local folder; `model_name` is the same.
        k_sim, dim_proj, r_reps: int
            A vector has `r_reps * 2 ** k_sim * dim_proj` numbers; more of them approximate better.
        random_seed: int
            What the random numbers start from; an index and its queries need the same.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxMuveraEmbeddings

        muvera = OnnxMuveraEmbeddings(model="answerdotai/answerai-colbert-small-v1")
        ```

    Embed single text:
        ```python
        vector = muvera.embed_query("hello world")
        print(len(vector))
        ```

        ```
        10240
        ```

    Embed multiple texts:
        ```python
        vectors = muvera.embed_documents(["hello world", "a second text"])
        print(len(vectors), len(vectors[0]))
        ```

        ```
        2 10240
        ```

    Async:
        ```python
        vector = await muvera.aembed_query("hello world")
        ```

    Index and exact order:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from langchain_onnxembed import OnnxLateInteractionRerank
        from langchain_qdrant import QdrantVectorStore
        from qdrant_client.models import Distance

        store = QdrantVectorStore.from_documents(documents, muvera, location=":memory:", distance=Distance.DOT)
        retriever = ContextualCompressionRetriever(
            base_compressor=OnnxLateInteractionRerank(model=muvera.model, top_n=5),
            base_retriever=store.as_retriever(search_kwargs={"k": 50}),
        )
        ```

    Attributes:
        dense: Whether the model is a dense one, whose token vectors are taken.
        normalize: Whether token vectors are scaled to length 1; `None` does as the model's authors do.
        skip_special_tokens: Whether the vectors of tokens such as `[CLS]` are left out.
        k_sim: Hyperplanes of a repetition; they cut space into `2 ** k_sim` clusters.
        dim_proj: Numbers that a cluster is projected to; at most those of a token vector.
        r_reps: Repetitions.
        random_seed: What the random numbers start from.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dense": "dense",
        "normalize": "normalize",
        "skip_special_tokens": "skip_special_tokens",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "dimensions": "the length is r_reps * 2 ** k_sim * dim_proj; pass these",
    }

    model_name: ModelName = Field(default="answerdotai/answerai-colbert-small-v1", alias="model")
    dense: bool = False
    normalize: bool | None = None
    skip_special_tokens: bool = False
    k_sim: int = Field(default=5, ge=1)
    dim_proj: int = Field(default=16, ge=1)
    r_reps: int = Field(default=20, ge=1)
    random_seed: int = Field(default=42, ge=0)

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
    def cache_namespace(self) -> str:
        """A key that changes with everything that changes a vector, for caches of vectors."""
        return sha256(f"{self.engine.fingerprint}\0{self.encoder!r}".encode()).hexdigest()[:32]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.

        Returns:
            One vector a text, in the same order.
        """
        texts = as_list(texts, "embed_documents", "str", _SINGLE)
        if not texts:
            return []
        encoder = self.encoder
        matrices = self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=self.parallel)
        return _encoded(matrices, encoder.dim, encoder.process_documents)

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that others are searched with.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        encoder = self.encoder
        return _encoded(self.engine.query_embed([text]), encoder.dim, encoder.process_queries)[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.

        Returns:
            One vector a text, in the same order.
        """
        texts = as_list(texts, "embed_documents", "str", _SINGLE)
        return await self.engine.run_async(lambda: self.embed_documents(texts)) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        return await self.engine.run_async(lambda: self.embed_query(text))


def _encoded(matrices: Iterator[Any], dim: int, encode: Callable[[Iterable[Any]], Any]) -> list[list[float]]:
    # A text without vectors gets one of zeros: its MaxSim is 0, too.
    filled = (matrix if len(matrix) else [[0.0] * dim] for matrix in matrices)
    vectors: list[list[float]] = []
    while window := list(islice(filled, _WINDOW)):
        vectors.extend(encode(window).tolist())
    return vectors

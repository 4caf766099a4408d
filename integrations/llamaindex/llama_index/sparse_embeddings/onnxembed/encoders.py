"""Functions that LlamaIndex's Qdrant store calls for sparse vectors, as objects that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from llama_index.sparse_embeddings.onnxembed.base import OnnxSparseEmbedding

EncodedTexts = tuple[list[list[int]], list[list[float]]]
"""The indices of each text, and the values of each."""


@dataclass(frozen=True, slots=True)
class SparseEncoder:
    """Encodes texts on one side of a search.

    Attributes:
        embedding: The adapter, and through it the one engine in this process.
        side: Whether the texts are searched or searched with.
    """

    embedding: OnnxSparseEmbedding
    side: Literal["query", "passage"]

    def __call__(self, texts: list[str]) -> EncodedTexts:
        """Encode texts.

        Args:
            texts: The texts.

        Returns:
            Indices and values, a list of each for every text.
        """
        engine, size = self.embedding.engine, self.embedding.batch_size
        encode = engine.query_embed if self.side == "query" else engine.passage_embed
        vectors = list(encode(texts, batch_size=size))
        return [vector.indices.tolist() for vector in vectors], [vector.values.tolist() for vector in vectors]

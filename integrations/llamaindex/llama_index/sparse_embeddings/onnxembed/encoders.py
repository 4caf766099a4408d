"""Functions that LlamaIndex's Qdrant store calls for sparse vectors, as objects that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from onnxembed.adapters.option_types import InputType

__all__ = ["EncodedTexts", "SparseEncoder"]

EncodedTexts: TypeAlias = tuple[list[list[int]], list[list[float]]]
"""The indices of each text, and the values of each."""


class EncodingEmbedding(Protocol):
    """An adapter that encodes texts."""

    @property
    def requires_idf(self) -> bool:
        """Whether the store must weigh terms by their rarity."""
        ...

    def encode(self, texts: list[str], input_type: InputType) -> EncodedTexts:
        """Give the indices and the values of each text."""
        ...


@dataclass(frozen=True, slots=True)
class SparseEncoder:
    """Encodes texts as queries or as documents.

    Attributes:
        embedding: The adapter, and through it the one engine in this process.
        input_type: Whether the texts search or are searched.
    """

    embedding: EncodingEmbedding
    input_type: InputType

    def __call__(self, texts: list[str]) -> EncodedTexts:
        """Give the indices and the values of each text."""
        return self.embedding.encode(texts, self.input_type)

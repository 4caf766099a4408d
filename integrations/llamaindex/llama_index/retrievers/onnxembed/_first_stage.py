"""The first stage of a retrieval in two: single vectors that find candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core.base.embeddings.base import BaseEmbedding

from llama_index.embeddings.onnxembed import OnnxMuveraEmbedding

if TYPE_CHECKING:
    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding, Muvera


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Where single vectors come from.

    Attributes:
        embedding: What the user asked for; ``None`` for no first stage.
        tokens: The model of the second stage.
    """

    embedding: BaseEmbedding | None
    tokens: LateInteractionTextEmbedding | LateInteractionMultimodalEmbedding

    @property
    def _muvera(self) -> OnnxMuveraEmbedding | None:
        """An embedding that can be made of the second stage's token vectors, which are at hand anyway."""
        given = self.embedding
        if isinstance(given, OnnxMuveraEmbedding) and given.engine.options == self.tokens.options:
            return given
        return None

    @property
    def encoder(self) -> Muvera | None:
        """What makes single vectors of token vectors; may load the model."""
        muvera = self._muvera
        return None if muvera is None else muvera.encoder

    @property
    def reader(self) -> BaseEmbedding | None:
        """An embedding that has to read the texts itself."""
        return self.embedding if self._muvera is None else None

    @property
    def size(self) -> int | None:
        """Length of the vectors; one has to be made where the class does not tell."""
        if self.embedding is None:
            return None
        known = getattr(self.embedding, "dimension", None)
        return known if isinstance(known, int) else len(self.embedding.get_query_embedding("length"))

    @property
    def dot(self) -> bool:
        """Whether the vectors are made for dot products."""
        return isinstance(self.embedding, OnnxMuveraEmbedding)

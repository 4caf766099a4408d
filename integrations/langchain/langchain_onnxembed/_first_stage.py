"""The first stage of a retrieval in two: single vectors that find candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings

from langchain_onnxembed.muvera import OnnxMuveraEmbeddings

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Where single vectors come from.

    Attributes:
        embeddings: What the user asked for; ``None`` for no first stage.
        tokens: The model of the second stage.
    """

    embeddings: Embeddings | None
    tokens: LateInteractionTextEmbedding

    @property
    def muvera(self) -> OnnxMuveraEmbeddings | None:
        """Embeddings that can be made of the second stage's token vectors, which are at hand anyway."""
        given = self.embeddings
        if isinstance(given, OnnxMuveraEmbeddings) and given.engine.options == self.tokens.options:
            return given
        return None

    @property
    def reader(self) -> Embeddings | None:
        """Embeddings that have to read the texts themselves."""
        return self.embeddings if self.muvera is None else None

    @property
    def size(self) -> int | None:
        """Length of the vectors; one has to be made where the class does not tell."""
        if self.embeddings is None:
            return None
        known = getattr(self.embeddings, "dimension", None)
        return known if isinstance(known, int) else len(self.embeddings.embed_query("length"))

    @property
    def dot(self) -> bool:
        """Whether the vectors are made for dot products."""
        return isinstance(self.embeddings, OnnxMuveraEmbeddings)

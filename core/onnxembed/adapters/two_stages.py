"""Retrieval in two stages: single vectors find candidates, token vectors order them by MaxSim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from onnxembed.adapters.muvera import MuveraModel
from onnxembed.adapters.qdrant_points import POINT_NUMBERS, Layout, Search, point, refuse_large

if TYPE_CHECKING:
    from qdrant_client.models import Filter, PointStruct

    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

__all__ = ["TwoStages"]

Matrices = Iterable[np.ndarray[Any, np.dtype[Any]]]
FirstT = TypeVar("FirstT")


@dataclass(frozen=True, slots=True)
class TwoStages(Generic[FirstT]):
    """Makes points and searches of a collection.

    Attributes:
        tokens: The core's model of the second stage.
        first: The framework's embedding of the first stage; ``None`` for no first stage.
    """

    tokens: LateInteractionTextEmbedding | LateInteractionMultimodalEmbedding
    first: FirstT | None

    @property
    def _muvera(self) -> MuveraModel | None:
        """The first stage, if it can be made of the token vectors, which are at hand anyway."""
        first = self.first
        return first if isinstance(first, MuveraModel) and first.engine.options == self.tokens.options else None

    @property
    def reader(self) -> FirstT | None:
        """The first stage, if it has to read the texts itself."""
        return self.first if self._muvera is None else None

    def layout(self, embed: Callable[[FirstT, str], Sequence[float]]) -> Layout:
        """Give the layout of the collection; ``embed`` is called where the first stage does not tell its dimension."""
        if self.first is None:
            return Layout(self.tokens.embedding_size)
        known = getattr(self.first, "dimension", None)
        size = known if isinstance(known, int) else len(embed(self.first, "length"))
        return Layout(self.tokens.embedding_size, size, dot=isinstance(self.first, MuveraModel))

    def refuse_large_texts(self, texts: Iterable[str]) -> None:
        """Refuse texts with more token vectors than Qdrant takes, before the first one is embedded."""
        model: Any = self.tokens
        dim = model.embedding_size
        if model.max_length * dim > POINT_NUMBERS:
            for index, tokens in enumerate(model.tokens(texts)):
                refuse_large(len(tokens), dim, f"document {index}")

    def points(
        self,
        entries: Iterable[tuple[str | None, dict[str, Any]]],
        matrices: Matrices,
        first_stage: list[list[float]] | None,
    ) -> Iterator[PointStruct]:
        """Make the points of documents, one by one.

        Args:
            entries: Name and payload of each document.
            matrices: Token vectors of each, (tokens, dim).
            first_stage: What `reader` made of each; ``None`` if there is none.

        Yields:
            A point per document.
        """
        encoder = None if self._muvera is None else self._muvera.encoder
        together = zip(entries, matrices, first_stage or repeat(None), strict=False)
        for index, ((name, payload), matrix, single) in enumerate(together):
            rows = self._with_rows(matrix)
            refuse_large(rows.shape[0], rows.shape[1], f"document {index if name is None else name!r}")
            first = single if encoder is None else encoder.process_document(rows).tolist()
            yield point(name, rows.tolist(), first, payload)

    def search(
        self,
        matrices: Matrices,
        first_stage: list[float] | None,
        limit: int,
        candidates: int,
        only: Filter | None = None,
    ) -> Search:
        """Make a search.

        Args:
            matrices: Token vectors of one query or several, whose scores add up.
            first_stage: What `reader` made of the query; ``None`` if there is none.
            limit: Most documents to find.
            candidates: Documents that the first stage finds.
            only: Which documents may be found; ``None`` for all.

        Returns:
            The search.
        """
        rows = self._with_rows(np.concatenate(list(matrices)))
        refuse_large(rows.shape[0], rows.shape[1], "the query")
        first = first_stage if self._muvera is None else self._muvera.encoder.process_query(rows).tolist()
        return Search(rows.tolist(), first, limit, candidates, only)

    def _with_rows(self, matrix: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        """A row of zeros for a text without token vectors, since Qdrant takes none without: MaxSim stays 0."""
        return matrix if len(matrix) else np.zeros((1, self.tokens.embedding_size), np.float32)

"""Ranking by MaxSim: documents are embedded and scored batch by batch, so that none of their vectors is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from onnxembed.late_interaction.colbert import ColbertWork
from onnxembed.late_interaction.maxsim import score_rows
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]

_Asked = tuple[Tokens, Collection[int]]


class RankingWork:
    """The work of one ranking: each document once, scored for all queries that ask for it.

    The result of a document is its scores by the numbers of queries, those that ask for it among them.
    """

    size = staticmethod(len)

    def __init__(
        self,
        documents: ColbertWork,
        queries: Mapping[int, Array],
        asked_by: Mapping[str, Collection[int]],
        *,
        normalize_scores: bool,
    ) -> None:
        """Combine the work of documents with the vectors of queries by number, and each document's numbers.

        ``normalize_scores`` divides a score by the number of the query's vectors.
        """
        self._documents = documents
        self._queries = queries
        self._asked_by = asked_by
        self._normalize_scores = normalize_scores

    def prepare(self, items: Sequence[str], first_index: int) -> list[_Asked]:
        """Tokenise documents."""
        tokens = self._documents.prepare(items, first_index)
        return list(zip(tokens, map(self._asked_by.__getitem__, items), strict=True))

    def costs(self, prepared: Sequence[_Asked]) -> list[int]:
        """Count the positions of each document."""
        tokens, _ = zip(*prepared, strict=True)
        return self._documents.costs(tokens)

    def run(self, batch: Sequence[_Asked], worker: int) -> list[dict[int, float]]:
        """Embed a batch and score it for all queries that ask for one of its documents."""
        tokens, asked_by = zip(*batch, strict=True)
        rows, ends = self._documents.vectors(tokens, worker)
        results: list[dict[int, float]] = [{} for _ in batch]
        for number in set(chain.from_iterable(asked_by)):
            query = self._queries[number]
            scores = score_rows(query, rows, ends)
            if self._normalize_scores and len(query):
                scores = scores / np.float32(len(query))
            for result, score in zip(results, scores.tolist(), strict=True):
                result[number] = score
        return results

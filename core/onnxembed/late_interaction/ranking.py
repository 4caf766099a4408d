"""Ranking by MaxSim: documents embedded token by token, each once, and scored for every query that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from onnxembed.api.ranking import Cut, RankedDocument, ranked
from onnxembed.late_interaction.maxsim import maxsim

Array = np.ndarray[Any, np.dtype[Any]]
Embed = Callable[[Sequence[str]], Iterator[Array]]


def rank_by_maxsim(
    asked: Sequence[tuple[str, Sequence[str]]],
    embed_queries: Embed,
    embed_documents: Embed,
    cut: Cut,
    *,
    normalize_scores: bool,
) -> list[list[RankedDocument]]:
    """Rank the documents of many queries.

    Args:
        asked: Every query with its documents.
        embed_queries: Gives the token vectors of queries.
        embed_documents: Gives the token vectors of documents.
        cut: What is kept of each ranking.
        normalize_scores: Whether a score is divided by the number of the query's vectors.

    Returns:
        For each query its ranking.
    """
    asking = [(query, documents) for query, documents in asked if documents]
    different = list(dict.fromkeys(document for _, documents in asking for document in documents))
    vectors = dict(zip(different, embed_documents(different), strict=True))
    queries = embed_queries([query for query, _ in asking])
    rankings: list[list[RankedDocument]] = []
    for _, documents in asked:
        if not documents:
            rankings.append([])
            continue
        query = next(queries)
        scores = maxsim(query, [vectors[document] for document in documents])
        if normalize_scores and len(query):
            scores = scores / np.float32(len(query))
        rankings.append(ranked(scores.tolist(), documents, cut))
    return rankings

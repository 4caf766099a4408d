"""Documents ranked by MaxSim, with the token vectors of a real model."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from onnxembed import LateInteractionTextEmbedding, maxsim
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES

QUERY = "What is baked from flour?"


@pytest.fixture(scope="module")
def model() -> LateInteractionTextEmbedding:
    return LateInteractionTextEmbedding("sentence-transformers/all-MiniLM-L6-v2", dense=True)


def test_scores_are_maxsim_best_first(model: LateInteractionTextEmbedding) -> None:
    expected = maxsim(next(model.query_embed(QUERY)), list(model.embed(PASSAGES)))
    ranking = model.rank(QUERY, PASSAGES)
    assert [place.index for place in ranking] == np.argsort(-expected, kind="stable").tolist()
    np.testing.assert_allclose([place.score for place in ranking], np.sort(expected)[::-1], atol=1e-5)
    assert ranking[0].document == PASSAGES[1]


def test_what_is_kept(model: LateInteractionTextEmbedding) -> None:
    ranking = model.rank(QUERY, PASSAGES)
    assert model.rank(QUERY, PASSAGES, top_k=2) == ranking[:2]
    assert model.rank(QUERY, PASSAGES, threshold=ranking[2].score) == ranking[:3]
    assert [place.index for place in model.rank(QUERY, ["a", "a"])] == [0, 1]
    rows = len(next(model.query_embed(QUERY)))
    divided = model.rank(QUERY, PASSAGES, normalize_scores=True)
    np.testing.assert_allclose([p.score for p in divided], [p.score / rows for p in ranking], rtol=1e-6)


def test_many_queries_and_documents_of_several(model: LateInteractionTextEmbedding) -> None:
    queries = [QUERY, "strings", "nothing to choose from"]
    together = model.rank_many(queries, [PASSAGES, PASSAGES[2:], []])
    assert together[2] == []
    for query, documents, ranking in zip(queries, (PASSAGES, PASSAGES[2:]), together, strict=False):
        alone = model.rank(query, documents)
        assert [place.index for place in ranking] == [place.index for place in alone]
        np.testing.assert_allclose([p.score for p in ranking], [p.score for p in alone], atol=1e-5)


def test_documents_are_scored_by_the_queries_that_ask_for_them() -> None:
    """Whatever the batches, the same text twice, and a text without any vector."""
    options: dict[str, Any] = {"dense": True, "skip_special_tokens": True, "token_budget": 24}
    model = LateInteractionTextEmbedding("sentence-transformers/all-MiniLM-L6-v2", **options)
    queries = [QUERY, "rocks", "rain", "bread"]
    documents = [["a b", "", "bread"], ["bread", "bread", "a rock"], [], list(PASSAGES)]
    for normalized in (False, True):
        rankings = model.rank_many(queries, documents, normalize_scores=normalized, batch_size=2, parallel=2)
        for query, some, ranking in zip(queries, documents, rankings, strict=True):
            vectors = next(model.query_embed(query))
            expected = maxsim(vectors, list(model.embed(some))) / (len(vectors) if normalized else 1)
            found = {place.index: place.score for place in ranking}
            np.testing.assert_allclose([found[index] for index in range(len(some))], expected, atol=1e-5)
            assert [place.document for place in ranking] == [some[place.index] for place in ranking]


def test_asynchronously(model: LateInteractionTextEmbedding) -> None:
    assert asyncio.run(model.arank(QUERY, PASSAGES, 2)) == model.rank(QUERY, PASSAGES, 2)
    together = model.rank_many([QUERY, "a"], [PASSAGES, PASSAGES])
    assert asyncio.run(model.arank_many([QUERY, "a"], [PASSAGES, PASSAGES])) == together


def test_bad_input(model: LateInteractionTextEmbedding) -> None:
    assert model.rank(QUERY, []) == []
    with pytest.raises(InputTypeError, match=r"documents is a string; expected an iterable of documents"):
        model.rank(QUERY, "text")
    with pytest.raises(InputError, match="top_k"):
        model.rank(QUERY, PASSAGES, top_k=0)
    with pytest.raises(InputError, match="2 collections for 1 queries"):
        model.rank_many([QUERY], [PASSAGES, PASSAGES])

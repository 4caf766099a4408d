"""Sparse retrieval in memory."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_classic.retrievers import EnsembleRetriever
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_onnxembed import OnnxEmbeddings, OnnxSparse, OnnxSparseRetriever
from onnxembed import SparseIndex, SparseTextEmbedding
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

DOCUMENTS = [Document(text, metadata={"number": number}) for number, text in enumerate(PASSAGES)]


# What is left of the passages without stop words.
WORDS = [
    ["bicycle", "two", "wheels", "moved", "pedals"],
    ["bread", "baked", "flour", "water", "yeast"],
    ["moon", "turns", "around", "earth", "month"],
    ["violin", "four", "strings", "played", "bow"],
    ["model", "xr", "7000", "fits", "wheels", "bicycles", "pedals"],
    ["yeast", "dies", "water", "hotter", "sixty", "degrees"],
]


def numbers(documents: list[Document]) -> list[int]:
    return [document.metadata["number"] for document in documents]


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return OnnxSparseRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"embedding": SparseTextEmbedding("Qdrant/bm25")}

    @property
    def retriever_query_example(self) -> str:
        return "wheels, yeast and strings"

    @pytest.fixture(autouse=True)
    def _filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The standard tests only construct: the documents come by themselves here."""
        construct = OnnxSparseRetriever.model_post_init

        def filled(retriever: OnnxSparseRetriever, context: Any) -> None:
            construct(retriever, context)
            retriever.add_documents(DOCUMENTS)

        monkeypatch.setattr(OnnxSparseRetriever, "model_post_init", filled)


async def test_finds_words_and_weighs_the_rare_ones() -> None:
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS, k=3)
    assert numbers(retriever.invoke("wheels violin")) == numbers(await retriever.ainvoke("wheels violin")) == [3, 0, 4]
    assert numbers(retriever.invoke("wheels violin", k=1)) == [3]
    assert retriever.invoke("nothing of that") == retriever.invoke("") == []


def test_the_mean_length_is_that_of_the_documents() -> None:
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS)
    assert retriever.embedding.statistics.avg_len == pytest.approx(sum(map(len, WORDS)) / len(WORDS))
    given = OnnxSparse(avg_len=99).engine
    assert OnnxSparseRetriever.from_documents(DOCUMENTS, given).embedding is given


async def test_documents_that_are_added_later() -> None:
    retriever = OnnxSparseRetriever.from_texts(["zeppelin one"], [{"number": 10}])
    retriever.add_documents([Document("a zeppelin", metadata={"number": 11})])
    await retriever.aadd_documents([Document("an airship", metadata={"number": 12})])
    assert numbers(retriever.invoke("zeppelins")) == [11, 10]
    assert numbers(retriever.invoke("airships")) == [12]


def test_texts_without_words_and_no_texts() -> None:
    assert OnnxSparseRetriever.from_texts([]).invoke("wheels") == []
    assert OnnxSparseRetriever.from_texts(["", "the of"]).invoke("wheels the") == []


async def test_fused_with_a_vector_store() -> None:
    store = InMemoryVectorStore(OnnxEmbeddings(model=REAL_MODEL))
    store.add_documents(DOCUMENTS)
    sparse = OnnxSparseRetriever.from_documents(DOCUMENTS, k=3)
    dense = store.as_retriever(search_kwargs={"k": 3})
    fused = EnsembleRetriever(retrievers=[sparse, dense], weights=[0.5, 0.5], c=60)
    question = "XR-7000 bread ingredients"
    rankings = [numbers(retriever.invoke(question)) for retriever in (sparse, dense)]
    score = {number: sum(0.5 / (61 + r.index(number)) for r in rankings if number in r) for number in range(6)}
    found = numbers(fused.invoke(question))
    assert [score[number] for number in found] == sorted((s for s in score.values() if s), reverse=True)
    assert numbers(await fused.ainvoke(question)) == found


def test_pickles() -> None:
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS)
    again = pickle.loads(pickle.dumps(retriever))
    assert numbers(again.invoke("violin bow")) == numbers(retriever.invoke("violin bow")) == [3]


def test_bad_input() -> None:
    with pytest.raises(InputTypeError, match=r"from_documents was given a str, expected a list of Document"):
        OnnxSparseRetriever.from_documents("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"2 texts and 1 metadatas; pass one for each text"):
        OnnxSparseRetriever.from_texts(["a", "b"], [{}])
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        OnnxSparseRetriever.from_texts(["a"], k=0)
    with pytest.raises(InputError, match="k must be >= 1"):
        OnnxSparseRetriever.from_texts(["a"]).invoke("a", k=0)


async def test_scores_come_with_the_documents() -> None:
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS, k=3)
    scored = retriever.similarity_search_with_score("wheels violin")
    assert scored == await retriever.asimilarity_search_with_score("wheels violin")
    assert [document for document, _ in scored] == retriever.invoke("wheels violin")
    query, vectors = next(retriever.embedding.query_embed("wheels violin")), list(retriever.embedding.embed(PASSAGES))
    positions, expected = SparseIndex(vectors).search(query, 3, idf=True)
    assert [score for _, score in scored] == expected
    assert numbers([document for document, _ in scored]) == positions
    assert len(retriever.similarity_search_with_score("wheels violin", 1)) == 1
    telling = OnnxSparseRetriever.from_documents(DOCUMENTS, k=3, include_scores=True)
    for found in (telling.invoke("wheels violin"), await telling.ainvoke("wheels violin")):
        assert [document.metadata["relevance_score"] for document in found] == expected
    assert all("relevance_score" not in document.metadata for document in DOCUMENTS)


async def test_filters_choose_what_may_be_found() -> None:
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS, k=1)
    assert numbers(retriever.invoke("wheels violin", filter={"number": 4})) == [4]
    assert numbers(await retriever.ainvoke("wheels", filter=lambda document: document.metadata["number"] < 4)) == [0]
    assert retriever.invoke("wheels violin", filter={"other": None}) == []
    always = OnnxSparseRetriever.from_documents(DOCUMENTS, filter={"number": 0})
    assert numbers(always.invoke("wheels violin")) == [0]
    assert numbers(always.invoke("wheels violin", filter={"number": 3})) == [3]
    with pytest.raises(InputTypeError, match="filter is str, expected a mapping of metadata"):
        retriever.invoke("wheels", filter="number")


async def test_documents_are_deleted_and_replaced() -> None:
    retriever = OnnxSparseRetriever.from_texts(["zeppelin one"], [{"number": 0}])
    ids = retriever.add_documents(
        [Document("zeppelin two", id="b", metadata={"number": 1}), Document("zeppelin three")]
    )
    assert ids[0] == "b"
    retriever.add_documents([Document("an airship", id="b", metadata={"number": 2})])
    assert numbers(retriever.invoke("airship")) == [2]
    retriever.delete([ids[1], "unknown"])
    assert numbers(retriever.invoke("zeppelin")) == [0]
    await retriever.adelete(["b"])
    assert retriever.invoke("airship") == []
    with pytest.raises(InputTypeError, match="delete was given a str, expected a list of str"):
        retriever.delete("b")
    with pytest.raises(InputTypeError, match="id 0 is a int, expected a str"):
        retriever.delete([3])  # type: ignore[list-item]

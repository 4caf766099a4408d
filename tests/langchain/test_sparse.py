"""Sparse vectors through LangChain: their values, the sides, and hybrid search in Qdrant."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import sys
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
from qdrant_client import models

from langchain_onnxembed import OnnxEmbeddings, OnnxSparse
from onnxembed import SparseTextEmbedding
from onnxembed.errors import InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

PER_CALL = {"batch_size", "parallel"}
RENAMED = {"cuda": "device", "specific_model_path": "model_path"}


def rows(vectors: list[SparseVector]) -> list[tuple[list[int], list[float]]]:
    return [(vector.indices, vector.values) for vector in vectors]


def test_fields_are_the_cores_options() -> None:
    core = set(inspect.signature(SparseTextEmbedding.__init__).parameters) - {"self"}
    assert set(OnnxSparse.model_fields) == {RENAMED.get(name, name) for name in core} | PER_CALL


def test_values_are_the_cores_to_the_last_bit() -> None:
    sparse, core = OnnxSparse(), SparseTextEmbedding("Qdrant/bm25")
    assert isinstance(sparse, SparseEmbeddings)
    expected = [(v.indices.tolist(), v.values.tolist()) for v in core.passage_embed(PASSAGES)]
    documents = sparse.embed_documents(PASSAGES)
    assert rows(documents) == expected
    assert {type(number) for v in documents for number in v.values} == {float}
    assert {type(number) for v in documents for number in v.indices} == {int}
    query = next(core.query_embed("Yeast and water"))
    assert rows([sparse.embed_query("Yeast and water")]) == [(query.indices.tolist(), [1.0, 1.0])]


def test_golden_numbers() -> None:
    vector = OnnxSparse(model="Qdrant/bm25", stopwords=["the", "is"], compatible=True).embed_documents(
        ["hello hello world"]
    )[0]
    assert dict(zip(vector.indices, vector.values, strict=True)) == pytest.approx(
        {613153351: 1.9043110735, 74040069: 1.6786885246}, rel=1e-9
    )


async def test_async_is_the_same() -> None:
    sparse = OnnxSparse()
    assert rows(await sparse.aembed_documents(PASSAGES)) == rows(sparse.embed_documents(PASSAGES))
    many = await asyncio.gather(*(sparse.aembed_query(text) for text in PASSAGES))
    assert rows(list(many)) == rows([sparse.embed_query(text) for text in PASSAGES])


def test_nothing_to_embed() -> None:
    sparse = OnnxSparse()
    assert sparse.embed_documents([]) == []
    assert rows(sparse.embed_documents(["", "the and of"])) == [([], []), ([], [])]
    assert rows([sparse.embed_query("")]) == [([], [])]


def test_idf_is_asked_of_the_store_unless_the_query_has_it() -> None:
    assert OnnxSparse().requires_idf
    assert OnnxSparse().sparse_vector_params() == {"modifier": models.Modifier.IDF}
    measured = SparseTextEmbedding("Qdrant/bm25", idf_in_query=True, statistics=_statistics())
    weighed = OnnxSparse.from_engine(measured)
    assert weighed.engine is measured
    assert not weighed.requires_idf
    assert weighed.sparse_vector_params() == {}


def _statistics() -> Any:
    return SparseTextEmbedding("Qdrant/bm25").fit(PASSAGES).statistics


def dense() -> OnnxEmbeddings:
    return OnnxEmbeddings(model=REAL_MODEL)


def store_of(texts: list[str], mode: RetrievalMode, sparse: OnnxSparse) -> QdrantVectorStore:
    return QdrantVectorStore.from_texts(
        texts,
        embedding=dense(),
        sparse_embedding=sparse,
        sparse_vector_params=sparse.sparse_vector_params(),
        retrieval_mode=mode,
        location=":memory:",
        collection_name="test",
    )


async def test_hybrid_search_fuses_both_rankings() -> None:
    sparse = OnnxSparse()
    stores = {mode: store_of(PASSAGES, mode, sparse) for mode in RetrievalMode}
    question = "XR-7000 bread ingredients"
    found = {
        mode: [hit.page_content for hit in store.similarity_search(question, k=6)] for mode, store in stores.items()
    }
    assert found[RetrievalMode.DENSE][0] == PASSAGES[1]
    assert set(found[RetrievalMode.SPARSE]) == {PASSAGES[4], PASSAGES[1]}
    # Reciprocal rank fusion with Qdrant's constant of 2: 1 / (2 + rank), ranks from 0.
    score = {
        text: sum(
            1 / (2 + found[mode].index(text))
            for mode in (RetrievalMode.DENSE, RetrievalMode.SPARSE)
            if text in found[mode]
        )
        for text in PASSAGES
    }
    fused = found[RetrievalMode.HYBRID]
    assert [score[text] for text in fused] == pytest.approx(sorted(score.values(), reverse=True))
    hybrid = stores[RetrievalMode.HYBRID]
    assert [hit.page_content for hit in await hybrid.asimilarity_search(question, k=6)] == fused
    retriever = hybrid.as_retriever(search_kwargs={"k": 2})
    assert [hit.page_content for hit in await retriever.ainvoke(question)] == fused[:2]


def test_the_collection_counts_idf() -> None:
    store = store_of(PASSAGES, RetrievalMode.SPARSE, OnnxSparse())
    (params,) = (store.client.get_collection("test").config.params.sparse_vectors or {}).values()
    assert params.modifier is models.Modifier.IDF
    # "wheels" is in two passages, "violin" in one: the rarer word decides.
    assert store.similarity_search("wheels violin", k=1)[0].page_content == PASSAGES[3]


def test_empty_texts_are_accepted_by_the_store() -> None:
    store = store_of(["", "the", *PASSAGES], RetrievalMode.HYBRID, OnnxSparse())
    assert store.similarity_search("violin", k=1)[0].page_content == PASSAGES[3]
    assert store.similarity_search("", k=1)


def test_documents_that_are_added_later(tmp_path: Any) -> None:
    store = store_of(PASSAGES[:2], RetrievalMode.SPARSE, OnnxSparse())
    store.add_documents([Document("zeppelin", metadata={"a": 1})])
    (hit,) = store.similarity_search("zeppelins", k=1)
    assert (hit.page_content, hit.metadata["a"]) == ("zeppelin", 1)


def test_copies_and_pickles() -> None:
    sparse = OnnxSparse(language="german", k=1.5)
    engine = sparse.engine
    assert copy.deepcopy(sparse).engine is engine
    data = pickle.dumps(sparse)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again == sparse
    assert rows(again.embed_documents(["Häuser an der Straße"])) == rows(
        sparse.embed_documents(["Häuser an der Straße"])
    )


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"has no argument 'stop_words'; here it is called 'stopwords'"):
        OnnxSparse(stop_words=["a"])  # type: ignore[call-arg]  # a wrong name, on purpose
    with pytest.raises(ValueError, match=r"has no argument 'languag'; did you mean 'language'"):
        OnnxSparse(languag="german")  # type: ignore[call-arg]  # a wrong name, on purpose
    with pytest.raises(ValueError, match="Did you mean 'german'"):
        OnnxSparse(language="germam")
    with pytest.raises(ValueError, match="b=2"):
        OnnxSparse(b=2)
    with pytest.raises(InputTypeError, match=r"embed_documents was given a str, expected a list of str"):
        OnnxSparse().embed_documents("one text")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"text 1 is an int"):
        OnnxSparse().embed_documents(["one", 2])  # type: ignore[list-item]


def test_without_the_qdrant_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "langchain_onnxembed.sparse")
    monkeypatch.setitem(sys.modules, "langchain_qdrant.sparse_embeddings", None)
    with pytest.raises(ImportError, match=r'pip install "langchain-onnxembed\[qdrant\]"'):
        import langchain_onnxembed.sparse  # noqa: F401

"""MUVERA vectors through LangChain: their values, the sides, and an index whose hits MaxSim sorts again."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from qdrant_client.models import Distance

from langchain_onnxembed import OnnxLateInteractionRerank, OnnxMuveraEmbeddings
from onnxembed import LateInteractionTextEmbedding, Muvera, maxsim_top_k
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

RENAMED = {"cuda": "device", "specific_model_path": "model_path"}
QUERIES = ["What is baked from flour?", "How many strings has a violin?", "bicycles", "hot water"]


def make(**options: Any) -> OnnxMuveraEmbeddings:
    return OnnxMuveraEmbeddings(model=REAL_MODEL, dense=True, **options)


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxMuveraEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": REAL_MODEL, "dense": True}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"ONNXEMBED_CACHE": "models-here"}, self.embedding_model_params, {"cache_dir": "models-here"}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxMuveraEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": REAL_MODEL, "dense": True}


def test_fields_are_the_cores_options() -> None:
    core = set(inspect.signature(LateInteractionTextEmbedding.__init__).parameters) - {"self"}
    encoder = set(inspect.signature(Muvera).parameters) - {"dim"}
    own = {"batch_size", "parallel"}
    assert set(OnnxMuveraEmbeddings.model_fields) == {RENAMED.get(name, name) for name in core} | encoder | own
    defaults = {name: parameter.default for name, parameter in inspect.signature(Muvera).parameters.items()}
    assert {name: getattr(make(), name) for name in encoder} == {name: defaults[name] for name in encoder}


async def test_values_are_the_cores() -> None:
    muvera = make(k_sim=3, dim_proj=8, r_reps=4, random_seed=7)
    core = LateInteractionTextEmbedding(REAL_MODEL, dense=True)
    encoder = Muvera(384, 3, 8, 4, 7)
    expected = [encoder.process_document(matrix).tolist() for matrix in core.passage_embed(PASSAGES)]
    vectors = muvera.embed_documents(PASSAGES)
    assert np.allclose(vectors, expected, atol=1e-6)
    assert vectors == await muvera.aembed_documents(PASSAGES)
    query = muvera.embed_query(PASSAGES[0])
    assert query == encoder.process_query(next(core.query_embed(PASSAGES[0]))).tolist()
    assert query != vectors[0]
    assert list(await asyncio.gather(*(muvera.aembed_query(PASSAGES[0]) for _ in range(3)))) == [query] * 3
    assert {type(number) for number in query} == {float}
    assert muvera.dimension == len(query) == 4 * 2**3 * 8


def test_windows_do_not_change_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    together = make().embed_documents(PASSAGES)
    monkeypatch.setattr("onnxembed.adapters.windows.WINDOW", 2)
    assert np.allclose(make().embed_documents(PASSAGES), together, atol=1e-6)


async def test_nothing_to_embed() -> None:
    away = OnnxMuveraEmbeddings(cache_dir="/nonexistent", local_files_only=True)
    assert away.embed_documents([]) == await away.aembed_documents([]) == []
    assert away.dimension == 20 * 2**5 * 16
    assert not any(make(skip_special_tokens=True).embed_documents([""])[0])
    assert not any(make(skip_special_tokens=True).embed_query(""))
    assert any(make().embed_query(""))


async def test_an_index_and_maxsim_after_it_find_what_exact_search_finds() -> None:
    muvera = make()
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, top_n=2)
    documents = [Document(text, metadata={"n": n}) for n, text in enumerate(PASSAGES)]
    store = QdrantVectorStore.from_documents(
        documents, muvera, location=":memory:", collection_name="test", distance=Distance.DOT
    )
    retriever = ContextualCompressionRetriever(
        base_compressor=reranker, base_retriever=store.as_retriever(search_kwargs={"k": 4})
    )
    core = LateInteractionTextEmbedding(REAL_MODEL, dense=True)
    passages = list(core.passage_embed(PASSAGES))
    for query in QUERIES:
        best, scores = maxsim_top_k(next(core.query_embed(query)), passages, 2)
        for found in (retriever.invoke(query), await retriever.ainvoke(query)):
            assert [one.metadata["n"] for one in found] == best.tolist()
            assert [one.metadata["relevance_score"] for one in found] == pytest.approx(scores.tolist(), abs=1e-4)


def test_settings_travel() -> None:
    muvera = make(k_sim=3)
    assert copy.deepcopy(muvera).engine is muvera.engine
    data = pickle.dumps(muvera)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again == muvera
    assert again.embed_query("violin") == muvera.embed_query("violin")
    assert OnnxMuveraEmbeddings.model_validate_json(muvera.model_dump_json()) == muvera
    shared = OnnxMuveraEmbeddings.from_engine(muvera.engine)
    assert shared.engine is muvera.engine
    assert shared.dimension == 20 * 2**5 * 16


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"has no argument 'dimensions'; the length is r_reps \* 2 \*\* k_sim"):
        make(dimensions=128)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make(k_sim=0)
    with pytest.raises(InputError, match="dim_proj=385 is more than dim=384"):
        make(dim_proj=385).embed_query("a")
    with pytest.raises(InputTypeError, match=r"embed_documents was given a str, expected a list of str"):
        make().embed_documents("one text")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"text 1 is an int"):
        make().embed_documents(["one", 2])  # type: ignore[list-item]

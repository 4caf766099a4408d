"""Every class of the LangChain adapter takes the names of Hub repositories, and gives what the core gives by them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_onnxembed import (
    OnnxCrossEncoder,
    OnnxEmbeddings,
    OnnxLateInteractionRerank,
    OnnxLateInteractionRetriever,
    OnnxMultimodalEmbeddings,
    OnnxMuveraEmbeddings,
    OnnxRerank,
    OnnxSparse,
    OnnxSparseRetriever,
)
from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.errors import UnknownModelError
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import publish_kinds
from tests.langchain.test_milvus import milvus

__all__ = ["hub_server", "milvus"]

NAMES = {
    "org/dense": "dense",
    "org/splade": "sparse",
    "org/colbert": "late_interaction",
    "org/reranker": "rerank",
    "org/clip-text": "text_half",
    "org/clip-image": "image",
}
TEXTS = ["hello world", "a second text, which is longer"]
DOCUMENTS = [Document(text) for text in TEXTS]


@pytest.fixture(autouse=True)
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    publish_kinds(hub_server, tmp_path / "published", NAMES)
    return hub_server


def test_dense() -> None:
    ours = OnnxEmbeddings(model="org/dense")
    expected = TextEmbedding("org/dense").embed_to_array(TEXTS)
    np.testing.assert_allclose(ours.embed_documents(TEXTS), expected, atol=1e-6)
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_allclose(again.embed_documents(TEXTS), expected, atol=1e-6)


def test_sparse(milvus: Any) -> None:
    expected = list(SparseTextEmbedding("org/splade").embed(TEXTS))
    found = OnnxSparse(model="org/splade").embed_documents(TEXTS)
    assert [vector.indices for vector in found] == [vector.indices.tolist() for vector in expected]
    for_milvus = milvus.OnnxMilvusSparse(model="org/splade")
    assert [sorted(vector) for vector in for_milvus.embed_documents(TEXTS)] == [sorted(v.indices) for v in expected]
    retriever = OnnxSparseRetriever.from_documents(DOCUMENTS, embedding=OnnxSparse(model="org/splade"), k=1)
    assert retriever.invoke("hello")[0].page_content in TEXTS


def test_rerankers() -> None:
    expected = list(TextCrossEncoder("org/reranker").rerank("hello", TEXTS))
    pairs = [("hello", text) for text in TEXTS]
    np.testing.assert_allclose(OnnxCrossEncoder(model="org/reranker").score(pairs), expected, atol=1e-6)
    ranked = OnnxRerank(model="org/reranker", top_n=2).compress_documents(DOCUMENTS, "hello")
    assert [document.page_content for document in ranked] == [TEXTS[i] for i in np.argsort(expected)[::-1]]
    late = OnnxLateInteractionRerank(model="org/colbert", top_n=2).compress_documents(DOCUMENTS, "hello")
    assert {document.page_content for document in late} == set(TEXTS)


def test_late_interaction() -> None:
    core = LateInteractionTextEmbedding("org/colbert")
    retriever = OnnxLateInteractionRetriever(embedding=core, k=1)
    retriever.add_documents(DOCUMENTS)
    assert retriever.invoke("hello world")[0].page_content in TEXTS
    muvera = OnnxMuveraEmbeddings(model="org/colbert", k_sim=2, dim_proj=2, r_reps=2)
    assert len(muvera.embed_query("hello")) == 2 * 4 * 2


def test_texts_and_images() -> None:
    clip = OnnxMultimodalEmbeddings(model="org/clip-text", image_model="org/clip-image")
    assert len(clip.embed_query("hello")) > 0


def test_a_name_that_is_nowhere() -> None:
    with pytest.raises(UnknownModelError, match="there is no such repository"):
        OnnxEmbeddings(model="org/none")

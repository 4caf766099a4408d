"""Every class of the LlamaIndex adapters takes the names of Hub repositories, and gives what the core gives by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding, OnnxMuveraEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank, OnnxRerank
from llama_index.retrievers.onnxembed import OnnxLateInteractionRetriever, OnnxSparseRetriever
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.errors import UnknownModelError
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import publish_kinds

__all__ = ["hub_server"]

NAMES = {
    "org/dense": "dense",
    "org/splade": "sparse",
    "org/colbert": "late_interaction",
    "org/reranker": "rerank",
    "org/clip-text": "text_half",
    "org/clip-image": "image",
}
TEXTS = ["hello world", "a second text, which is longer"]
NODES = [TextNode(text=text) for text in TEXTS]


@pytest.fixture(autouse=True)
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    publish_kinds(hub_server, tmp_path / "published", NAMES)
    return hub_server


def test_dense() -> None:
    ours = OnnxEmbedding(model_name="org/dense")
    expected = TextEmbedding("org/dense").embed_to_array(TEXTS)
    np.testing.assert_allclose(ours.get_text_embedding_batch(TEXTS), expected, atol=1e-6)
    again = OnnxEmbedding.from_dict(ours.to_dict())
    np.testing.assert_allclose(again.get_text_embedding_batch(TEXTS), expected, atol=1e-6)


def test_sparse() -> None:
    expected = [vector.indices.tolist() for vector in SparseTextEmbedding("org/splade").embed(TEXTS)]
    ours = OnnxSparseEmbedding(model_name="org/splade")
    assert [sorted(vector) for vector in ours.get_text_embedding_batch(TEXTS)] == [sorted(ids) for ids in expected]
    retriever = OnnxSparseRetriever.from_nodes(NODES, embedding=ours, similarity_top_k=1)
    assert retriever.retrieve("hello")[0].text in TEXTS


def test_rerankers() -> None:
    scores = list(TextCrossEncoder("org/reranker").rerank("hello", TEXTS))
    nodes = [NodeWithScore(node=node) for node in NODES]
    ranked = OnnxRerank(model="org/reranker", top_n=2).postprocess_nodes(nodes, query_str="hello")
    assert [node.text for node in ranked] == [TEXTS[i] for i in np.argsort(scores)[::-1]]
    late = OnnxLateInteractionRerank(model="org/colbert", top_n=2).postprocess_nodes(nodes, query_str="hello")
    assert {node.text for node in late} == set(TEXTS)


def test_late_interaction() -> None:
    core = LateInteractionTextEmbedding("org/colbert")
    retriever = OnnxLateInteractionRetriever(embedding=core, similarity_top_k=1)
    retriever.add_nodes(NODES)
    assert retriever.retrieve("hello world")[0].text in TEXTS
    muvera = OnnxMuveraEmbedding(model_name="org/colbert", k_sim=2, dim_proj=2, r_reps=2)
    assert len(muvera.get_query_embedding("hello")) == 2 * 4 * 2


def test_texts_and_images() -> None:
    clip = OnnxMultiModalEmbedding(model_name="org/clip-text", image_model_name="org/clip-image")
    assert len(clip.get_query_embedding("hello")) > 0


def test_a_name_that_is_nowhere() -> None:
    with pytest.raises(UnknownModelError, match="there is no such repository"):
        OnnxEmbedding(model_name="org/none")

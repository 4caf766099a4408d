"""Sparse retrieval in memory through LlamaIndex, and what it leaves on disk."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import BaseNode, ImageNode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from langchain_onnxembed import OnnxSparseRetriever as LangChainRetriever
from llama_index.retrievers.onnxembed import OnnxSparseRetriever
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import SparseTextEmbedding
from onnxembed.errors import InputError, InputTypeError, ModelError
from tests.fixtures.passages import PASSAGES


def nodes() -> list[BaseNode]:
    return [
        TextNode(text=text, id_=str(n), metadata={"n": n}, excluded_embed_metadata_keys=["n"])
        for n, text in enumerate(PASSAGES)
    ]


def numbers(found: list[NodeWithScore]) -> list[int]:
    return [node.metadata["n"] for node in found]


@pytest.mark.parametrize("query", ["wheels violin", "yeast", "nothing of that", ""])
async def test_finds_what_langchains_finds(query: str) -> None:
    retriever = OnnxSparseRetriever.from_nodes(nodes(), similarity_top_k=3)
    found = retriever.retrieve(query)
    expected = LangChainRetriever.from_texts(PASSAGES, k=3).similarity_search_with_score(query)
    assert [(node.text, node.score) for node in found] == [
        (document.page_content, score) for document, score in expected
    ]
    assert await retriever.aretrieve(query) == found


def test_several_texts_of_a_query_add_up() -> None:
    retriever = OnnxSparseRetriever.from_nodes(nodes(), similarity_top_k=6)
    single = {node.node_id: node.score or 0.0 for query in ("wheels",) for node in retriever.retrieve(query)}
    both = retriever.retrieve(QueryBundle("x", custom_embedding_strs=["wheels", "wheels"]))
    assert {node.node_id: node.score for node in both} == pytest.approx({name: 2 * n for name, n in single.items()})


def test_filters() -> None:
    only = MetadataFilters(filters=[MetadataFilter(key="n", value=4)])
    assert numbers(OnnxSparseRetriever.from_nodes(nodes(), filters=only).retrieve("wheels violin")) == [4]
    with pytest.raises(InputTypeError, match="filters is dict, expected MetadataFilters"):
        OnnxSparseRetriever(filters={"n": 4})  # type: ignore[arg-type]


async def test_nodes_are_added_replaced_and_deleted() -> None:
    retriever = OnnxSparseRetriever()
    assert retriever.retrieve("zeppelin") == []
    retriever.add_nodes([TextNode(text="zeppelin", id_="a", metadata={"n": 0})])
    await retriever.aadd_nodes([TextNode(text="zeppelin", id_="b", metadata={"n": 1})])
    assert numbers(retriever.retrieve("zeppelin")) == [0, 1]
    retriever.add_nodes([TextNode(text="airship", id_="a", metadata={"n": 2})])
    assert numbers(retriever.retrieve("airship")) == [2]
    retriever.delete_nodes(["a", "unknown"])
    await retriever.adelete_nodes(["b"])
    assert retriever.retrieve("airship zeppelin") == []


def test_persists(tmp_path: Path) -> None:
    given = [*nodes(), ImageNode(text="a zeppelin", image_path="z.png", id_="image", metadata={"n": 9})]
    retriever = OnnxSparseRetriever.from_nodes(given, similarity_top_k=4)
    retriever.persist(tmp_path / "sparse")
    again = OnnxSparseRetriever.from_persist_dir(tmp_path / "sparse", similarity_top_k=4)
    for query in ("wheels violin", "zeppelin", "yeast"):
        assert again.retrieve(query) == retriever.retrieve(query)
    assert isinstance(again.retrieve("zeppelin")[0].node, ImageNode)
    again.add_nodes([TextNode(text="airship", id_="new", metadata={"n": 10})])
    again.persist(str(tmp_path / "sparse"))
    assert numbers(OnnxSparseRetriever.from_persist_dir(str(tmp_path / "sparse")).retrieve("airship")) == [10]
    german = OnnxSparseEmbedding(language="german")
    with pytest.raises(InputError, match="made by another model"):
        OnnxSparseRetriever.from_persist_dir(tmp_path / "sparse", german)
    with pytest.raises(InputError, match="pass the folder that persist"):
        OnnxSparseRetriever.from_persist_dir(tmp_path)
    (tmp_path / "sparse" / "sparse_retriever.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="cannot be read"):
        OnnxSparseRetriever.from_persist_dir(tmp_path / "sparse")


def test_settings_of_the_model_persist(tmp_path: Path) -> None:
    retriever = OnnxSparseRetriever.from_nodes(nodes(), SparseTextEmbedding("Qdrant/bm25", language="german", k=2.0))
    retriever.persist(tmp_path)
    again = OnnxSparseRetriever.from_persist_dir(tmp_path)
    assert again.embedding.fingerprint == retriever.embedding.fingerprint
    assert (again.embedding.options["language"], again.embedding.options["k"]) == ("german", 2.0)


def test_in_a_query_engine_and_fused() -> None:
    retriever = OnnxSparseRetriever.from_nodes(nodes(), similarity_top_k=2)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    assert numbers(engine.query("violin bow").source_nodes) == [3]
    fused = QueryFusionRetriever([retriever, retriever], llm=MockLLM(), num_queries=1, use_async=False)
    assert numbers(fused.retrieve("violin bow")) == [3]


def test_pickles() -> None:
    retriever = OnnxSparseRetriever.from_nodes(nodes())
    assert pickle.loads(pickle.dumps(retriever)).retrieve("violin") == retriever.retrieve("violin")


def test_bad_input() -> None:
    with pytest.raises(InputTypeError, match="nodes is str, expected a list of nodes"):
        OnnxSparseRetriever.from_nodes("text")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="node 0 is str, expected a node"):
        OnnxSparseRetriever.from_nodes(["text"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="similarity_top_k=0: expected 1 or more"):
        OnnxSparseRetriever(similarity_top_k=0)
    with pytest.raises(InputTypeError, match="embedding is str, expected a SparseTextEmbedding"):
        OnnxSparseRetriever("Qdrant/bm25")  # type: ignore[arg-type]

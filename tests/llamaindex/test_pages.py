"""Page images found by late interaction, through LlamaIndex, with a small model of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import ImageNode, TextNode

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.retrievers.onnxembed import OnnxLateInteractionRetriever
from onnxembed import LateInteractionMultimodalEmbedding, maxsim
from onnxembed.errors import InputTypeError
from tests.fixtures.multimodal_models import COLMODERNVBERT, Form, pictures, write_form
from tests.fixtures.text_models import REAL_MODEL

QUERIES = ["what is the total of the invoice", "page with a table"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LateInteractionMultimodalEmbedding:
    folder = write_form(tmp_path_factory.mktemp("model"), Form(COLMODERNVBERT))
    return LateInteractionMultimodalEmbedding("Qdrant/colmodernvbert", specific_model_path=folder)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = [folder / f"{number}.png" for number in range(5)]
    for path, picture in zip(made, pictures(), strict=False):
        picture.save(path)
    return made


def nodes(paths: list[Path]) -> list[ImageNode]:
    return [ImageNode(image_path=str(path), metadata={"page": path.stem}) for path in paths]


async def test_pages_are_ranked_by_maxsim(model: LateInteractionMultimodalEmbedding, paths: list[Path]) -> None:
    retriever = OnnxLateInteractionRetriever.from_nodes(nodes(paths), model, similarity_top_k=5)
    pages = list(model.embed_image(paths))
    for query in QUERIES:
        scores = maxsim(next(model.embed_query(query)), pages)
        found = retriever.retrieve(query)
        assert [node.metadata["page"] for node in found] == [paths[n].stem for n in np.argsort(-scores)]
        np.testing.assert_allclose([node.score or 0.0 for node in found], np.sort(scores)[::-1], rtol=1e-4)
        assert isinstance(found[0].node, ImageNode)
        there = await retriever.aretrieve(query)
        assert [node.node_id for node in there] == [node.node_id for node in found]


async def test_in_a_query_engine_and_added_later(model: LateInteractionMultimodalEmbedding, paths: list[Path]) -> None:
    retriever = OnnxLateInteractionRetriever.from_nodes(nodes(paths)[:2], model, similarity_top_k=3)
    await retriever.aadd_nodes(nodes(paths)[2:3])
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    assert {node.metadata["page"] for node in engine.query(QUERIES[0]).source_nodes} == {"0", "1", "2"}


def test_bad_input(model: LateInteractionMultimodalEmbedding) -> None:
    with pytest.raises(InputTypeError, match=r"node 0 is a TextNode, but Qdrant/colmodernvbert reads pictures"):
        OnnxLateInteractionRetriever.from_nodes([TextNode(text="no picture")], model)
    with pytest.raises(InputTypeError, match=r"prefetch is OnnxEmbedding, expected None: a first stage reads texts"):
        OnnxLateInteractionRetriever(model, prefetch=OnnxEmbedding(model_name=REAL_MODEL))

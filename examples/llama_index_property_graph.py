"""LlamaIndex: a property graph whose entities are found by meaning, and then their neighbours.

``pip install llama-index-onnxembed``. The triples come from a small rule; a language model can extract them instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core import PropertyGraphIndex
from llama_index.core.graph_stores.types import KG_NODES_KEY, KG_RELATIONS_KEY, EntityNode, Relation
from llama_index.core.indices.property_graph import VectorContextRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.schema import BaseNode, TextNode, TransformComponent

from llama_index.embeddings.onnxembed import OnnxEmbedding

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SENTENCES = ["violin is a string instrument", "yeast is a part of bread", "moon is a satellite"]


class Statements(TransformComponent):
    """Reads ``A is a B`` as two entities and a relation."""

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:  # noqa: ARG002 - LlamaIndex's
        """Write entities and relations into the metadata of nodes."""
        for node in nodes:
            subject, _, kind = node.get_content().partition(" is a ")
            first, second = EntityNode(name=subject), EntityNode(name=kind)
            node.metadata[KG_NODES_KEY] = [first, second]
            node.metadata[KG_RELATIONS_KEY] = [Relation(label="is a", source_id=first.id, target_id=second.id)]
        return nodes


def run(question: str) -> list[str]:
    """Find statements about a question.

    Args:
        question: The question.

    Returns:
        Statements, best first.
    """
    embedding = OnnxEmbedding(model_name=MODEL)
    index = PropertyGraphIndex(
        [TextNode(text=text) for text in SENTENCES],
        llm=MockLLM(),
        kg_extractors=[Statements()],
        embed_model=embedding,
        use_async=False,
    )
    retriever = VectorContextRetriever(
        index.property_graph_store,
        vector_store=index.vector_store,
        embed_model=embedding,
        include_text=False,
        similarity_top_k=1,
        path_depth=1,
    )
    return [hit.text for hit in retriever.retrieve(question)]


if __name__ == "__main__":
    print(*run("a fiddle"), sep="\n")

"""LlamaIndex: a workflow that asks a hybrid retriever as a tool, and answers with what it found.

``pip install "llama-index-onnxembed[retriever]"``. The answer is the best passage itself; put a language model in its
place.
"""

from __future__ import annotations

import asyncio

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import RetrieverTool
from llama_index.core.workflow import Event, StartEvent, StopEvent, Workflow, step

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.retrievers.onnxembed import OnnxHybridRetriever

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    "A bicycle has two wheels and is moved by pedals.",
    "Bread is baked from flour, water and yeast.",
    "Model XR-7000 fits the wheels of most bicycles; its pedals do not.",
    "Yeast dies when the water is hotter than sixty degrees.",
]


class Found(Event):
    """What the tool found."""

    nodes: list[NodeWithScore]


class Answering(Workflow):
    """Searches, then answers."""

    def __init__(self, tool: RetrieverTool) -> None:
        super().__init__(timeout=60)
        self._tool = tool

    @step
    async def search(self, event: StartEvent) -> Found:
        """Call the tool."""
        output = await self._tool.acall(event.question)
        return Found(nodes=output.raw_output)

    @step
    async def answer(self, event: Found) -> StopEvent:
        """Give the best passage."""
        return StopEvent(result=event.nodes[0].text if event.nodes else "I do not know.")


async def run(question: str) -> str:
    """Answer a question.

    Args:
        question: The question.

    Returns:
        The answer.
    """
    index = VectorStoreIndex([], embed_model=OnnxEmbedding(model_name=MODEL))
    retriever = OnnxHybridRetriever.from_nodes([TextNode(text=text) for text in TEXTS], index, similarity_top_k=2)
    tool = RetrieverTool.from_defaults(retriever, name="passages", description="Finds passages of the handbook.")
    return str(await Answering(tool).run(question=question))


if __name__ == "__main__":
    print(asyncio.run(run("Which part is the XR-7000?")))

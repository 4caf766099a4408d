"""LlamaIndex: an ingestion pipeline that embeds only what is new or changed.

``pip install "llama-index-onnxembed[qdrant]"``. The document store remembers what was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from llama_index.embeddings.onnxembed import OnnxEmbedding

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PAGES = {
    "bread.md": "Bread is baked from flour, water and yeast.",
    "moon.md": "The moon turns around the earth in about a month.",
    "violin.md": "A violin has four strings and is played with a bow.",
}


def documents(pages: Mapping[str, str]) -> list[Document]:
    """Read pages as documents whose ids stay the same."""
    return [Document(text=text, id_=name) for name, text in pages.items()]


def run() -> tuple[list[int], list[str]]:
    """Read pages, read them again unchanged, and once more when one has changed and one is gone.

    Returns:
        How many nodes each run embedded, and the texts that a question finds at last.
    """
    embedding = OnnxEmbedding(model_name=MODEL)
    store = QdrantVectorStore("pages", client=QdrantClient(":memory:"))
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(tokenizer=str.split), embedding],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=store,
    )
    changed = {"bread.md": "Bread is baked from rye, water and sourdough.", "moon.md": PAGES["moon.md"]}
    counts = [len(pipeline.run(documents=documents(pages))) for pages in (PAGES, PAGES, changed)]
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    found = index.as_retriever(similarity_top_k=5).retrieve("What is bread made of?")
    return counts, [hit.text for hit in found]


if __name__ == "__main__":
    counts, found = run()
    print(counts, *found, sep="\n")

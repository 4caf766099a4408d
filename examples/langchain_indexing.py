"""LangChain: keep a vector store in step with documents that change, embedding only what is new.

``pip install langchain-onnxembed``. A record manager remembers what was indexed; `index` compares by content.
"""

from __future__ import annotations

from collections.abc import Mapping

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_onnxembed import OnnxEmbeddings

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PAGES = {
    "bread.md": "Bread is baked from flour, water and yeast.",
    "moon.md": "The moon turns around the earth in about a month.",
    "violin.md": "A violin has four strings and is played with a bow.",
}


def documents(pages: Mapping[str, str]) -> list[Document]:
    """Read pages as documents that tell where they come from."""
    return [Document(text, metadata={"source": name}) for name, text in pages.items()]


def run() -> tuple[list[dict[str, int]], list[str]]:
    """Index pages, index them again unchanged, and once more when one has changed and one is gone.

    Returns:
        What each run did, and the pages that a question finds at last.
    """
    # The namespace carries what the vectors are made of: other weights or settings index everything anew.
    embeddings = OnnxEmbeddings(model=MODEL)
    records = InMemoryRecordManager(namespace=f"pages/{embeddings.cache_namespace}")
    records.create_schema()
    store = InMemoryVectorStore(embeddings)
    changed = {"bread.md": "Bread is baked from rye, water and sourdough.", "moon.md": PAGES["moon.md"]}
    did = [
        index(documents(pages), records, store, cleanup="full", source_id_key="source", key_encoder="sha256")
        for pages in (PAGES, PAGES, changed)
    ]
    found = store.similarity_search("What is bread made of?", k=5)
    return [{name: count for name, count in one.items() if isinstance(count, int)} for one in did], [
        hit.page_content for hit in found
    ]


if __name__ == "__main__":
    did, found = run()
    print(*did, *found, sep="\n")

"""LangChain: vectors in PostgreSQL with pgvector.

``pip install "langchain-onnxembed[retriever]" langchain-postgres "psycopg[binary]"``, and a PostgreSQL server with the
extension: its address is the first argument. Without one, `pgserver` brings a server of its own (``pip install
pgserver``).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_postgres import PGVector

from langchain_onnxembed import OnnxEmbeddings, OnnxHybridRetriever

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    "A bicycle has two wheels and is moved by pedals.",
    "Bread is baked from flour, water and yeast.",
    "Model XR-7000 fits the wheels of most bicycles; its pedals do not.",
    "Yeast dies when the water is hotter than sixty degrees.",
]


def run(address: str) -> tuple[list[str], list[str]]:
    """Search by meaning alone, and by meaning and words.

    Args:
        address: Of the database.

    Returns:
        The texts that both ways find for one question each, best first.
    """
    store: VectorStore = PGVector(
        OnnxEmbeddings(model=MODEL),
        connection=address.replace("postgresql://", "postgresql+psycopg://"),
        collection_name="passages",
        pre_delete_collection=True,
    )
    documents = [Document(text, metadata={"number": number}) for number, text in enumerate(TEXTS)]
    retriever = OnnxHybridRetriever.from_documents(documents, store, k=2)
    by_meaning = store.similarity_search("What do I need to bake a loaf?", k=2)
    return [hit.page_content for hit in by_meaning], [hit.page_content for hit in retriever.invoke("XR-7000")]


def main() -> None:
    """Ask the server that is named, or one of its own."""
    if len(sys.argv) > 1:
        print(*run(sys.argv[1]), sep="\n")
        return
    import pgserver

    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        server.psql("CREATE EXTENSION vector;")
        print(*run(server.get_uri()), sep="\n")
        server.cleanup()


if __name__ == "__main__":
    main()

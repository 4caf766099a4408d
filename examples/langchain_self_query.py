"""LangChain: a language model reads conditions out of a question, and Qdrant filters by them.

``pip install "langchain-onnxembed[qdrant]" langchain-classic langchain-community lark``. The language model here is a
stand-in that knows the answer to one prompt; put a chat model in its place.
"""

from __future__ import annotations

from langchain_classic.chains.query_constructor.schema import AttributeInfo
from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
from langchain_community.query_constructors.qdrant import QdrantTranslator
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeListLLM
from langchain_qdrant import QdrantVectorStore

from langchain_onnxembed import OnnxEmbeddings

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DOCUMENTS = [
    Document("A violin concerto in three movements.", metadata={"year": 1878}),
    Document("A violin sonata with piano.", metadata={"year": 1945}),
    Document("A cello suite for one player.", metadata={"year": 1964}),
]
ANSWER = """```json
{"query": "music for violin", "filter": "gt(\\"year\\", 1900)"}
```"""


def run() -> list[str]:
    """Ask for violin music of the last century.

    Returns:
        The texts found, best first.
    """
    store = QdrantVectorStore.from_documents(
        DOCUMENTS, embedding=OnnxEmbeddings(model=MODEL), location=":memory:", collection_name="music"
    )
    retriever = SelfQueryRetriever.from_llm(
        FakeListLLM(responses=[ANSWER]),
        store,
        document_contents="Pieces of music",
        metadata_field_info=[AttributeInfo(name="year", description="Year of composition", type="integer")],
        structured_query_translator=QdrantTranslator(metadata_key="metadata"),
    )
    return [hit.page_content for hit in retriever.invoke("Violin music written after 1900")]


if __name__ == "__main__":
    print(*run(), sep="\n")

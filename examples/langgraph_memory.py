"""LangGraph: long-term memory that is searched by meaning.

``pip install langchain-onnxembed langgraph``.
"""

from __future__ import annotations

from langgraph.store.base import IndexConfig
from langgraph.store.memory import InMemoryStore

from langchain_onnxembed import OnnxEmbeddings

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MEMORIES = {
    "food": "The user does not eat meat.",
    "travel": "The user takes the train to work.",
    "music": "The user plays the violin on Sundays.",
}


def run() -> list[tuple[str, float]]:
    """Remember three things of a user and look for one.

    Returns:
        Keys and scores, best first.
    """
    embeddings = OnnxEmbeddings(model=MODEL)
    store = InMemoryStore(index=IndexConfig(dims=embeddings.dimension, embed=embeddings, fields=["text"]))
    for key, text in MEMORIES.items():
        store.put(("users", "ada"), key, {"text": text})
    found = store.search(("users", "ada"), query="Which dish may I cook for her?", limit=2)
    return [(item.key, item.score or 0.0) for item in found]


if __name__ == "__main__":
    for key, score in run():
        print(f"{score:.3f} {key}")

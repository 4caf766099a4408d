"""Compare hybrid searches on a collection of texts with judged answers: ours, and what the frameworks do by default.

``python -m benchmarks.hybrid FOLDER`` needs the files that `benchmarks.cranfield` names. Every search is asked for ten
documents. The dense model is all-MiniLM-L6-v2, from its package; the sparse one BM25.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cranfield import DEPTH, MODEL, RESULTS, Collection, mean_length, ndcg, read_collection

OURS = "OnnxHybridRetriever"
Searches = Mapping[str, Callable[[str], Sequence[str]]]
"""Ways to search: from a question to the numbers of documents, best first."""


def with_langchain(collection: Collection) -> Searches:
    """Search through LangChain: each side alone, its own hybrid searches, and ours in memory and in Qdrant."""
    from langchain_classic.embeddings import CacheBackedEmbeddings
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_core.documents import Document
    from langchain_core.stores import InMemoryByteStore
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_qdrant import QdrantVectorStore, RetrievalMode

    from langchain_onnxembed import OnnxEmbeddings, OnnxHybridRetriever, OnnxSparse

    documents = [Document(text, metadata={"number": number}) for number, text in collection.documents.items()]
    # Each text is embedded once, for all stores.
    embeddings = CacheBackedEmbeddings.from_bytes_store(
        OnnxEmbeddings(model=MODEL),
        InMemoryByteStore(),
        query_embedding_cache=InMemoryByteStore(),
        key_encoder="sha256",
    )
    store = InMemoryVectorStore(embeddings)
    ours = OnnxHybridRetriever.from_documents(documents, store, k=DEPTH)
    dense, sparse = store.as_retriever(search_kwargs={"k": DEPTH}), ours.sparse.model_copy(update={"k": DEPTH})

    model = OnnxSparse()
    default = QdrantVectorStore.from_documents(
        documents,
        embedding=embeddings,
        sparse_embedding=model,
        sparse_vector_params=model.sparse_vector_params(),
        retrieval_mode=RetrievalMode.HYBRID,
        location=":memory:",
    )
    measured = OnnxHybridRetriever.in_qdrant(documents, embeddings, k=DEPTH)
    ways: dict[str, Any] = {
        "dense": dense,
        "BM25": sparse,
        "EnsembleRetriever": EnsembleRetriever(retrievers=[dense, sparse], weights=[0.5, 0.5]),
        "QdrantVectorStore": default.as_retriever(search_kwargs={"k": DEPTH}),
        "QdrantVectorStore, mean length measured": measured.vectorstore.as_retriever(search_kwargs={"k": DEPTH}),
        OURS: ours,
        f"{OURS} over such a QdrantVectorStore": OnnxHybridRetriever(vectorstore=default, k=DEPTH),
        f"{OURS}.in_qdrant": measured,
    }
    return {name: _asked(retriever.invoke) for name, retriever in ways.items()}


def with_llama_index(collection: Collection) -> Searches:
    """Search through LlamaIndex, in the same ways."""
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
    from llama_index.core.schema import TextNode
    from llama_index.core.storage.kvstore import SimpleKVStore
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    from llama_index.embeddings.onnxembed import OnnxEmbedding
    from llama_index.retrievers.onnxembed import OnnxHybridRetriever, OnnxSparseRetriever
    from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding

    nodes = [
        # Empty documents would be left out by an index; a stop says as little.
        TextNode(text=text or ".", metadata={"number": number}, excluded_embed_metadata_keys=["number"])
        for number, text in collection.documents.items()
    ]
    embedding = OnnxEmbedding(model_name=MODEL, embeddings_cache=SimpleKVStore())  # each text is embedded once
    ours = OnnxHybridRetriever.from_nodes(nodes, VectorStoreIndex([], embed_model=embedding), similarity_top_k=DEPTH)
    sparse = OnnxSparseRetriever.from_nodes(nodes, similarity_top_k=DEPTH)

    store = QdrantVectorStore("documents", client=QdrantClient(":memory:"), **OnnxSparseEmbedding().qdrant_kwargs())
    default = VectorStoreIndex(
        nodes, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=embedding
    )
    measured, client = OnnxSparseEmbedding(avg_len=mean_length(collection)), QdrantClient(":memory:")
    inside = OnnxHybridRetriever.in_qdrant(nodes, embedding, client=client, similarity_top_k=DEPTH)
    again = QdrantVectorStore("hybrid", client=client, **measured.qdrant_kwargs())
    fitted = VectorStoreIndex.from_vector_store(again, embed_model=embedding)
    dense = default.as_retriever(similarity_top_k=DEPTH)
    ways: dict[str, Any] = {
        "dense": dense,
        "BM25": sparse,
        "QueryFusionRetriever": QueryFusionRetriever(
            [dense, sparse],
            llm=MockLLM(),
            mode=FUSION_MODES.RECIPROCAL_RANK,
            num_queries=1,
            similarity_top_k=DEPTH,
            use_async=False,
        ),
        "QdrantVectorStore": default.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=DEPTH),
        "QdrantVectorStore, mean length measured": fitted.as_retriever(
            vector_store_query_mode="hybrid", similarity_top_k=DEPTH
        ),
        OURS: ours,
        f"{OURS} over such a QdrantVectorStore": OnnxHybridRetriever(default, similarity_top_k=DEPTH),
        f"{OURS}.in_qdrant": inside,
    }
    return {name: _asked(retriever.retrieve) for name, retriever in ways.items()}


FRAMEWORKS: Mapping[str, Callable[[Collection], Searches]] = {
    "LangChain": with_langchain,
    "LlamaIndex": with_llama_index,
}


def measure(collection: Collection, frameworks: Iterable[str] = FRAMEWORKS) -> dict[str, dict[str, float]]:
    """Ask all questions of a collection in all ways.

    Args:
        collection: What to search.
        frameworks: Through which frameworks.

    Returns:
        nDCG@10 by framework and way.
    """
    found: dict[str, dict[str, float]] = {}
    for framework in frameworks:
        for name, search in FRAMEWORKS[framework](collection).items():
            started = time.monotonic()
            rankings = {number: search(question) for number, question in collection.questions.items()}
            seconds = time.monotonic() - started
            figure = round(ndcg(rankings, collection.relevant), 4)
            found.setdefault(framework, {})[name] = figure
            print(f"{framework}, {name}: {figure:.4f} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Write the figures as a table in Markdown."""
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    rows = [
        f"| {name} | {' | '.join(f'{found[one][name]:.4f}' if name in found[one] else '' for one in found)} |"
        for name in names
    ]
    return "\n".join([f"| nDCG@10 | {' | '.join(found)} |", f"|---{'|---' * len(found)}|", *rows])


def _asked(ask: Callable[[str], list[Any]]) -> Callable[[str], list[str]]:
    return lambda question: [hit.metadata["number"] for hit in ask(question)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS / "hybrid.json")
    parser.add_argument("--framework", choices=FRAMEWORKS, action="append", help="one of them alone; keeps the other's")
    chosen = parser.parse_args(arguments)
    collection = read_collection(chosen.folder)
    found = measure(collection, chosen.framework or FRAMEWORKS)
    if chosen.framework and chosen.output.is_file():
        kept = json.loads(chosen.output.read_text(encoding="utf-8"))
        found = {name: found.get(name, kept.get(name, {})) for name in FRAMEWORKS}
    results = {
        "documents": len(collection.documents),
        "questions": len(collection.relevant),
        "measure": f"nDCG@{DEPTH}",
        **found,
    }
    chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()

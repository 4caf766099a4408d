"""Search the Cranfield collection (1,400 abstracts, 225 questions with judged answers) and tell how good the answers are.

``python -m benchmarks.cranfield FOLDER`` needs the collection's files as they are commonly spread in XML:
``cran.all.1400.xml``, ``cran.qry.xml`` and ``cranqrel.trec.txt``. The model is all-MiniLM-L6-v2, from its package.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEPTH = 10
CANDIDATES = 100
RESULTS = Path(__file__).with_name("results")

Ranking = Sequence[str]


@dataclass(frozen=True)
class Collection:
    """Documents, questions and judgements.

    Attributes:
        documents: Text by number.
        questions: Text by number.
        relevant: For each question, how relevant each judged document is; above 0 is an answer.
    """

    documents: Mapping[str, str]
    questions: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]


def read_collection(folder: Path) -> Collection:
    """Read the three files.

    Args:
        folder: Where they are.

    Returns:
        The collection. Judgements count questions by their place in the file, not by the number written there.
    """
    documents = {}
    for entry in re.findall(r"<doc>(.*?)</doc>", (folder / "cran.all.1400.xml").read_text(encoding="utf-8"), re.DOTALL):
        text = _field(entry, "text")
        documents[_field(entry, "docno")] = text if text else _field(entry, "title")
    asked = re.findall(r"<title>(.*?)</title>", (folder / "cran.qry.xml").read_text(encoding="utf-8"), re.DOTALL)
    questions = {str(place): " ".join(text.split()) for place, text in enumerate(asked, 1)}
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "cranqrel.trec.txt").read_text(encoding="utf-8").splitlines():
        question, _, document, grade = line.split()
        relevant.setdefault(question, {})[document] = int(grade)
    return Collection(documents, questions, relevant)


def _field(entry: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", entry, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def ndcg(rankings: Mapping[str, Ranking], relevant: Mapping[str, Mapping[str, int]], depth: int = DEPTH) -> float:
    """Measure rankings: normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002), mean of the questions.

    Args:
        rankings: For each question the documents found, best first.
        relevant: The judgements; an answer counts 1 whatever its grade.
        depth: Places that count.

    Returns:
        0 for no answer found to 1 for all of them first.
    """
    total = 0.0
    for question, judged in relevant.items():
        answers = {document for document, grade in judged.items() if grade > 0}
        gains = (
            1 / math.log2(place + 2) for place, document in enumerate(rankings[question][:depth]) if document in answers
        )
        ideal = sum(1 / math.log2(place + 2) for place in range(min(depth, len(answers))))
        total += sum(gains) / ideal if ideal else 0.0
    return total / len(relevant)


def with_langchain(collection: Collection) -> dict[str, dict[str, Ranking]]:
    """Search with Qdrant through LangChain: dense, sparse, and both fused by reciprocal ranks."""
    from langchain_qdrant import QdrantVectorStore, RetrievalMode

    from langchain_onnxembed import OnnxEmbeddings, OnnxSparse

    sparse = OnnxSparse(model="Qdrant/bm25", avg_len=mean_length(collection))
    found: dict[str, dict[str, Ranking]] = {}
    for mode in RetrievalMode:
        store = QdrantVectorStore.from_texts(
            list(collection.documents.values()),
            metadatas=[{"number": number} for number in collection.documents],
            embedding=OnnxEmbeddings(model=MODEL),
            sparse_embedding=sparse,
            sparse_vector_params=sparse.sparse_vector_params(),
            retrieval_mode=mode,
            location=":memory:",
        )
        found[mode.value] = {
            number: [hit.metadata["number"] for hit in store.similarity_search(question, k=CANDIDATES)]
            for number, question in collection.questions.items()
        }
    return found


def with_llama_index(collection: Collection) -> dict[str, dict[str, Ranking]]:
    """Search with Qdrant through LlamaIndex: dense, sparse, and both fused by relative scores."""
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.schema import TextNode
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    from llama_index.embeddings.onnxembed import OnnxEmbedding
    from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding

    sparse = OnnxSparseEmbedding(model_name="Qdrant/bm25", avg_len=mean_length(collection))
    store = QdrantVectorStore("cranfield", client=QdrantClient(":memory:"), **sparse.qdrant_kwargs())
    nodes = [
        TextNode(text=text, metadata={"number": number}, excluded_embed_metadata_keys=["number"])
        for number, text in collection.documents.items()
    ]
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(nodes, storage_context=context, embed_model=OnnxEmbedding(model_name=MODEL))
    found: dict[str, dict[str, Ranking]] = {}
    for name, mode in (("dense", "default"), ("sparse", "sparse"), ("hybrid", "hybrid")):
        retriever = index.as_retriever(
            vector_store_query_mode=mode,
            similarity_top_k=CANDIDATES,
            sparse_top_k=CANDIDATES,
            hybrid_top_k=CANDIDATES,
        )
        found[name] = {
            number: [hit.metadata["number"] for hit in retriever.retrieve(question)]
            for number, question in collection.questions.items()
        }
    return found


def mean_length(collection: Collection) -> float:
    """Words of an average document, as BM25 counts them."""
    from onnxembed import SparseTextEmbedding

    statistics = SparseTextEmbedding("Qdrant/bm25").fit(collection.documents.values()).statistics
    return statistics.avg_len if statistics else 0.0


SEARCHES: Mapping[str, Callable[[Collection], dict[str, dict[str, Ranking]]]] = {
    "LangChain": with_langchain,
    "LlamaIndex": with_llama_index,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cranfield", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS / "cranfield.json")
    chosen = parser.parse_args(arguments)
    collection = read_collection(chosen.folder)
    results: dict[str, Any] = {"documents": len(collection.documents), "questions": len(collection.relevant)}
    for framework, search in SEARCHES.items():
        started = time.monotonic()
        figures = {name: round(ndcg(rankings, collection.relevant), 4) for name, rankings in search(collection).items()}
        results[framework] = {"ndcg@10": figures, "seconds": round(time.monotonic() - started, 1)}
        print(framework, figures, file=sys.stderr, flush=True)
    chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

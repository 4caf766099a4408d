"""Search the Cranfield collection (1,400 abstracts, 225 questions with judged answers) and tell how good it went.

``python -m benchmarks.cranfield FOLDER`` needs the collection's files as they are commonly spread in XML:
``cran.all.1400.xml``, ``cran.qry.xml`` and ``cranqrel.trec.txt``. The model is all-MiniLM-L6-v2, from its package;
``--precision int8`` computes it in 8 bits.
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
from functools import partial
from pathlib import Path
from typing import Any

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEPTH = 10
CANDIDATES = 100
RERANKED = 50
RESULTS = Path(__file__).with_name("results")

Ranking = Sequence[str]
Searches = Mapping[str, Callable[[str], Ranking]]
"""Ways to search: from a question to the numbers of documents, best first."""


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
    # The files write the full stop as a word of its own.
    questions = {str(place): " ".join(text.split()).removesuffix(" .") for place, text in enumerate(asked, 1)}
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "cranqrel.trec.txt").read_text(encoding="utf-8").splitlines():
        question, _, document, grade = line.split()
        relevant.setdefault(question, {})[document] = int(grade)
    return Collection(documents, questions, relevant)


def _field(entry: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", entry, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def ndcg(rankings: Mapping[str, Ranking], relevant: Mapping[str, Mapping[str, int]], depth: int = DEPTH) -> float:
    """Measure rankings: normalized discounted cumulative gain (Järvelin and Kekäläinen, 2002), mean of the questions.

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


def with_langchain(collection: Collection, precision: str) -> Searches:
    """Search through LangChain: dense and sparse, fused by reciprocal ranks, and once more fused by Qdrant itself."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_qdrant import QdrantVectorStore, RetrievalMode

    from langchain_onnxembed import OnnxEmbeddings, OnnxSparse, OnnxSparseRetriever

    documents = [Document(text, metadata={"number": number}) for number, text in collection.documents.items()]
    embeddings = OnnxEmbeddings(model=MODEL, precision=precision)
    sparse = OnnxSparse(model="Qdrant/bm25", avg_len=mean_length(collection))
    dense = InMemoryVectorStore(embeddings)
    dense.add_documents(documents)
    retrievers: dict[str, Any] = {
        "dense": dense.as_retriever(search_kwargs={"k": CANDIDATES}),
        "sparse": OnnxSparseRetriever.from_documents(documents, sparse, k=CANDIDATES),
    }
    retrievers["hybrid"] = EnsembleRetriever(retrievers=list(retrievers.values()), weights=[0.5, 0.5])
    retrievers["hybrid in Qdrant"] = QdrantVectorStore.from_documents(
        documents,
        embedding=embeddings,
        sparse_embedding=sparse,
        sparse_vector_params=sparse.sparse_vector_params(),
        retrieval_mode=RetrievalMode.HYBRID,
        location=":memory:",
    ).as_retriever(search_kwargs={"k": CANDIDATES})
    return {name: partial(_asked, retriever.invoke) for name, retriever in retrievers.items()}


def with_llama_index(collection: Collection, precision: str) -> Searches:
    """Search with Qdrant through LlamaIndex: dense, sparse, and both fused, by relative scores and reciprocal ranks."""
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
    from llama_index.core.schema import TextNode
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    from llama_index.embeddings.onnxembed import OnnxEmbedding
    from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding

    sparse = OnnxSparseEmbedding(model_name="Qdrant/bm25", avg_len=mean_length(collection))
    store = QdrantVectorStore("cranfield", client=QdrantClient(":memory:"), **sparse.qdrant_kwargs())
    nodes = [
        # Two documents are empty, which the index would leave out; a stop says as little.
        TextNode(text=text or ".", metadata={"number": number}, excluded_embed_metadata_keys=["number"])
        for number, text in collection.documents.items()
    ]
    context = StorageContext.from_defaults(vector_store=store)
    model = OnnxEmbedding(model_name=MODEL, precision=precision)
    index = VectorStoreIndex(nodes, storage_context=context, embed_model=model)
    retrievers: dict[str, Any] = {
        name: index.as_retriever(
            vector_store_query_mode=mode,
            similarity_top_k=CANDIDATES,
            sparse_top_k=CANDIDATES,
            hybrid_top_k=CANDIDATES,
        )
        for name, mode in (("dense", "default"), ("sparse", "sparse"), ("hybrid by relative scores", "hybrid"))
    }
    retrievers["hybrid"] = QueryFusionRetriever(
        [retrievers["dense"], retrievers["sparse"]],
        llm=_no_llm(),
        mode=FUSION_MODES.RECIPROCAL_RANK,
        num_queries=1,
        similarity_top_k=CANDIDATES,
        use_async=False,
    )
    return {name: partial(_asked, retriever.retrieve) for name, retriever in retrievers.items()}


def _asked(ask: Callable[[str], list[Any]], question: str) -> list[str]:
    return [hit.metadata["number"] for hit in ask(question)]


def _no_llm() -> Any:
    from llama_index.core.llms import MockLLM

    return MockLLM()


def late_interaction(
    collection: Collection, hybrid: Mapping[str, Ranking], precision: str
) -> dict[str, Mapping[str, Ranking]]:
    """Search by MaxSim over the token vectors of the dense model, in three ways.

    Args:
        collection: What to search.
        hybrid: The rankings of a hybrid search.
        precision: How the model is computed.

    Returns:
        Rankings of all documents by MaxSim; of the best 50 of the hybrid search by MaxSim; and of the best 100 by
        MUVERA, once as they are and once rescored by MaxSim.
    """
    import numpy as np

    from onnxembed import LateInteractionTextEmbedding, MultiVectors, Muvera, maxsim

    model = LateInteractionTextEmbedding(MODEL, dense=True, precision=precision)
    numbers = np.array(list(collection.documents))
    place = {number: index for index, number in enumerate(numbers)}
    documents = MultiVectors.pack(model.embed(collection.documents.values()), dtype="float16")
    muvera = Muvera.from_multivector_model(model)
    fixed = muvera.process_documents([documents[index] for index in range(len(documents))])
    rankings: dict[str, dict[str, Ranking]] = {
        name: {} for name in ("MaxSim", "hybrid reranked by MaxSim", "MUVERA", "MUVERA rescored by MaxSim")
    }
    questions = model.query_embed(collection.questions.values())
    for (number, _), query in zip(collection.questions.items(), questions, strict=True):
        scores = maxsim(query, documents)
        candidates = [found for found in hybrid[number][:RERANKED] if found in place]
        first = np.argsort(-(fixed @ muvera.process_query(query)), kind="stable")[:CANDIDATES]
        rankings["MaxSim"][number] = numbers[np.argsort(-scores, kind="stable")[:CANDIDATES]].tolist()
        rankings["hybrid reranked by MaxSim"][number] = sorted(candidates, key=lambda found: -scores[place[found]])
        rankings["MUVERA"][number] = numbers[first].tolist()
        rankings["MUVERA rescored by MaxSim"][number] = numbers[
            first[np.argsort(-scores[first], kind="stable")]
        ].tolist()
    return dict(rankings)


def mean_length(collection: Collection) -> float:
    """Words of an average document, as BM25 counts them."""
    from onnxembed import SparseTextEmbedding

    statistics = SparseTextEmbedding("Qdrant/bm25").fit(collection.documents.values()).statistics
    return statistics.avg_len if statistics else 0.0


FRAMEWORKS: Mapping[str, Callable[[Collection, str], Searches]] = {
    "LangChain": with_langchain,
    "LlamaIndex": with_llama_index,
}


def _tell(results: dict[str, Any], where: str, name: str, figure: float, seconds: float) -> None:
    results.setdefault(where, {})[name] = round(figure, 4)
    print(f"{where}, {name}: {figure:.4f} ({seconds:.0f} s)", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cranfield", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="fp32", help="how the model is computed: fp32 or int8")
    parser.add_argument("--output", type=Path, help="default: a file of benchmarks/results")
    chosen = parser.parse_args(arguments)
    collection = read_collection(chosen.folder)
    results: dict[str, Any] = {
        "documents": len(collection.documents),
        "questions": len(collection.relevant),
        "measure": "nDCG@10",
        "precision": chosen.precision,
    }
    hybrid: Mapping[str, Ranking] = {}
    for framework, make in FRAMEWORKS.items():
        searches = make(collection, chosen.precision)
        for name, search in searches.items():
            started = time.monotonic()
            rankings = {number: search(question) for number, question in collection.questions.items()}
            hybrid = rankings if name == "hybrid" else hybrid
            _tell(results, framework, name, ndcg(rankings, collection.relevant), time.monotonic() - started)
    started = time.monotonic()
    for name, found in late_interaction(collection, hybrid, chosen.precision).items():
        _tell(results, "late interaction", name, ndcg(found, collection.relevant), time.monotonic() - started)
    suffix = "" if chosen.precision == "fp32" else f"-{chosen.precision}"
    output = chosen.output or RESULTS / f"cranfield{suffix}.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

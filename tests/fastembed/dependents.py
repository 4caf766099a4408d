"""Packages that import fastembed, used as their users do: one script over the real fastembed and over the stand-in.

    python tests/fastembed/dependents.py run RESULTS            FASTEMBED_CACHE_PATH: that of tests/fastembed/weights.py
    python tests/fastembed/dependents.py compare OURS CONTROL   exit status 1 where a check differs or fails

It needs no file of this repository beside it, so that it runs in environments of its own (`make dependents`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

TEXTS = [
    "Bread is baked from flour, water and yeast.",
    "A bicycle has two wheels and is moved by pedals.",
    "The moon turns around the earth in about a month.",
    "A violin has four strings and is played with a bow.",
]
QUESTION = "How do I make a loaf of bread?"
DENSE = "BAAI/bge-small-en-v1.5"
SPLADE = "prithivida/Splade_PP_en_v1"
BM25 = "Qdrant/bm25"
COLBERT = "colbert-ir/colbertv2.0"
RANKER = "Xenova/ms-marco-MiniLM-L-6-v2"
IMAGE = "Qdrant/clip-ViT-B-32-vision"
BOUND = 2e-5
PACKAGES = (
    *("qdrant-client", "fastembed-haystack", "langchain-qdrant", "langchain-community", "chromadb", "mem0ai"),
    *("llama-index-embeddings-fastembed", "llama-index-sparse-embeddings-fastembed"),
    *("datapizza-ai-embedders-fastembedder", "fastembed"),
)


def sparse(vectors: Iterable[Any]) -> list[list[Any]]:
    """Sparse vectors of any class as entries in the order of their ids."""
    found = []
    for vector in vectors:
        if isinstance(vector, dict):
            entries = {int(key): float(value) for key, value in vector.items()}
        else:
            indices = vector.indices if hasattr(vector, "indices") else vector["indices"]
            values = vector.values if hasattr(vector, "values") and not callable(vector.values) else vector["values"]
            entries = {int(key): float(value) for key, value in zip(indices, values, strict=True)}
        found.append(sorted([key, value] for key, value in entries.items()))
    return found


def dense(vectors: Iterable[Iterable[float]]) -> list[list[float]]:
    """Dense vectors as lists."""
    return [[float(value) for value in vector] for vector in vectors]


def _fields(models: Any) -> dict[str, Any]:
    return {
        "vectors_config": {
            "dense": models.VectorParams(size=384, distance=models.Distance.COSINE),
            "colbert": models.VectorParams(
                size=_colbert_size(),
                distance=models.Distance.COSINE,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        "sparse_vectors_config": {
            "splade": models.SparseVectorParams(),
            "bm25": models.SparseVectorParams(modifier=models.Modifier.IDF),
        },
    }


def _colbert_size() -> int:
    from fastembed import LateInteractionTextEmbedding

    return int(next(iter(LateInteractionTextEmbedding(COLBERT).embed(["a"]))).shape[1])


def _points(models: Any) -> list[Any]:
    names = {"dense": DENSE, "splade": SPLADE, "bm25": BM25, "colbert": COLBERT}
    return [
        models.PointStruct(
            id=number,
            vector={name: models.Document(text=text, model=model) for name, model in names.items()},
            payload={"text": text},
        )
        for number, text in enumerate(TEXTS)
    ]


def _stored(records: Iterable[Any]) -> list[Any]:
    found = []
    for record in records:
        vectors = record.vector
        found.append(
            [dense([vectors["dense"]]), sparse([vectors["splade"], vectors["bm25"]]), dense(vectors["colbert"])]
        )
    return found


def qdrant_documents() -> Any:
    """``models.Document`` of every kind, stored and asked for."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("all", **_fields(models))
    client.upsert("all", _points(models))
    answers = [
        [
            [point.id, point.score]
            for point in client.query_points("all", models.Document(text=QUESTION, model=model), using=name).points
        ]
        for name, model in (("dense", DENSE), ("bm25", BM25), ("colbert", COLBERT))
    ]
    return [_stored(client.retrieve("all", range(len(TEXTS)), with_vectors=True)), answers]


def qdrant_asynchronous() -> Any:
    """The same with the asynchronous client."""
    from qdrant_client import AsyncQdrantClient, models

    async def use() -> Any:
        client = AsyncQdrantClient(":memory:")
        await client.create_collection("all", **_fields(models))
        await client.upsert("all", _points(models))
        found = await client.query_points("all", models.Document(text=QUESTION, model=DENSE), using="dense", limit=2)
        stored = _stored(await client.retrieve("all", range(len(TEXTS)), with_vectors=True))
        return [stored, [[point.id, point.score] for point in found.points]]

    return asyncio.run(use())


def qdrant_image() -> Any:
    """``models.Image``."""
    from PIL import Image
    from qdrant_client import QdrantClient, models

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for shade in (20, 120, 220):
            paths.append(str(Path(folder) / f"{shade}.png"))
            Image.new("RGB", (40, 30), (shade, 255 - shade, 90)).save(paths[-1])
        client = QdrantClient(":memory:")
        embedder: Any = client._model_embedder.embedder
        size = len(embedder.embed(IMAGE, images=paths[:1])[0])
        client.create_collection("all", models.VectorParams(size=size, distance=models.Distance.DOT))
        points = [
            models.PointStruct(id=number, vector=models.Image(image=path, model=IMAGE))
            for number, path in enumerate(paths)
        ]
        client.upsert("all", points)
        return dense(record.vector for record in client.retrieve("all", [0, 1, 2], with_vectors=True))  # type: ignore[misc]


def qdrant_parallel() -> Any:
    """Two processes."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:", local_inference_batch_size=2)
    client.create_collection("all", models.VectorParams(size=384, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=number, vector=models.Document(text=text, model=DENSE))
        for number, text in enumerate(TEXTS)
    ]
    client.upload_points("all", points, parallel=2)
    return dense(record.vector for record in client.retrieve("all", range(len(TEXTS)), with_vectors=True))  # type: ignore[misc]


def qdrant_add() -> Any:
    """``add`` and ``query``, which qdrant-client has up to 1.16."""
    from qdrant_client import QdrantClient

    client: Any = QdrantClient(":memory:")
    if not hasattr(client, "add"):
        return "not in this version"
    client.set_sparse_model(BM25)
    client.add("notes", documents=TEXTS, ids=list(range(len(TEXTS))), parallel=2, batch_size=2)
    return [[found.id, found.document, found.score] for found in client.query("notes", query_text=QUESTION, limit=2)]


def qdrant_add_asynchronous() -> Any:
    """The same with the asynchronous client."""
    from qdrant_client import AsyncQdrantClient

    async def use() -> Any:
        client: Any = AsyncQdrantClient(":memory:")
        if not hasattr(client, "add"):
            return "not in this version"
        await client.add("notes", documents=TEXTS, ids=list(range(len(TEXTS))))
        return [[found.id, found.score] for found in await client.query("notes", query_text=QUESTION, limit=2)]

    return asyncio.run(use())


def haystack_embedders() -> Any:
    """Haystack's four embedders."""
    from haystack import Document
    from haystack_integrations.components.embedders.fastembed import (
        FastembedDocumentEmbedder,
        FastembedSparseDocumentEmbedder,
        FastembedSparseTextEmbedder,
        FastembedTextEmbedder,
    )

    def warm(component: Any) -> Any:
        component.warm_up()
        return component

    documents = [Document(content=text) for text in TEXTS]
    text = warm(FastembedTextEmbedder(model=DENSE)).run(text=QUESTION)["embedding"]
    both = warm(FastembedDocumentEmbedder(model=DENSE, parallel=0, progress_bar=False)).run(documents=documents)
    question = warm(FastembedSparseTextEmbedder(model=BM25)).run(text=QUESTION)["sparse_embedding"]
    terms = warm(FastembedSparseDocumentEmbedder(model=SPLADE, progress_bar=False)).run(documents=documents)
    return [
        dense([text]),
        dense(document.embedding for document in both["documents"]),
        sparse([question]),
        sparse(document.sparse_embedding for document in terms["documents"]),
    ]


def haystack_rankers() -> Any:
    """Haystack's two rankers."""
    from haystack import Document
    from haystack_integrations.components.rankers.fastembed import FastembedLateInteractionRanker, FastembedRanker

    documents = [Document(content=text) for text in TEXTS]
    found = []
    for ranker in (FastembedRanker(model_name=RANKER), FastembedLateInteractionRanker(model_name=COLBERT)):
        ranker.warm_up()
        ranked = ranker.run(query=QUESTION, documents=documents)["documents"]
        found.append([[document.content, document.score] for document in ranked])
    return found


def langchain_sparse() -> Any:
    """langchain-qdrant's sparse vectors."""
    from langchain_qdrant import FastEmbedSparse

    found = []
    for name in (BM25, SPLADE):
        model = FastEmbedSparse(model_name=name, batch_size=2, parallel=None)
        asked = [model.embed_query(QUESTION), asyncio.run(model.aembed_query(QUESTION))]
        found.append(sparse([*model.embed_documents(TEXTS), *asyncio.run(model.aembed_documents(TEXTS)), *asked]))
    return found


def langchain_hybrid() -> Any:
    """langchain-qdrant's store in hybrid mode, over langchain-community's dense class."""
    from langchain_community.embeddings import FastEmbedEmbeddings
    from langchain_qdrant import FastEmbedSparse, QdrantVectorStore, RetrievalMode

    store = QdrantVectorStore.from_texts(
        TEXTS,
        embedding=FastEmbedEmbeddings(model_name=DENSE),
        sparse_embedding=FastEmbedSparse(model_name=BM25),
        retrieval_mode=RetrievalMode.HYBRID,
        location=":memory:",
        collection_name="test",
    )
    return [[document.page_content, score] for document, score in store.similarity_search_with_score(QUESTION, k=2)]


def langchain_community_class() -> Any:
    """langchain-community's class, with its default ``max_length``."""
    from langchain_community.embeddings import FastEmbedEmbeddings

    found = []
    for kind in ("default", "passage"):
        model = FastEmbedEmbeddings(model_name=DENSE, doc_embed_type=kind, threads=1)
        found.append(
            dense([*model.embed_documents(TEXTS), model.embed_query(QUESTION), asyncio.run(model.aembed_query("x"))])
        )
    return found


def llama_index_dense() -> Any:
    """LlamaIndex's dense class."""
    from llama_index.embeddings.fastembed import FastEmbedEmbedding

    model = FastEmbedEmbedding(model_name=DENSE, doc_embed_type="passage")
    asked = [model.get_query_embedding(QUESTION), asyncio.run(model.aget_query_embedding(QUESTION))]
    return dense([*model.get_text_embedding_batch(TEXTS), *asked])


def llama_index_sparse() -> Any:
    """LlamaIndex's sparse class, with its default ``max_length``."""
    from llama_index.sparse_embeddings.fastembed import FastEmbedSparseEmbedding

    model = FastEmbedSparseEmbedding(model_name=SPLADE)
    asked = [model.get_query_embedding(QUESTION), asyncio.run(model.aget_query_embedding(QUESTION))]
    return sparse([*model.get_text_embedding_batch(TEXTS), *asked])


def chroma_functions() -> Any:
    """Chroma's two functions."""
    from chromadb.utils.embedding_functions import Bm25EmbeddingFunction, FastembedSparseEmbeddingFunction

    found = []
    for name in (BM25, SPLADE):
        for task in ("document", "query"):
            found.append(sparse(FastembedSparseEmbeddingFunction(name, task=task)(TEXTS)))
    found.append(sparse(Bm25EmbeddingFunction(avg_len=10.0, k=1.5, language="english")(TEXTS)))
    found.append(sparse(Bm25EmbeddingFunction(query_config={"task": "query"}).embed_query([QUESTION])))
    return found


def mem0_embedder() -> Any:
    """mem0's embedder, and the encoder of its Qdrant store."""
    from mem0.configs.embeddings.base import BaseEmbedderConfig
    from mem0.embeddings.fastembed import FastEmbedEmbedding
    from mem0.vector_stores.qdrant import Qdrant
    from qdrant_client import QdrantClient

    model = FastEmbedEmbedding(BaseEmbedderConfig(model=DENSE))
    store = Qdrant(f"memories-{uuid.uuid4()}", 384, client=QdrantClient(":memory:"))
    encoder: Any = store._get_bm25_encoder()
    return [dense(model.embed(text) for text in TEXTS), model.config.embedding_dims, sparse(encoder.embed(TEXTS))]


def datapizza_embedder() -> Any:
    """datapizza's embedder."""
    from datapizza.embedders.fastembedder import FastEmbedder

    embedder = FastEmbedder(BM25)
    return sparse([*embedder.embed(TEXTS), embedder.embed(QUESTION), *asyncio.run(embedder.a_embed(TEXTS))])


CHECKS: tuple[Callable[[], Any], ...] = (
    *(qdrant_documents, qdrant_asynchronous, qdrant_image, qdrant_parallel, qdrant_add, qdrant_add_asynchronous),
    *(haystack_embedders, haystack_rankers, langchain_sparse, langchain_hybrid, langchain_community_class),
    *(llama_index_dense, llama_index_sparse, chroma_functions, mem0_embedder, datapizza_embedder),
)


def run(target: Path) -> int:
    """Run every check, and write what each gives.

    Args:
        target: The file of results.

    Returns:
        The exit status, 1 where a check raised.
    """
    warnings.simplefilter("ignore")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found: dict[str, Any] = {}
    failed = False
    for check in CHECKS:
        try:
            found[check.__name__] = {"gives": check()}
        except Exception as error:  # each check stands for itself
            traceback.print_exc()
            found[check.__name__] = {"raises": f"{type(error).__name__}: {error}"}
            failed = True
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    target.write_text(json.dumps({"versions": versions, "checks": found}), encoding="utf-8")
    return int(failed)


def distance(ours: Any, control: Any) -> float:
    """The largest difference of two results of one shape; infinite where their shapes or texts differ."""
    if isinstance(ours, list) and isinstance(control, list) and len(ours) == len(control):
        return max((distance(mine, theirs) for mine, theirs in zip(ours, control, strict=True)), default=0.0)
    numbers = (int, float)
    if isinstance(ours, numbers) and isinstance(control, numbers):
        return abs(float(ours) - float(control))
    return 0.0 if ours == control else float("inf")


def compare(ours: Path, control: Path) -> int:
    """Say of each check how far the two are from one another.

    Args:
        ours: The results over the stand-in.
        control: Those over the real fastembed.

    Returns:
        The exit status, 1 where one raised or differs.
    """
    mine, theirs = (json.loads(path.read_text(encoding="utf-8")) for path in (ours, control))
    for package in PACKAGES:
        sys.stdout.write(f"{package}: {mine['versions'][package]}, control {theirs['versions'][package]}\n")
    wrong = False
    for name, result in mine["checks"].items():
        other = theirs["checks"][name]
        if "gives" in result and "gives" in other:
            far = distance(result["gives"], other["gives"])
            verdict = f"largest difference {far:.2g}"
            wrong |= far > BOUND
        elif "gives" in result:
            verdict = f"works; the control raises {other['raises'][:200]}"
        else:
            verdict = f"RAISES {result['raises'][:300]}; control: {other.get('raises', 'works')[:100]}"
            wrong = True
        sys.stdout.write(f"{name}: {verdict}\n")
    return int(wrong)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        sys.exit(run(Path(sys.argv[2])))
    sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))

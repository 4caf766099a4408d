"""The shortest use of all that is installed, with real weights; run by `check_packages.py`."""

from __future__ import annotations

import importlib
from importlib.metadata import distribution

import numpy as np
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_onnxembed import OnnxEmbeddings
from llama_index.embeddings.onnxembed import OnnxEmbedding
from onnxembed import SparseTextEmbedding, TextEmbedding

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = ["Paris is in France.", "Bern is in Switzerland."]
QUESTION = "Which town is Swiss?"

vectors = TextEmbedding(MODEL).embed_to_array(TEXTS)
if vectors.shape != (2, 384) or not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5):
    raise SystemExit(f"expected two vectors of length 1, got {vectors.shape}")
store = InMemoryVectorStore(embedding=OnnxEmbeddings(model=MODEL))
store.add_texts(TEXTS)
found = store.similarity_search(QUESTION, k=1)[0].page_content
if found != TEXTS[1]:
    raise SystemExit(f"LangChain found {found!r}")
embedding = OnnxEmbedding(model_name=MODEL)
scores = np.array(embedding.get_text_embedding_batch(TEXTS)) @ np.array(embedding.get_query_embedding(QUESTION))
if scores.argmax() != 1 or not np.allclose(embedding.get_text_embedding(TEXTS[0]), vectors[0], atol=1e-5):
    raise SystemExit(f"LlamaIndex scored {scores}")
if not next(iter(SparseTextEmbedding("Qdrant/bm25").embed(TEXTS))).indices.size:
    raise SystemExit("BM25 found no word")
for module in ("postprocessor.onnxembed_rerank", "retrievers.onnxembed", "sparse_embeddings.onnxembed"):
    importlib.import_module(f"llama_index.{module}")
print(
    *(f"{name} {distribution(name).version}" for name in ("onnxembed", "langchain-onnxembed", "llama-index-onnxembed"))
)

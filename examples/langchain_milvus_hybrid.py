"""LangChain: hybrid search in Milvus, here in a file of Milvus Lite.

``pip install "langchain-onnxembed[milvus]" milvus-lite``. Milvus multiplies sparse vectors as they are, so BM25 brings
the rarity of words with the query: `statistics` measured of the documents, and `idf_in_query=True`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from langchain_core.documents import Document
from langchain_milvus import Milvus

from langchain_onnxembed import OnnxEmbeddings, OnnxMilvusSparse
from onnxembed import SparseTextEmbedding

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    "A bicycle has two wheels and is moved by pedals.",
    "Bread is baked from flour, water and yeast.",
    "Model XR-7000 fits the wheels of most bicycles; its pedals do not.",
    "Yeast dies when the water is hotter than sixty degrees.",
]


def run(folder: Path) -> list[str]:
    """Ask with a word of meaning and a part number.

    Args:
        folder: Where the file of Milvus Lite is written.

    Returns:
        The texts found, best first.
    """
    statistics = SparseTextEmbedding("Qdrant/bm25").fit(TEXTS).statistics
    sparse = OnnxMilvusSparse(statistics=statistics, idf_in_query=True)
    store = Milvus.from_documents(
        [Document(text) for text in TEXTS],
        embedding=[OnnxEmbeddings(model=MODEL), sparse],
        vector_field=["dense", "sparse"],
        # Of the dense vectors, then of the sparse ones.
        index_params=[{"index_type": "FLAT", "metric_type": "COSINE", "params": {}}, sparse.index_params()],
        search_params=[{"metric_type": "COSINE", "params": {}}, sparse.search_params()],
        connection_args={"uri": str(folder / "milvus.db")},
    )
    # Both lists 100 deep, fused by reciprocal ranks with the constant 60.
    found = store.similarity_search("XR-7000", k=2, fetch_k=100, ranker_type="rrf", ranker_params={"k": 60})
    return [hit.page_content for hit in found]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*run(Path(folder)), sep="\n")

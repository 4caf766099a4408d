"""Sparse vectors for Milvus. Its package is heavy, so the interface that it checks for is stood in for here."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from onnxembed import SparseTextEmbedding
from tests.fixtures.passages import PASSAGES


@pytest.fixture
def milvus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    class BaseSparseEmbedding(ABC):
        @abstractmethod
        def embed_query(self, query: str) -> dict[int, float]: ...

        @abstractmethod
        def embed_documents(self, texts: list[str]) -> list[dict[int, float]]: ...

    interface = ModuleType("langchain_milvus.utils.sparse")
    interface.BaseSparseEmbedding = BaseSparseEmbedding  # type: ignore[attr-defined]
    for name in ("langchain_milvus", "langchain_milvus.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    monkeypatch.delitem(sys.modules, "langchain_onnxembed.milvus", raising=False)
    import langchain_onnxembed.milvus as module

    yield module
    del sys.modules["langchain_onnxembed.milvus"]


async def test_dictionaries_of_the_cores_values(milvus: Any) -> None:
    measured = SparseTextEmbedding("Qdrant/bm25").fit(PASSAGES).statistics
    sparse = milvus.OnnxMilvusSparse(statistics=measured, idf_in_query=True)
    assert isinstance(sparse, milvus.BaseSparseEmbedding)
    core = SparseTextEmbedding("Qdrant/bm25", statistics=measured, idf_in_query=True)
    expected = [vector.as_dict() for vector in core.passage_embed(PASSAGES)]
    assert sparse.embed_documents(PASSAGES) == await sparse.aembed_documents(PASSAGES) == expected
    query = next(core.query_embed("violin wheels")).as_dict()
    assert sparse.embed_query("violin wheels") == await sparse.aembed_query("violin wheels") == query
    assert len(set(query.values())) == 2  # the rarer word weighs more


def test_parameters_that_drop_no_weights(milvus: Any) -> None:
    sparse = milvus.OnnxMilvusSparse()
    assert sparse.index_params() == {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP", "params": {}}
    assert sparse.search_params() == {"metric_type": "IP", "params": {}}


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_milvus", None)
    monkeypatch.delitem(sys.modules, "langchain_onnxembed.milvus", raising=False)
    with pytest.raises(ImportError, match=r'pip install "langchain-onnxembed\[milvus\]"'):
        import langchain_onnxembed.milvus  # noqa: F401

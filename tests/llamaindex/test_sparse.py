"""Sparse vectors through LlamaIndex: their values, the sides, events, and hybrid search in Qdrant."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import sys
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.embedding import SparseEmbeddingEndEvent
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from llama_index_instrumentation import get_dispatcher
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import SparseTextEmbedding
from onnxembed.errors import InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

# Local collections tell that they search without the index that the store asks for.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

RENAMED = {"cuda": "device", "specific_model_path": "model_path"}
OWN = {"batch_size", "parallel", "embed_batch_size", "num_workers"}


def core() -> SparseTextEmbedding:
    return SparseTextEmbedding("Qdrant/bm25")


def test_fields_are_the_cores_options() -> None:
    options = set(inspect.signature(SparseTextEmbedding.__init__).parameters) - {"self"}
    assert set(OnnxSparseEmbedding.model_fields) == {RENAMED.get(name, name) for name in options} | OWN


async def test_values_are_the_cores_to_the_last_bit() -> None:
    sparse = OnnxSparseEmbedding()
    expected = [vector.as_dict() for vector in core().passage_embed(PASSAGES)]
    assert sparse.get_text_embedding_batch(PASSAGES) == expected
    assert await sparse.aget_text_embedding_batch(PASSAGES) == expected
    assert sparse.get_text_embedding(PASSAGES[0]) == await sparse.aget_text_embedding(PASSAGES[0]) == expected[0]
    query = next(core().query_embed(PASSAGES[0])).as_dict()
    assert query != expected[0]
    assert sparse.get_query_embedding(PASSAGES[0]) == await sparse.aget_query_embedding(PASSAGES[0]) == query
    assert sparse.similarity(query, query) == pytest.approx(1.0)


async def test_windows_are_those_of_the_framework() -> None:
    sparse = OnnxSparseEmbedding(embed_batch_size=4, num_workers=2)
    expected = [vector.as_dict() for vector in core().passage_embed(PASSAGES)]
    assert sparse.get_text_embedding_batch(PASSAGES) == await sparse.aget_text_embedding_batch(PASSAGES) == expected
    assert sparse.get_text_embedding_batch([]) == await sparse.aget_text_embedding_batch([]) == []


async def test_the_event_loop_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    work = SparseTextEmbedding.query_embed

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.3)
        return work(*args, **kwargs)

    monkeypatch.setattr(SparseTextEmbedding, "query_embed", slow)
    task = asyncio.create_task(OnnxSparseEmbedding().aget_query_embedding("a word"))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10


def test_events_tell_texts_and_vectors() -> None:
    seen: list[Any] = []

    class Handler(BaseEventHandler):
        def handle(self, event: Any, **kwargs: Any) -> None:
            seen.append(event)

    handler = Handler()
    get_dispatcher().add_event_handler(handler)
    try:
        OnnxSparseEmbedding().get_text_embedding_batch(PASSAGES[:2])
    finally:
        get_dispatcher().event_handlers.remove(handler)
    assert [type(event).__name__ for event in seen] == ["SparseEmbeddingStartEvent", "SparseEmbeddingEndEvent"]
    assert isinstance(seen[1], SparseEmbeddingEndEvent)
    assert seen[1].chunks == PASSAGES[:2]
    assert seen[1].embeddings == [vector.as_dict() for vector in core().passage_embed(PASSAGES[:2])]
    assert seen[0].model_dict["class_name"] == "OnnxSparseEmbedding"


def test_encoders_have_sides_and_travel() -> None:
    sparse = OnnxSparseEmbedding()
    vectors = list(core().passage_embed(PASSAGES))
    expected = [v.indices.tolist() for v in vectors], [v.values.tolist() for v in vectors]
    for encoder in (sparse.doc_encoder(), pickle.loads(pickle.dumps(sparse.doc_encoder()))):
        assert encoder(PASSAGES) == expected
    indices, values = sparse.query_encoder()(["violins", "the"])
    assert (len(indices[0]), values) == (1, [[1.0], []])
    document, query = sparse.doc_encoder().embedding, sparse.query_encoder().embedding
    assert isinstance(document, OnnxSparseEmbedding)
    assert isinstance(query, OnnxSparseEmbedding)
    assert document.engine is query.engine


def nodes() -> list[TextNode]:
    return [TextNode(text=text, id_=f"00000000-0000-0000-0000-{number:012}") for number, text in enumerate(PASSAGES)]


def open_store(**clients: Any) -> QdrantVectorStore:
    return QdrantVectorStore("test", **clients, **OnnxSparseEmbedding().qdrant_kwargs())


def test_the_collection_counts_idf() -> None:
    client = QdrantClient(":memory:")
    context = StorageContext.from_defaults(vector_store=open_store(client=client))
    VectorStoreIndex(nodes(), storage_context=context, embed_model=OnnxEmbedding(model_name=REAL_MODEL))
    (params,) = (client.get_collection("test").config.params.sparse_vectors or {}).values()
    assert params.modifier is models.Modifier.IDF


QUESTION = "XR-7000 bread ingredients"


def fused(dense: dict[str, float], sparse: dict[str, float], top_k: int) -> list[str]:
    """LlamaIndex's relative score fusion: each side scaled to 0..1, then half and half."""

    def scaled(scores: dict[str, float]) -> dict[str, float]:
        low, high = min(scores.values()), max(scores.values())
        return {text: (score - low) / (high - low) if high > low else 1.0 for text, score in scores.items()}

    left, right = scaled(dense), scaled(sparse)
    total = {text: 0.5 * left.get(text, 0.0) + 0.5 * right.get(text, 0.0) for text in {*left, *right}}
    return sorted(total, key=lambda text: -total[text])[:top_k]


async def test_hybrid_search_fuses_both_rankings() -> None:
    context = StorageContext.from_defaults(vector_store=open_store(client=QdrantClient(":memory:")))
    index = VectorStoreIndex(nodes(), storage_context=context, embed_model=OnnxEmbedding(model_name=REAL_MODEL))

    def scores(mode: str) -> dict[str, float]:
        retriever = index.as_retriever(vector_store_query_mode=mode, similarity_top_k=6, sparse_top_k=6, hybrid_top_k=6)
        return {hit.text: hit.score or 0.0 for hit in retriever.retrieve(QUESTION)}

    dense, sparse = scores("default"), scores("sparse")
    assert set(sparse) == {PASSAGES[1], PASSAGES[4]}
    assert list(scores("hybrid"))[:3] == fused(dense, sparse, 6)[:3]
    engine = index.as_query_engine(
        llm=MockLLM(), vector_store_query_mode="hybrid", similarity_top_k=6, sparse_top_k=6, hybrid_top_k=2
    )
    expected = fused(dense, sparse, 2)
    assert [node.text for node in engine.query(QUESTION).source_nodes] == expected


async def test_hybrid_search_without_blocking_calls() -> None:
    context = StorageContext.from_defaults(vector_store=open_store(aclient=AsyncQdrantClient(":memory:")))
    index = VectorStoreIndex(
        [], storage_context=context, embed_model=OnnxEmbedding(model_name=REAL_MODEL), use_async=False
    )
    await index.ainsert_nodes(nodes())
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=6, sparse_top_k=6, hybrid_top_k=3)
    there = await retriever.aretrieve(QUESTION)
    assert {hit.text for hit in there[:2]} == {PASSAGES[1], PASSAGES[4]}


def test_empty_texts_are_accepted_by_the_store() -> None:
    context = StorageContext.from_defaults(vector_store=open_store(client=QdrantClient(":memory:")))
    texts = [TextNode(text="the"), TextNode(text="..."), *nodes()]
    index = VectorStoreIndex(texts, storage_context=context, embed_model=OnnxEmbedding(model_name=REAL_MODEL))
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=2, sparse_top_k=2)
    assert retriever.retrieve("violin")[0].text == PASSAGES[3]
    assert retriever.retrieve("the of")


def test_settings_travel() -> None:
    sparse = OnnxSparseEmbedding(language="german", k=1.5, stopwords=["der"])
    data = json.loads(json.dumps(sparse.to_dict()))
    assert data["class_name"] == "OnnxSparseEmbedding"
    again = OnnxSparseEmbedding.from_dict(data)
    assert again == sparse
    assert again.to_dict() == sparse.to_dict()
    there = pickle.loads(pickle.dumps(sparse))
    assert there == sparse
    assert there.get_text_embedding("Häuser") == sparse.get_text_embedding("Häuser")
    shared = OnnxSparseEmbedding.from_engine(sparse.engine)
    assert shared.engine is sparse.engine
    assert (shared.language, shared.k) == ("german", 1.5)


def test_class_hierarchy() -> None:
    assert BaseSparseEmbedding in OnnxSparseEmbedding.__mro__
    assert OnnxSparseEmbedding.class_name() == "OnnxSparseEmbedding"


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"has no argument 'model'; here it is called 'model_name'"):
        OnnxSparseEmbedding(model="Qdrant/bm25")  # type: ignore[call-arg]  # a wrong name, on purpose
    with pytest.raises(ValueError, match="Did you mean 'german'"):
        OnnxSparseEmbedding(language="germam")
    with pytest.raises(InputTypeError, match=r"was given a str, expected a list of str"):
        OnnxSparseEmbedding().get_text_embedding_batch("one text")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match=r"text 1 is an int"):
        OnnxSparseEmbedding().get_text_embedding_batch(["one", 2])  # type: ignore[list-item]


def test_without_the_qdrant_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_client.models", None)
    with pytest.raises(ImportError, match="pip install llama-index-vector-stores-qdrant"):
        OnnxSparseEmbedding().sparse_config()

"""MUVERA vectors through LlamaIndex: their values, the sides, and an index whose hits MaxSim sorts again."""

from __future__ import annotations

import inspect
import json
import pickle
from typing import Any

import numpy as np
import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.models import Distance, VectorParams

from llama_index.embeddings.onnxembed import OnnxMuveraEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank
from onnxembed import LateInteractionTextEmbedding, Muvera, maxsim_top_k
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.passages import PASSAGES
from tests.fixtures.text_models import REAL_MODEL

# Local collections tell that they search without the index that the store asks for.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

RENAMED = {"cuda": "device", "specific_model_path": "model_path"}
QUERIES = ["What is baked from flour?", "How many strings has a violin?", "bicycles", "hot water"]


def make(**options: Any) -> OnnxMuveraEmbedding:
    return OnnxMuveraEmbedding(model_name=REAL_MODEL, dense=True, **options)


def test_fields_are_the_cores_options() -> None:
    core = set(inspect.signature(LateInteractionTextEmbedding.__init__).parameters) - {"self"}
    encoder = set(inspect.signature(Muvera).parameters) - {"dim"}
    own = {"batch_size", "parallel", *BaseEmbedding.model_fields}
    assert set(OnnxMuveraEmbedding.model_fields) == {RENAMED.get(name, name) for name in core} | encoder | own
    assert BaseEmbedding in OnnxMuveraEmbedding.__mro__
    assert OnnxMuveraEmbedding.class_name() == "OnnxMuveraEmbedding"


async def test_values_are_the_cores() -> None:
    muvera = make(k_sim=3, dim_proj=8, r_reps=4, random_seed=7)
    core = LateInteractionTextEmbedding(REAL_MODEL, dense=True)
    encoder = Muvera(384, 3, 8, 4, 7)
    expected = [encoder.process_document(matrix).tolist() for matrix in core.passage_embed(PASSAGES)]
    vectors = muvera.get_text_embedding_batch(PASSAGES)
    assert np.allclose(vectors, expected, atol=1e-6)
    assert vectors == await muvera.aget_text_embedding_batch(PASSAGES)
    text = muvera.get_text_embedding(PASSAGES[0])
    assert text == await muvera.aget_text_embedding(PASSAGES[0]) == pytest.approx(expected[0], abs=1e-6)
    query = muvera.get_query_embedding(PASSAGES[0])
    assert query == encoder.process_query(next(core.query_embed(PASSAGES[0]))).tolist()
    assert query == await muvera.aget_query_embedding(PASSAGES[0])
    assert query != text
    assert muvera.dimension == len(query) == 4 * 2**3 * 8
    assert muvera.to_payload()["dimension"] == 256


async def test_nothing_to_embed() -> None:
    away = OnnxMuveraEmbedding(cache_dir="/nonexistent", local_files_only=True)
    assert away.get_text_embedding_batch([]) == await away.aget_text_embedding_batch([]) == []
    assert away.dimension == 20 * 2**5 * 16
    assert not any(make(skip_special_tokens=True).get_text_embedding(""))
    assert not any(make(skip_special_tokens=True).get_query_embedding(""))


async def test_an_index_and_maxsim_after_it_find_what_exact_search_finds() -> None:
    muvera = make()
    reranker = OnnxLateInteractionRerank(model=REAL_MODEL, dense=True, top_n=2)
    config = VectorParams(size=muvera.dimension, distance=Distance.DOT)
    nodes = [TextNode(text=text, id_=f"00000000-0000-0000-0000-{n:012}") for n, text in enumerate(PASSAGES)]
    engines = []
    for clients in ({"client": QdrantClient(":memory:")}, {"aclient": AsyncQdrantClient(":memory:")}):
        store = QdrantVectorStore("test", **clients, dense_config=config)
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex([], storage_context=context, embed_model=muvera)
        await index.ainsert_nodes(nodes) if "aclient" in clients else index.insert_nodes(nodes)
        engines.append(index.as_query_engine(llm=MockLLM(), similarity_top_k=4, node_postprocessors=[reranker]))
    core = LateInteractionTextEmbedding(REAL_MODEL, dense=True)
    passages = list(core.passage_embed(PASSAGES))
    for query in QUERIES:
        best, scores = maxsim_top_k(next(core.query_embed(query)), passages, 2)
        for answer in (engines[0].query(query), await engines[1].aquery(query)):
            assert [node.text for node in answer.source_nodes] == [PASSAGES[n] for n in best]
            assert [node.score for node in answer.source_nodes] == pytest.approx(scores.tolist(), abs=1e-4)


async def test_a_shared_cache_keeps_sides_and_settings_apart() -> None:
    cache = SimpleKVStore()
    plain, other = make(embeddings_cache=cache), make(embeddings_cache=cache, random_seed=1)
    text, query = plain.get_text_embedding("Paris"), plain.get_query_embedding("Paris")
    assert text == make().get_text_embedding("Paris")
    assert query == make().get_query_embedding("Paris")
    assert other.get_text_embedding("Paris") == make(random_seed=1).get_text_embedding("Paris") != text
    short = make(embeddings_cache=cache, max_length=3)
    assert short.get_text_embedding("Paris and Rome") != plain.get_text_embedding("Paris and Rome")
    assert await plain.aget_text_embedding("Paris") == text
    assert len(cache.to_dict()) == 4  # one collection for each side and setting


def test_settings_travel() -> None:
    muvera = make(k_sim=3, batch_size=8)
    data = json.loads(json.dumps(muvera.to_dict()))
    again = OnnxMuveraEmbedding.from_dict(data)
    assert again == muvera
    assert again != make()
    assert again.to_dict() == muvera.to_dict()
    there = pickle.loads(pickle.dumps(muvera))
    assert there == muvera
    assert there.get_query_embedding("violin") == muvera.get_query_embedding("violin")
    assert OnnxMuveraEmbedding.from_engine(muvera.engine).engine is muvera.engine


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"has no argument 'dimensions'; the length is r_reps \* 2 \*\* k_sim"):
        make(dimensions=128)
    with pytest.raises(ValueError, match="here it is called 'model_name'"):
        OnnxMuveraEmbedding(model=REAL_MODEL)  # type: ignore[call-arg]  # a wrong name, on purpose
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make(r_reps=0)
    with pytest.raises(InputError, match="dim_proj=385 is more than dim=384"):
        make(dim_proj=385).get_query_embedding("a")
    with pytest.raises(InputTypeError, match=r"was given a str, expected a list of str"):
        make().get_text_embedding_batch("one text")  # type: ignore[arg-type]

"""Arguments as fastembed's callers write them, and what they reach for."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tokenizers
from fastembed import LateInteractionTextEmbedding, SparseEmbedding, SparseTextEmbedding, TextEmbedding
from fastembed.common.model_description import BaseModelDescription, DenseModelDescription, ModelSource, PoolingType
from fastembed.common.types import Device
from fastembed.common.utils import iter_batch, last_token_pooling, mean_pooling, normalize
from fastembed.postprocess import Muvera
from fastembed.rerank.cross_encoder import TextCrossEncoder
from fastembed.rerank.cross_encoder.custom_text_cross_encoder import CustomTextCrossEncoder
from fastembed.sparse.bm25 import Bm25
from fastembed.sparse.splade_pp import SpladePP
from fastembed.text.custom_text_embedding import CustomTextEmbedding
from fastembed.text.multitask_embedding import JinaEmbeddingV3, Task
from fastembed.text.onnx_embedding import OnnxTextEmbedding
from fastembed.text.pooled_normalized_embedding import PooledNormalizedEmbedding

from tests.fixtures.dense_models import VARIANTS, variant, write_variant
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import contents
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.rerank_models import variant as reranker
from tests.fixtures.rerank_models import write_variant as write_reranker
from tests.fixtures.sparse_models import write_splade
from tests.fixtures.text_models import REAL_MODEL

__all__ = ["hub_server"]

TEXTS = ["hello world", "flag embedding", ""]


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr(CustomTextEmbedding, "SUPPORTED_MODELS", [])
    monkeypatch.setattr(CustomTextEmbedding, "POSTPROCESSING_MAPPING", {})
    monkeypatch.setattr(CustomTextCrossEncoder, "SUPPORTED_MODELS", [])


@pytest.fixture
def cls(tmp_path: Path) -> tuple[str, str]:
    """The name and the folder of a small model."""
    one = variant("cls")
    return one.model, str(write_variant(tmp_path / "cls", one))


def kinds(vector: SparseEmbedding) -> tuple[str, str]:
    return str(vector.values.dtype), str(vector.indices.dtype)


def first(model: TextEmbedding) -> np.ndarray:
    return np.stack(list(model.embed(TEXTS)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"cuda": None},
        {"cuda": False, "device_ids": [0]},
        {"cuda": "cpu"},
        {"cuda": Device.CPU, "threads": 0},
        {"threads": np.int64(1)},
        {"providers": []},
        {"providers": ("CPUExecutionProvider",), "device_ids": None},
        {"mmap": True, "nonsense": b"any"},
        {"max_length": 100_000},
        {"max_length": np.int32(512), "lazy_load": np.bool_(True)},
        {"local_files_only": None, "enable_cpu_mem_arena": False},
        {"providers": False, "cuda": None, "device_ids": True},
    ],
    ids=repr,
)
def test_constructors_take_what_fastembed_takes(arguments: dict[str, Any], cls: tuple[str, str]) -> None:
    name, folder = cls
    expected = first(TextEmbedding(name, specific_model_path=folder))
    assert np.array_equal(first(TextEmbedding(name, specific_model_path=folder, **arguments)), expected)


def test_unknown_keywords_are_named_in_the_log(cls: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onnxembed.fastembed"):
        TextEmbedding(cls[0], specific_model_path=cls[1], normalise=True, alpha=1)
    assert caplog.messages == [f"{cls[0]}: fastembed's classes know no alpha, normalise; passed over"]


def test_unavailable_providers_are_refused(cls: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="CUDAExecutionProvider"):
        TextEmbedding(cls[0], specific_model_path=cls[1], providers=["CUDAExecutionProvider"])


def test_calls_take_numbers_of_numpy(cls: tuple[str, str]) -> None:
    model = TextEmbedding(cls[0], specific_model_path=cls[1])
    expected = first(model)
    vectors = model.embed(np.array(TEXTS), batch_size=np.int64(2), parallel=np.int16(2), unknown=1)
    assert np.allclose(np.stack(list(vectors)), expected, atol=1e-6)
    for ask in (model.query_embed, model.passage_embed):
        assert np.allclose(np.stack(list(ask(TEXTS, batch_size=np.uint8(1), parallel=0))), expected, atol=1e-6)
    assert model.token_count(TEXTS, batch_size=np.int64(1)) == model.token_count(TEXTS)
    (vector,) = model.embed("hello world")
    vector[0] = 7  # it is the caller's


def test_methods_are_generators_whose_errors_come_at_the_first_step(cls: tuple[str, str]) -> None:
    model = TextEmbedding(cls[0], specific_model_path=cls[1])
    for call in (model.embed, model.query_embed, model.passage_embed):
        assert inspect.isgenerator(call([1]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        next(iter(model.embed(TEXTS, batch_size=0)))
    with pytest.raises(TypeError):
        next(iter(model.embed([None])))  # type: ignore[list-item]
    assert list(model.embed([])) == []


def test_attributes_inside(cls: tuple[str, str]) -> None:
    name, folder = cls
    model = TextEmbedding(name.lower(), specific_model_path=folder)
    assert isinstance(model.model, OnnxTextEmbedding)
    assert isinstance(model.model.model, onnxruntime.InferenceSession)
    assert isinstance(model.model.tokenizer, tokenizers.Tokenizer)
    assert model.model._model_dir == Path(folder)
    assert (model.model_name, model.threads) == (name.lower(), None)
    masks = [encoding.attention_mask for encoding in model.model.tokenizer.encode_batch(TEXTS)]
    assert len({len(mask) for mask in masks}) == 1
    assert sum(map(sum, masks)) == model.token_count(TEXTS)
    before = first(model)
    model.model.tokenizer.no_truncation()
    model.model.tokenizer.enable_truncation(2)
    assert np.array_equal(first(model), before)
    assert model.model.model.get_session_options().enable_cpu_mem_arena is True
    other = TextEmbedding(name, specific_model_path=folder, enable_cpu_mem_arena=False)
    assert other.model.model.get_session_options().enable_cpu_mem_arena is False


def test_lazy_models_have_no_session_before_the_first_use(cls: tuple[str, str]) -> None:
    first(TextEmbedding(cls[0], specific_model_path=cls[1]))  # the same weights, in use
    for name in ("embed", "query_embed", "passage_embed"):
        model = TextEmbedding(cls[0], specific_model_path=cls[1], lazy_load=True)
        assert not hasattr(model.model, "model")
        list(getattr(model, name)(TEXTS))
        assert hasattr(model.model, "model")


def test_loading_by_hand(cls: tuple[str, str]) -> None:
    model = TextEmbedding(cls[0], specific_model_path=cls[1], lazy_load=True)
    model.model.load_onnx_model()
    assert hasattr(model.model, "model")


def test_tables_have_no_session(tmp_path: Path) -> None:
    one = next(one for one in VARIANTS if one.static)
    model = TextEmbedding(one.model, specific_model_path=str(write_variant(tmp_path / "table", one)), mmap=True)
    assert first(model).shape[0] == 3
    assert not hasattr(model.model, "model")
    assert isinstance(model.model.tokenizer, tokenizers.Tokenizer)


def test_token_limit_is_that_of_tokenizer_config(tmp_path: Path) -> None:
    long = "one two three four five " * 200
    model = TextEmbedding(REAL_MODEL)  # its package states 256 for sentence-transformers, and 512
    assert model.token_count(long) == 512
    assert TextEmbedding(REAL_MODEL, max_length=100).token_count(long) == 100
    assert TextEmbedding(REAL_MODEL, max_length=100_000, lazy_load=True).token_count(long) == 512
    assert isinstance(model.model, PooledNormalizedEmbedding)
    assert model.embedding_size == 384


def test_no_prompt_is_put_before_a_text(tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "model", variant("cls"))
    model = TextEmbedding("mixedbread-ai/mxbai-embed-large-v1", specific_model_path=str(folder))
    assert np.array_equal(next(iter(model.query_embed("hello"))), next(iter(model.embed("hello"))))


def test_models_with_tasks(tmp_path: Path) -> None:
    one = next(one for one in VARIANTS if one.sides)
    folder = str(write_variant(tmp_path / "model", one))
    model = TextEmbedding(one.model, specific_model_path=folder)
    assert isinstance(model.model, JinaEmbeddingV3)
    default = first(model)
    assert np.array_equal(np.stack(list(model.embed(TEXTS, task_id=Task.RETRIEVAL_PASSAGE))), default)
    matching = np.stack(list(model.embed(TEXTS, task_id=np.int64(4))))
    assert not np.allclose(matching, default)
    other = TextEmbedding(one.model, specific_model_path=folder, task_id=Task.TEXT_MATCHING)
    assert np.array_equal(first(other), matching)


def custom(folder: Path, name: str = "someone/mine") -> DenseModelDescription:
    one = variant("custom_mean")
    write_variant(folder, one)
    assert one.custom is not None
    TextEmbedding.add_custom_model(
        name,
        PoolingType(one.custom.pooling),
        one.custom.normalize,
        ModelSource(hf=name),
        16,
        model_file=one.model_file,
        size_in_gb=0.1,
    )
    return TextEmbedding._list_supported_models()[-1]


def test_custom_models(tmp_path: Path) -> None:
    described = custom(tmp_path / "mine")
    assert described == CustomTextEmbedding.SUPPORTED_MODELS[0]
    assert TextEmbedding.get_embedding_size("SomeOne/Mine") == 16
    with pytest.raises(ValueError, match="Model Someone/MINE is already registered in TextEmbedding"):
        custom(tmp_path / "again", "Someone/MINE")
    taken = "sentence-transformers/all-MiniLM-L6-v2"
    with pytest.raises(ValueError, match=f"Model {taken} is already registered in TextEmbedding"):
        custom(tmp_path / "taken", taken)
    model = TextEmbedding("someone/mine", specific_model_path=str(tmp_path / "mine"))
    assert first(model).shape == (3, 16)
    CustomTextEmbedding.SUPPORTED_MODELS.clear()
    with pytest.raises(ValueError, match="is not supported in TextEmbedding"):
        TextEmbedding("someone/mine")


def test_custom_cross_encoders(tmp_path: Path) -> None:
    one = reranker("minilm_6")
    folder = write_reranker(tmp_path / "model", one)
    TextCrossEncoder.add_custom_model("someone/ranker", ModelSource(hf="someone/ranker"), one.model_file)
    assert TextCrossEncoder._list_supported_models()[-1] == BaseModelDescription(
        "someone/ranker", ModelSource(hf="someone/ranker"), one.model_file, "", "", 0.0
    )
    with pytest.raises(ValueError, match="Model someone/ranker is already registered in CrossEncoderModel"):
        TextCrossEncoder.add_custom_model("someone/ranker", ModelSource(hf="someone/ranker"))
    model = TextCrossEncoder("someone/ranker", specific_model_path=str(folder))
    scores = list(model.rerank("hello", ["hello world", "flag"], batch_size=np.int64(1), parallel=None))
    assert all(type(score) is float for score in scores)
    pairs = [("hello", "hello world"), ("hello", "flag")]
    assert np.allclose(list(model.rerank_pairs(pairs, parallel=2)), scores)
    assert model.token_count(pairs) > 0


def test_a_source_is_needed() -> None:
    with pytest.raises(ValueError, match="source"):
        ModelSource()
    assert ModelSource(hf="a/b", _deprecated_tar_struct=True).deprecated_tar_struct
    with pytest.raises(AssertionError):
        DenseModelDescription("a", ModelSource(hf="a/b"), "", "", "", 0.0)


def test_sparse_vectors_belong_to_the_caller(tmp_path: Path) -> None:
    model = SparseTextEmbedding("prithivida/Splade_PP_en_v1", specific_model_path=str(write_splade(tmp_path)))
    assert isinstance(model.model, SpladePP)
    one, two = model.embed(["bat and ball", "ball"])
    one.values *= 2
    one.indices[:] = 0
    assert two.as_dict() == next(iter(model.passage_embed("ball"))).as_dict()
    assert kinds(one) == ("float64", "int64")
    assert set(one.as_object()) == {"values", "indices"}


def test_sparse_vectors_from_dictionaries() -> None:
    vector = SparseEmbedding.from_dict({7: 0.5, 3: 1.0})
    assert (vector.indices.tolist(), vector.values.tolist()) == ([7, 3], [0.5, 1.0])
    assert vector.as_dict() == {7: 0.5, 3: 1.0}
    none = SparseEmbedding.from_dict({})
    assert (*kinds(none), len(none.values)) == ("float64", "int64", 0)
    assert SparseEmbedding(np.array([1]), np.array([2])).as_dict() == {2: 1.0}


def test_bm25() -> None:
    model = SparseTextEmbedding("qdrant/BM25", language="german", k=np.float32(1.5), threads=3, alpha=0.1, cuda=True)
    assert isinstance(model.model, Bm25)
    assert (model.model.language, model.model.avg_len) == ("german", 256.0)
    (query,) = model.query_embed("Häuser")
    assert (*kinds(query), query.values.tolist()) == ("int64", "int64", [1])
    assert query.indices.tolist() == [Bm25.compute_token_id("haus")]
    assert len(list(model.embed(["Häuser", "und"], parallel=2))) == 2
    assert not hasattr(model.model, "tokenizer")
    assert not hasattr(model.model, "model")
    raw = Bm25("Qdrant/bm25", stopwords={"Quick"}, disable_stemmer=True).raw_embed(["the quick foxes"])
    assert raw[0].indices.tolist() == sorted(map(Bm25.compute_token_id, ("the", "foxes")))
    changed = Bm25("Qdrant/bm25", k=2.0)
    assert {"the", "and"} <= changed.stopwords
    (before,) = changed.embed("the fox")
    changed.stopwords = {"FOX"}
    assert changed.stopwords == {"fox"}
    (after,) = changed.embed("the fox")
    assert (before.indices.tolist(), after.indices.tolist()) == ([1621867415], [Bm25.compute_token_id("the")])
    with pytest.raises(ValueError, match="klingon language is not supported"):
        Bm25("Qdrant/bm25", language="klingon")
    assert Bm25("Qdrant/bm25", language="klingon", disable_stemmer=True).language == "klingon"
    with pytest.raises(ValueError, match="stemmer cannot be supplied with disable_stemmer"):
        SparseTextEmbedding("Qdrant/bm25", stemmer=object(), disable_stemmer=True)
    # chromadb's function hands its own cuda, device_ids and lazy_load on by position, one place too far left.
    shifted: Callable[..., SparseTextEmbedding] = SparseTextEmbedding
    assert shifted("Qdrant/bm25", None, None, None, None, None).model_name == "Qdrant/bm25"


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: tuple[str, str]) -> None:
    TextEmbedding(cls[0], str(tmp_path / "own" / "deep"), specific_model_path=cls[1])
    assert (tmp_path / "own" / "deep").is_dir()
    assert TextEmbedding(cls[0], specific_model_path=cls[1]).model.cache_dir == str(tmp_path / "cache")
    monkeypatch.delenv("FASTEMBED_CACHE_PATH")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = TextEmbedding(cls[0], specific_model_path=cls[1])
    assert model.model.cache_dir == str(tmp_path / "fastembed_cache")


def test_files_come_from_the_hub_into_that_folder(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    folder = write_form(tmp_path / "model", FORMS[0])
    hub_server.add_repo(FORMS[0].name, contents(folder))
    model = LateInteractionTextEmbedding(FORMS[0].name, cache_dir=str(tmp_path / "here"), lazy_load=True)
    inside = model.model._model_dir
    assert inside.parent.parent == tmp_path / "here" / f"models--{FORMS[0].name.replace('/', '--')}"
    hub_server.forget_requests()
    offline = LateInteractionTextEmbedding(
        FORMS[0].name, cache_dir=str(tmp_path / "here"), local_files_only=True, lazy_load=True
    )
    assert offline.model._model_dir == inside
    assert hub_server.requests == []
    assert len(list(offline.embed(["hello"]))) == 1
    assert offline.embedding_size == LateInteractionTextEmbedding.get_embedding_size(FORMS[0].name)
    assert Muvera.from_multivector_model(offline, k_sim=2, r_reps=1).embedding_size == 4 * 16
    assert len(list(offline.passage_embed(["hello"]))) == 1


@pytest.mark.parametrize("prefix", ["fast-", ""])
def test_folders_of_old_archives_are_used(prefix: str, tmp_path: Path) -> None:
    one = variant("cls")
    folder = write_variant(tmp_path / "cache" / f"{prefix}{one.model.rpartition('/')[2]}", one)
    model = TextEmbedding(one.model, local_files_only=True)
    assert model.model._model_dir == folder
    assert first(model).shape[0] == len(TEXTS)


def test_models_that_are_not_to_be_had() -> None:
    with pytest.raises(
        ValueError, match="Could not load model Qdrant/bm42-all-minilm-l6-v2-attentions from any source"
    ):
        SparseTextEmbedding("Qdrant/bm42-all-minilm-l6-v2-attentions", local_files_only=True, lazy_load=True)


def test_functions_on_arrays() -> None:
    vectors = np.array([[300, 400]], dtype=np.float16)
    assert normalize(vectors).tolist() == [[0.60009765625, 0.7998046875]]
    assert normalize(np.zeros((1, 2), np.float32)).tolist() == [[0, 0]]
    tokens = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    assert mean_pooling(tokens, np.array([[1, 1, 0, 0]])).tolist() == [[1.5, 2.5, 3.5]]
    assert last_token_pooling(tokens, np.array([[0, 1, 1, 0]])).tolist() == [[6, 7, 8]]
    assert last_token_pooling(tokens, np.array([[0, 0, 0, 0]])).tolist() == [[9, 10, 11]]
    assert list(iter_batch(range(5), 2)) == [[0, 1], [2, 3], [4]]
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        iter_batch([], 0)


def _embed(model: TextEmbedding, results: Any) -> None:
    results.put(next(iter(model.embed("hello world"))))


def test_objects_travel_to_spawned_processes(tmp_path: Path) -> None:
    custom(tmp_path / "mine")
    model = TextEmbedding("someone/mine", specific_model_path=str(tmp_path / "mine"))
    assert isinstance(model.model.tokenizer, tokenizers.Tokenizer)
    assert len(pickle.dumps(model)) < 5_000
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_embed, args=(model, results))
    process.start()
    vector = results.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
    assert np.array_equal(vector, next(iter(model.embed("hello world"))))

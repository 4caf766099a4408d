"""`TextEmbedding` in use: results, prompts, options, counts, and the asynchronous twins."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxembed import ModelSource, PoolingType, TextEmbedding
from onnxembed.runtime.pipeline import PREPARE_THREAD_PREFIX, RUN_THREAD_PREFIX
from onnxembed.text.known import dense_registry
from onnxembed.text.options import InputType
from tests.fixtures.dense_graphs import HIDDEN
from tests.fixtures.dense_models import TEXTS
from tests.fixtures.small_models import write_bert_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.core.conftest import FolderOf
    from tests.core.text.conftest import OpenVariant

BOUND = 1e-5


def unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def test_results_are_streamed_float32_vectors(open_variant: OpenVariant) -> None:
    vectors = open_variant("mean_norm").embed(TEXTS)
    assert isinstance(vectors, Iterator)
    first = next(vectors)
    assert (first.shape, first.dtype) == ((HIDDEN,), np.dtype(np.float32))
    assert len(list(vectors)) == len(TEXTS) - 1


def test_one_array(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    array = model.embed_to_array(iter(TEXTS))
    assert (array.shape, array.dtype) == ((len(TEXTS), HIDDEN), np.dtype(np.float32))
    assert np.array_equal(array, np.stack(list(model.embed(TEXTS))))


def test_endless_generators_are_read_a_little_ahead(open_variant: OpenVariant) -> None:
    read = count()
    model = open_variant("mean_norm")
    vectors = model.embed((f"hello {next(read)}" for _ in count()), batch_size=32)
    ten = list(islice(vectors, 10))
    assert np.abs(np.stack(ten) - model.embed_to_array([f"hello {i}" for i in range(10)])).max() <= BOUND
    assert next(read) <= 4 * 512
    vectors.close()  # type: ignore[attr-defined]
    ours = (RUN_THREAD_PREFIX, PREPARE_THREAD_PREFIX)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


def test_prompts_are_put_before_texts_verbatim(open_variant: OpenVariant) -> None:
    model = open_variant("mean", query_prompt="hello", passage_prompt="the ")
    plain = model.embed_to_array(["helloworld", "the world", "world", "foxworld"])
    assert np.abs(next(model.query_embed("world")) - plain[0]).max() <= BOUND
    assert np.abs(next(model.passage_embed(["world"])) - plain[1]).max() <= BOUND
    assert np.abs(next(model.embed("world")) - plain[2]).max() <= BOUND
    assert np.abs(next(model.embed("world", prompt="fox")) - plain[3]).max() <= BOUND
    both: tuple[InputType | None, ...] = ("query", "document", None)
    typed = [model.embed_to_array("world", input_type=one)[0] for one in both]
    assert np.abs(np.stack(typed) - plain[:3]).max() <= BOUND
    assert np.abs(model.embed_to_array("world", input_type="query", prompt="fox")[0] - plain[3]).max() <= BOUND


def test_prompts_of_the_catalogue_are_on_by_default_and_can_be_switched_off(open_variant: OpenVariant) -> None:
    model = open_variant("mean")
    off = open_variant("mean", query_prompt="", passage_prompt="")
    plain = model.embed_to_array(["search_query: hello", "search_document: hello", "hello"])
    assert np.abs(next(model.query_embed("hello")) - plain[0]).max() <= BOUND
    assert np.abs(next(model.passage_embed("hello")) - plain[1]).max() <= BOUND
    for vectors in (off.query_embed("hello"), off.passage_embed("hello"), model.embed("hello")):
        assert np.abs(next(vectors) - plain[2]).max() <= BOUND


def test_shortened_vectors(open_variant: OpenVariant) -> None:
    full = open_variant("gemma").embed_to_array(TEXTS)
    short = open_variant("gemma", dim=8, normalize=True)
    vectors = short.embed_to_array(TEXTS)
    assert short.embedding_size == 8
    assert vectors.shape == (len(TEXTS), 8)
    assert np.abs(vectors - unit(full[:, :8])).max() <= BOUND
    whole = open_variant("gemma", dim=HIDDEN).embed_to_array(TEXTS)
    assert np.array_equal(whole, full)


def test_shortened_vectors_are_standardised_first_where_the_model_wants_it(open_variant: OpenVariant) -> None:
    full = open_variant("mean").embed_to_array(TEXTS)
    centred = full - full.mean(axis=1, keepdims=True)
    standard = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    vectors = open_variant("mean", dim=4, normalize=True).embed_to_array(TEXTS)
    assert np.abs(vectors - unit(standard[:, :4])).max() <= BOUND


def test_compiled_graphs_normalise_shorten_and_state_their_size(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, seed=3)
    plain = TextEmbedding(tmp_path, pooling="MEAN", normalize=False)
    raw = plain.embed_to_array(TEXTS)
    assert np.ptp(np.linalg.norm(raw, axis=1)) > 1e-3
    assert plain.embedding_size == raw.shape[1]
    whole = TextEmbedding(tmp_path, pooling="MEAN", normalize=True).embed_to_array(TEXTS)
    assert np.abs(whole - unit(raw)).max() <= BOUND
    for dim in (raw.shape[1], 5):
        short = TextEmbedding(tmp_path, pooling="MEAN", normalize=True, dim=dim).embed_to_array(TEXTS)
        assert np.abs(short - unit(raw[:, :dim])).max() <= BOUND
    first = TextEmbedding(tmp_path, pooling=PoolingType.CLS, normalize=False).embed_to_array(TEXTS)
    assert np.abs(first - raw).max() > 1e-2


def test_pooling_can_be_chosen(open_variant: OpenVariant) -> None:
    by_first = open_variant("mean", pooling="cls", normalize=True).embed_to_array(TEXTS)
    by_mean = open_variant("mean", normalize=True).embed_to_array(TEXTS)
    assert np.abs(by_first - by_mean).max() > 1e-2


def test_token_count(open_variant: OpenVariant, folder_of: FolderOf) -> None:
    model = open_variant("mean_norm", lazy_load=True, max_length=46)
    assert model.token_count("hello world") == 4
    assert model.token_count(["hello world", "", "hello " * 100]) == 4 + 2 + 46
    assert model.token_count(("hello" for _ in range(1000)), batch_size=7) == 3000
    assert not model.loaded
    assert (model.max_length, model.max_length_source) == (46, "max_length=")
    assert not model.loaded


def test_lazy_loading(open_variant: OpenVariant) -> None:
    eager, lazy = open_variant("cls", max_length=41), open_variant("cls", max_length=42, lazy_load=True)
    assert (eager.loaded, lazy.loaded) == (True, False)
    vectors = lazy.embed(["a"])
    assert lazy.loaded
    assert np.array_equal(next(vectors), eager.embed_to_array(["a"])[0])


def test_lazy_loading_looks_for_nothing(tmp_path: Path) -> None:
    model = TextEmbedding("BAAI/bge-small-en-v1.5", cache_dir=tmp_path / "cache", local_files_only=True, lazy_load=True)
    assert not (tmp_path / "cache").exists()
    assert model.embedding_size == 384
    with pytest.raises(OSError, match="no source could give the files"):
        model.embed("a")


def test_one_warning_when_texts_are_cut(open_variant: OpenVariant, caplog: pytest.LogCaptureFixture) -> None:
    model = open_variant("mean_norm", max_length=43)
    list(model.embed(["a", *["hello world " * 30] * 5]))
    list(model.query_embed("hello world " * 30))
    (record,) = caplog.records
    assert "text 1 is longer than the limit of 43 tokens (from max_length=)" in record.getMessage()


def test_limit_changes_the_vectors_of_long_texts(open_variant: OpenVariant) -> None:
    short, long = open_variant("mean_norm", max_length=10), open_variant("mean_norm")
    text = "hello the quick brown fox jumped over the lazy dog " * 3
    assert np.abs(next(short.embed("hello")) - next(long.embed("hello"))).max() <= BOUND
    assert np.abs(next(short.embed(text)) - next(long.embed(text))).max() > 1e-2
    assert np.abs(next(short.embed(text)) - next(short.embed(text + " fox"))).max() <= BOUND


def test_description(open_variant: OpenVariant, folder_of: FolderOf) -> None:
    model = open_variant("mean_norm", normalize=False, query_prompt="q: ")
    description = model.description
    listed = next(entry for entry in TextEmbedding.list_supported_models() if entry["model"] == description["model"])
    assert description.keys() == listed.keys() | {"max_length", "max_length_source", "precision", "source"}
    changed = {key for key in listed if listed[key] != description[key]}
    assert changed == {"dim", "normalize", "prompts"}
    assert (description["dim"], description["normalize"]) == (HIDDEN, False)
    assert description["prompts"] == {"query": "q: ", "passage": ""}
    assert (description["max_length"], description["max_length_source"]) == (48, "tokenizer_config.json")
    assert description["source"] == f"folder {folder_of('mean_norm')}"
    assert open_variant("mean_norm").description["normalize"] is True
    assert repr(model) == "TextEmbedding('sentence-transformers/all-MiniLM-L6-v2')"


def test_sizes(open_variant: OpenVariant, folder_of: FolderOf) -> None:
    assert TextEmbedding("BAAI/bge-small-en-v1.5", lazy_load=True).embedding_size == 384
    assert open_variant("cls", lazy_load=True).embedding_size == HIDDEN
    assert TextEmbedding(folder_of("mean_norm"), pooling="MEAN", lazy_load=True).embedding_size == HIDDEN
    assert open_variant("static_pieces", lazy_load=True).embedding_size == 16
    assert TextEmbedding.get_embedding_size("baai/BGE-small-en-v1.5") == 384


def test_sizes_as_the_catalogue_lists_them() -> None:
    listed = TextEmbedding.list_supported_models()
    assert [entry["model"] for entry in listed] == [model.name for model in dense_registry.models()]
    assert all(TextEmbedding.get_embedding_size(str(entry["model"])) == entry["dim"] for entry in listed)


def test_options_make_the_same_object_again(open_variant: OpenVariant) -> None:
    model = open_variant(
        "jina_v3",
        threads=1,
        providers=["CPUExecutionProvider"],
        max_length=30,
        truncate=False,
        dim=8,
        normalize=False,
        pooling="cls",
        query_prompt="a",
        passage_prompt="b",
        task_id="separation",
        enable_cpu_mem_arena=False,
        session_options={"session.set_denormal_as_zero": "1"},
        token_budget=100,
        local_files_only=True,
        cache_dir="cache",
    )
    again = TextEmbedding(**model.options)
    assert again.__getstate__() == model.__getstate__()
    assert np.array_equal(again.embed_to_array(["hello"]), model.embed_to_array(["hello"]))
    plain = open_variant("mean_norm")
    assert TextEmbedding(**plain.options).__getstate__() == plain.__getstate__()


def test_custom_model_with_prompts_and_lengths(folder_of: FolderOf) -> None:
    TextEmbedding.add_custom_model(
        "Test/Prompted",
        PoolingType.MEAN,
        True,
        ModelSource(hf="a/b"),
        HIDDEN,
        model_file="model.onnx",
        query_prompt="hello ",
        passage_prompt="the ",
        matryoshka_dims=[16, 8],
        max_tokens=48,
        description="A test.",
        license="mit",
        size_in_gb=0.1,
        additional_files=["tokenizer_config.json"],
    )
    try:
        model = TextEmbedding("test/prompted", specific_model_path=folder_of("mean_norm"), dim=8)
        assert model.embedding_size == 8
        plain = model.embed_to_array(["hello world", "the world"])
        assert np.abs(next(model.query_embed("world")) - plain[0]).max() <= BOUND
        assert np.abs(next(model.passage_embed("world")) - plain[1]).max() <= BOUND
        entry = TextEmbedding.list_supported_models()[-1]
        assert (entry["model"], entry["license"], entry["matryoshka_dims"]) == ("Test/Prompted", "mit", [16, 8])
    finally:
        dense_registry.remove("test/prompted")


# -- the asynchronous twins ------------------------------------------------------------------------------------------


async def test_asynchronous_twins_give_the_same(open_variant: OpenVariant) -> None:
    model = open_variant("jina_v3")
    for asynchronous, plain in (
        (model.aembed(TEXTS, task_id=4), model.embed(TEXTS, task_id=4)),
        (model.aquery_embed(TEXTS), model.query_embed(TEXTS)),
        (model.apassage_embed(iter(TEXTS)), model.passage_embed(TEXTS)),
    ):
        vectors = [vector async for vector in asynchronous]
        assert np.abs(np.stack(vectors) - np.stack(list(plain))).max() <= BOUND
    array = await model.aembed_to_array(TEXTS, input_type="query")
    assert np.abs(array - model.embed_to_array(TEXTS, input_type="query")).max() <= BOUND


async def test_blocking_calls_run_in_the_pool_with_the_context(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(5)
    where, value = await model.run_async(lambda: (threading.current_thread().name, variable.get()))
    assert where.startswith("onnxembed-async")
    assert value == 5
    assert model.max_concurrency >= 2


async def test_asynchronous_iterators_can_be_left_early(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    vectors = model.aembed(f"hello {number}" for number in count())
    assert (await anext(vectors)).shape == (HIDDEN,)
    await vectors.aclose()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("onnxembed-run")]

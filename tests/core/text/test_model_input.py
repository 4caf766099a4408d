"""What may be given and what may not: every mistake is told at the call, before the first result is asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from onnxembed import ModelSource, OnnxEmbedError, TextEmbedding
from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelError,
    ModelNotFoundError,
    ProviderError,
    TextTooLongError,
    UnknownModelError,
)
from tests.fixtures.dense_graphs import HIDDEN
from tests.fixtures.dense_tokenizers import write_tokenizer

if TYPE_CHECKING:
    from tests.core.conftest import FolderOf
    from tests.core.text.conftest import OpenVariant

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
METHODS = (
    "embed",
    "query_embed",
    "passage_embed",
    "embed_to_array",
    "token_count",
    "aembed",
    "aquery_embed",
    "apassage_embed",
)


@pytest.fixture
def model(open_variant: OpenVariant) -> TextEmbedding:
    """One that no test loads; the limit sets it apart, since equal settings share an engine."""
    return open_variant("mean_norm", lazy_load=True, max_length=47)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (None, InputTypeError, "is None; expected a string or an iterable of strings"),
        (b"bytes", InputTypeError, "is a bytes; expected"),
        (7, InputTypeError, "is an int; expected"),
        (1.5, InputTypeError, "is a float; expected"),
        ({"a": 1}, InputTypeError, "is a dict; expected"),
        (object(), InputTypeError, "is an object; expected"),
        ([["a"]], InputTypeError, "text 0 is a list; expected str"),
        (["a", None], InputTypeError, "text 1 is None; expected str"),
        (("a", "b", b"c"), InputTypeError, "text 2 is a bytes; expected str"),
        ([1], InputTypeError, "text 0 is an int; expected str"),
        ("\ud800", InputError, r"text 0 holds the lone surrogate '\\ud800' at position 0"),
        (["a", "b\udfff"], InputError, r"text 1 holds the lone surrogate '\\udfff' at position 1"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_texts_are_checked_at_the_call(
    method: str, texts: Any, error: type[Exception], message: str, model: TextEmbedding
) -> None:
    with pytest.raises(error, match=message) as caught:
        getattr(model, method)(texts)
    assert type(caught.value) is error
    assert isinstance(caught.value, OnnxEmbedError)
    assert isinstance(caught.value, TypeError if error is InputTypeError else ValueError)
    assert not model.loaded


@pytest.mark.parametrize("method", METHODS)
def test_batch_sizes_are_checked_at_the_call(method: str, model: TextEmbedding) -> None:
    for batch_size in (0, -1):
        with pytest.raises(InputError, match=f"batch_size={batch_size}: batch_size must be >= 1"):
            getattr(model, method)(["a"], batch_size=batch_size)
    for wrong in ("8", 1.5, True, *([None] if method == "token_count" else [])):
        with pytest.raises(InputTypeError, match=r"batch_size=.*expected an integer"):
            getattr(model, method)(["a"], batch_size=wrong)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "token_count"])
def test_workers_are_checked_at_the_call(method: str, model: TextEmbedding) -> None:
    with pytest.raises(InputError, match="parallel=-1: parallel must be >= 0"):
        getattr(model, method)(["a"], parallel=-1)
    with pytest.raises(InputTypeError, match="parallel='2' is a str; expected an integer"):
        getattr(model, method)(["a"], parallel="2")


async def test_the_coroutine_checks_when_awaited(model: TextEmbedding) -> None:
    with pytest.raises(InputTypeError, match="documents is None"):
        await model.aembed_to_array(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_size=0"):
        await model.aembed_to_array(["a"], batch_size=0)


def test_other_arguments_of_a_call(model: TextEmbedding, open_variant: OpenVariant) -> None:
    with pytest.raises(InputError, match="has no tasks; leave task_id out"):
        model.embed("a", task_id=1)
    with pytest.raises(InputTypeError, match="prompt=5: expected a string"):
        model.embed("a", prompt=5)  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="input_type='both': expected 'query', 'document' or None"):
        model.embed_to_array("a", input_type="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="task_id=9 is not a task"):
        open_variant("jina_v3").embed("a", task_id=9)


@pytest.mark.parametrize("method", METHODS)
def test_unknown_keywords_are_refused(method: str, model: TextEmbedding) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'batchsize'"):
        getattr(model, method)(["a"], batchsize=3)


def test_unknown_keywords_of_the_constructor() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'maxlength'"):
        TextEmbedding(MINILM, maxlength=3)  # type: ignore[call-arg]
    kinds = {parameter.kind for parameter in inspect.signature(TextEmbedding).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_items_of_a_generator_are_checked_as_they_are_read(open_variant: OpenVariant) -> None:
    def texts(bad: object) -> Iterator[Any]:
        yield "a"
        yield bad

    model = open_variant("mean_norm")
    with pytest.raises(InputTypeError, match="text 1 is an int"):
        list(model.embed(texts(5)))
    with pytest.raises(InputError, match="text 1 holds the lone surrogate"):
        model.embed_to_array(texts("\ud800"))
    with pytest.raises(InputTypeError, match="text 1 is None"):
        model.token_count(texts(None))


def test_list_that_changes_after_the_call(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    texts: list[Any] = ["a", "b"]
    vectors = model.embed(texts)
    texts[1] = 5
    assert np.array_equal(np.stack(list(vectors)), model.embed_to_array(["a", "b"]))


def test_nothing_gives_nothing(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    nothing: tuple[Iterable[str], ...] = ([], (), iter(()))
    for empty in nothing:
        assert list(model.embed(empty)) == []
    assert model.token_count([]) == 0
    array = model.embed_to_array([])
    assert array.shape == (0, HIDDEN)
    assert array.dtype == np.float32


def test_no_texts_load_no_model(model: TextEmbedding) -> None:
    assert list(model.embed([])) == []
    assert list(model.query_embed(())) == []
    assert not model.loaded


def test_empty_string_is_a_text(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    (vector,) = model.embed("")
    assert vector.shape == (HIDDEN,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert model.token_count("") == 2


def test_one_string_is_one_text(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    (vector,) = model.embed("hello world")
    assert np.array_equal(vector, model.embed_to_array(["hello world"])[0])
    assert np.array_equal(next(model.query_embed("hello world")), vector)


def test_ten_megabytes_are_their_first_tokens(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    text = "hello the quick brown fox " * 400_000
    assert len(text) > 10_000_000
    assert np.array_equal(next(model.embed(text)), next(model.embed(text[:2000])))
    assert np.array_equal(next(model.embed(text.replace(" ", ","))), next(model.embed(text[:2000].replace(" ", ","))))
    assert model.token_count(text) == 48


def test_long_texts_can_be_refused(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm", truncate=False)
    texts = ["hello"] * 600 + ["hello world " * 50, "a"]
    with pytest.raises(TextTooLongError) as caught:
        list(model.embed(texts))
    assert (caught.value.index, caught.value.token_count, caught.value.max_length) == (600, 102, 48)
    with pytest.raises(TextTooLongError, match="text 0 has 49 tokens, more than the limit of 48"):
        model.embed_to_array("hello " * 47)
    assert model.embed_to_array("hello " * 46).shape == (1, HIDDEN)
    with pytest.raises(TextTooLongError, match="text 0 has 49 tokens"):
        model.embed_to_array(["hello"], prompt="hello " * 46)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threads": 0}, InputError, "threads=0: threads must be >= 1"),
        ({"threads": "2"}, InputTypeError, "threads='2'"),
        ({"max_length": 0}, InputError, "max_length=0: expected at least 1 token"),
        ({"max_length": 2}, InputError, "leaves no room for text beside 2 special tokens"),
        ({"max_length": 1.5}, InputTypeError, "max_length=1.5"),
        ({"truncate": None}, InputTypeError, "truncate=None"),
        ({"normalize": 1}, InputTypeError, "normalize=1"),
        ({"token_budget": 0}, InputError, "token_budget=0: token_budget must be >= 1"),
        ({"dim": 8}, InputError, "dim=8: .* is not trained for shortened vectors"),
        ({"pooling": "average"}, InputError, "pooling='average' is unknown"),
        ({"task_id": 0}, InputError, "has no tasks"),
        ({"query_prompt": 3}, InputTypeError, "query_prompt=3"),
        ({"passage_prompt": b"p"}, InputTypeError, "passage_prompt=b'p'"),
        ({"revision": 1}, InputTypeError, "revision=1"),
        ({"cache_dir": 1}, InputTypeError, "cache_dir=1"),
        ({"local_files_only": "no"}, InputTypeError, "local_files_only='no'"),
        ({"cuda": "gpu"}, InputError, "cuda='gpu' is not understood"),
        ({"device_ids": 0}, InputTypeError, "device_ids=0"),
        ({"providers": []}, InputError, r"providers=\[\] names no provider"),
        ({"providers": ["NoneExecutionProvider"]}, ProviderError, "'NoneExecutionProvider' is not available"),
        ({"session_options": {"intra_threads": 1}}, InputError, "session option 'intra_threads' is unknown"),
        ({"enable_cpu_mem_arena": "no"}, InputTypeError, "enable_cpu_mem_arena='no' is a str"),
    ],
)
def test_options_are_checked_by_the_constructor(
    options: dict[str, Any], error: type[Exception], message: str, open_variant: OpenVariant
) -> None:
    with pytest.raises(error, match=message):
        open_variant("mean_norm", **options)


def test_misspelled_models() -> None:
    with pytest.raises(UnknownModelError, match=r"'BAAI/bge-smal-en-v1.5'\. Did you mean 'BAAI/bge-small-en-v1.5'"):
        TextEmbedding("BAAI/bge-smal-en-v1.5", lazy_load=True)
    with pytest.raises(UnknownModelError, match="Did you mean"):
        TextEmbedding.get_embedding_size("all-minilm-l6")


def test_folders_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no model: expected one of onnx/model.onnx, model.onnx"):
        TextEmbedding(tmp_path, lazy_load=True)
    with pytest.raises(ModelNotFoundError, match=r"lacks model.onnx, tokenizer.json"):
        TextEmbedding(MINILM, specific_model_path=tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"is not a folder"):
        TextEmbedding(MINILM, specific_model_path=tmp_path / "nowhere")
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    write_tokenizer(tmp_path)
    with pytest.raises(ModelError, match=r"model.onnx is not a valid ONNX file"):
        TextEmbedding(MINILM, specific_model_path=tmp_path)


def test_dims_beyond_the_files_are_refused_at_the_call(folder_of: FolderOf, open_variant: OpenVariant) -> None:
    model = open_variant("mean", dim=256)  # the named model has that length, this folder has not
    with pytest.raises(InputError, match=f"dim=256: the graph gives vectors of {HIDDEN} numbers"):
        model.embed("a")


def test_custom_models_are_checked() -> None:
    source = ModelSource(hf="a/b")
    with pytest.raises(InputTypeError, match="sources=None: expected a ModelSource"):
        TextEmbedding.add_custom_model("test/x", "MEAN", True, None, 4)  # type: ignore[call-overload]  # no source, on purpose
    with pytest.raises(InputTypeError, match="pooling=None: expected a PoolingType"):
        TextEmbedding.add_custom_model("test/x", None, True, source, 4)  # type: ignore[call-overload]  # no pooling, on purpose
    with pytest.raises(InputError, match="pooling='MEDIAN' is unknown"):
        TextEmbedding.add_custom_model("test/x", "MEDIAN", True, source, 4)
    with pytest.raises(InputError, match="of the catalogue has that name already"):
        TextEmbedding.add_custom_model(MINILM.upper(), "MEAN", True, source, 4)


def test_import_is_light() -> None:
    code = (
        "import sys, onnxembed; onnxembed.TextEmbedding; from onnxembed.errors import InputError\n"
        "heavy = {'onnxruntime', 'tokenizers', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

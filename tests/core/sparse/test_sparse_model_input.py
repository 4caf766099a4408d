"""What `SparseTextEmbedding` refuses, and that it does so at the call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelError,
    ModelNotFoundError,
    TextTooLongError,
    UnknownModelError,
    UnsupportedModelError,
)
from onnxembed.sparse.known import sparse_registry
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.spec import ModelSource
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.sparse_models import FOLDERS, write_bm42, write_splade

NAMES = [name for name, _ in FOLDERS.values()]
SPLADE, _, BM42, BM25, MINICOIL, INFERENCE_FREE = NAMES[0], NAMES[1], NAMES[2], NAMES[3], NAMES[4], NAMES[5]


def lazy(name: str, **options: Any) -> SparseTextEmbedding:
    return SparseTextEmbedding(name, lazy_load=True, local_files_only=True, **options)


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> SparseTextEmbedding:
    return SparseTextEmbedding(SPLADE, specific_model_path=write_splade(tmp_path_factory.mktemp("splade")))


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'prithivida/Splade_PP_en_v1'"):
        lazy("prithivda/Splade_PP_en")
    with pytest.raises(UnknownModelError, match=r"SparseTextEmbedding\.list_supported_models\(\)"):
        lazy("BAAI/bge-small-en-v1.5")


@pytest.mark.parametrize("name", [None, 5, b"x"])
def test_name_of_another_type(name: Any) -> None:
    with pytest.raises(InputTypeError, match="model_name="):
        lazy(name)


OPTIONS: dict[str, tuple[Any, list[str]]] = {
    "alpha": (0.5, [BM42]),
    "top_k": (5, [SPLADE, INFERENCE_FREE]),
    "min_weight": (0.1, [SPLADE, INFERENCE_FREE]),
    "k": (1.0, [BM25, MINICOIL]),
    "b": (0.5, [BM25, MINICOIL]),
    "avg_len": (10.0, [BM25, MINICOIL]),
    "language": ("german", [BM25]),
    "token_max_length": (10, [BM25]),
    "disable_stemmer": (True, [BM25]),
    "stopwords": (["x"], [BM25]),
    "compatible": (True, [BM25]),
    "max_length": (10, [SPLADE, BM42, MINICOIL, INFERENCE_FREE]),
    "token_budget": (10, [SPLADE, BM42, MINICOIL, INFERENCE_FREE]),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", [SPLADE, BM42, BM25, MINICOIL, INFERENCE_FREE])
def test_options_belong_to_their_models(option: str, name: str) -> None:
    value, knowing = OPTIONS[option]
    if name in knowing:
        given = lazy(name, **{option: value}).options[option]
        assert given == (frozenset(value) if option == "stopwords" else value)
        return
    with pytest.raises(InputError) as caught:
        lazy(name, **{option: value})
    assert f"{option}={value!r}: {name} is a" in str(caught.value)
    assert all(other in str(caught.value) for other in knowing)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (BM42, {"alpha": -0.1}, "alpha=-0.1: expected a number at least 0"),
        (BM42, {"alpha": float("nan")}, "alpha=nan"),
        (BM42, {"alpha": "1"}, "alpha='1' is a str; expected a number"),
        (MINICOIL, {"k": -1}, "k=-1: expected"),
        (MINICOIL, {"b": 1.5}, "b=1.5: expected a number from 0 to 1"),
        (MINICOIL, {"avg_len": 0}, "avg_len=0: expected a number above 0"),
        (MINICOIL, {"avg_len": float("inf")}, "avg_len=inf"),
        (BM25, {"k": -1}, "k=-1: expected"),
        (BM25, {"b": -0.1}, "b=-0.1: expected a number from 0 to 1"),
        (BM25, {"avg_len": 0}, "avg_len=0: expected a number above 0"),
        (BM25, {"language": "germn"}, "Did you mean 'german'"),
        (BM25, {"token_max_length": 0}, "token_max_length=0: token_max_length must be >= 1"),
        (BM25, {"stopwords": "the"}, "expected a collection of words"),
        (BM25, {"disable_stemmer": True, "stemmer": object()}, "contradict each other"),
        (BM25, {"stemmer": object()}, "has no method stem_word"),
        (BM25, {"idf_in_query": True}, "needs statistics="),
        (SPLADE, {"top_k": 0}, "top_k=0: top_k must be >= 1"),
        (SPLADE, {"top_k": 1.5}, "top_k=1.5 is a float; expected an integer"),
        (SPLADE, {"min_weight": -1}, "min_weight=-1: expected"),
        (SPLADE, {"max_length": 0}, "max_length=0"),
        (SPLADE, {"token_budget": 0}, "token_budget=0: token_budget must be >= 1"),
        (SPLADE, {"truncate": "no"}, "truncate='no' is a str"),
        (BM25, {"truncate": 1}, "truncate=1 is a int"),
        (SPLADE, {"threads": 0}, "threads=0"),
        (SPLADE, {"cuda": "gpu"}, "gpu"),
        (SPLADE, {"session_options": {"enable_profilin": True}}, "Did you mean 'enable_profiling'"),
        (SPLADE, {"revision": 5}, "revision=5"),
    ],
)
def test_values_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, InputTypeError, ValueError)) as caught:
        lazy(name, **options)
    assert message in str(caught.value)


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        lazy(SPLADE, avglen=3)


@pytest.mark.parametrize("way", ["embed", "query_embed", "passage_embed", "aembed", "aquery_embed", "apassage_embed"])
@pytest.mark.parametrize("name", [SPLADE, BM42, BM25, MINICOIL, INFERENCE_FREE])
def test_arguments_are_checked_at_the_call(way: str, name: str) -> None:
    """Before anything is loaded: none of these models has its files."""
    call = getattr(lazy(name), way)
    with pytest.raises(InputError, match=r"batch_size=0: batch_size must be >= 1"):
        call(["a"], batch_size=0)
    with pytest.raises(InputTypeError, match=r"batch_size='2' is a str"):
        call(["a"], batch_size="2")
    with pytest.raises(InputError, match=r"parallel=-1: parallel must be >= 0"):
        call(["a"], parallel=-1)
    with pytest.raises(InputTypeError, match="text 1 is None; expected str"):
        call(["a", None])
    with pytest.raises(InputTypeError, match="text 0 is a tuple"):
        call([("a", "b")])
    with pytest.raises(InputTypeError, match="expected a string or an iterable of strings"):
        call(5)
    with pytest.raises(InputTypeError, match="expected a string or an iterable of strings"):
        call({"a": 1})
    with pytest.raises(InputError, match="lone surrogate"):
        call(["a", "\ud800"])


@pytest.mark.parametrize("name", [SPLADE, BM42, BM25, MINICOIL, INFERENCE_FREE])
def test_no_texts_load_no_model(name: str) -> None:
    model = lazy(name)
    assert list(model.embed([])) == list(model.query_embed([])) == list(model.passage_embed(())) == []
    if name != BM25:
        assert not model.loaded
        assert model.token_count([]) == 0


def test_items_of_a_generator_are_checked_as_they_are_read(splade: SparseTextEmbedding) -> None:
    items: list[Any] = ["a", 5]
    with pytest.raises(InputTypeError, match="text 1 is an int"):
        list(splade.embed(item for item in items))
    with pytest.raises(InputTypeError, match="text 1 is an int"):
        splade.token_count(item for item in items)


def test_token_count_checks_its_arguments(splade: SparseTextEmbedding) -> None:
    with pytest.raises(InputError, match="batch_size=0"):
        splade.token_count(["a"], batch_size=0)
    with pytest.raises(InputTypeError, match="texts is None"):
        splade.token_count(None)  # type: ignore[arg-type]


def test_long_texts_are_refused_on_request(tmp_path: Path) -> None:
    model = SparseTextEmbedding(SPLADE, specific_model_path=write_splade(tmp_path), max_length=4, truncate=False)
    with pytest.raises(TextTooLongError, match="text 2 has 5 tokens, more than the limit of 4"):
        list(model.embed(["hello", "world", "hello world fox"]))


# -- folders and files -----------------------------------------------------------------------------------------------


def test_folder_that_is_not_there() -> None:
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        SparseTextEmbedding("./no/such/folder")
    with pytest.raises(ModelNotFoundError, match="specific_model_path='/no/such' is not a folder"):
        SparseTextEmbedding(SPLADE, specific_model_path="/no/such")


def test_missing_files_are_named(tmp_path: Path) -> None:
    write_splade(tmp_path)
    with pytest.raises(ModelError, match=r"has no idf\.json; expected the weights of tokens"):
        SparseTextEmbedding(INFERENCE_FREE, specific_model_path=tmp_path)
    with pytest.raises(ModelError, match=r"minicoil\.triplet\.model\.npy is not a NumPy array that can be mapped"):
        SparseTextEmbedding(MINICOIL, specific_model_path=tmp_path)


def test_empty_folder_and_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        SparseTextEmbedding(tmp_path)
    write_splade(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"holds no tokenizer\.json"):
        SparseTextEmbedding(tmp_path)


def test_folder_of_a_dense_model_is_refused(tmp_path: Path) -> None:
    write_bert_folder(tmp_path)
    with pytest.raises(UnsupportedModelError, match="do not say which kind of sparse model"):
        SparseTextEmbedding(tmp_path)


def test_folder_with_a_damaged_configuration(tmp_path: Path) -> None:
    write_splade(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        SparseTextEmbedding(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UnsupportedModelError, match="do not say"):
        SparseTextEmbedding(tmp_path)


def test_architecture_tells_a_masked_language_model(tmp_path: Path) -> None:
    write_splade(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    content = json.dumps(config | {"architectures": ["BertForMaskedLM"]})
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert SparseTextEmbedding(tmp_path).kind == "SPLADE"


def test_graph_without_attention_is_no_bm42_model(tmp_path: Path) -> None:
    write_splade(tmp_path)
    SparseTextEmbedding.add_custom_model("test/no-attention", "BM42", ModelSource(hf="test/no"), "model.onnx")
    try:
        with pytest.raises(ValueError, match=r"gives logits; a BM42 model needs the attention of its last layer"):
            SparseTextEmbedding("test/no-attention", specific_model_path=tmp_path)
    finally:
        sparse_registry.remove("test/no-attention")


@pytest.mark.parametrize(
    ("output", "message"),
    [("attention_6", "Is this a masked-language model"), ("logits", "has no output 'logits'")],
)
def test_output_is_taken_by_its_name(output: str, message: str, tmp_path: Path) -> None:
    source = ModelSource(hf="test/x")
    SparseTextEmbedding.add_custom_model("test/output", "SPLADE", source, "model.onnx", output_name=output)
    try:
        with pytest.raises(ModelError, match=message):
            list(SparseTextEmbedding("test/output", specific_model_path=write_bm42(tmp_path)).embed("hello"))
        right = SparseTextEmbedding(SPLADE, specific_model_path=write_splade(tmp_path / "right"))
        named = SparseTextEmbedding("test/output", specific_model_path=tmp_path / "right", lazy_load=True)
        if output == "logits":
            assert list(named.embed("hello")) == list(right.embed("hello"))
    finally:
        sparse_registry.remove("test/output")


# -- custom models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("test/a", "SPLADE", "org/name"), {}, "expected a ModelSource"),
        (("test/a", "SPLAD", ModelSource(hf="a/b")), {}, "Did you mean 'SPLADE'"),
        (("test/a", None, ModelSource(hf="a/b")), {}, "kind=None is unknown"),
        (("test/a", "bm25", ModelSource(hf="a/b")), {}, "BM25 has no model to add"),
        (("qdrant/BM25", "BM42", ModelSource(hf="a/b")), {}, "of the catalogue has that name already"),
        (("", "BM42", ModelSource(hf="a/b")), {}, "a model needs a name"),
        (("test/a", "BM42", ModelSource(hf="a/b")), {"requires_idf": 1}, "requires_idf=1"),
        (("test/a", "BM42", ModelSource(hf="a/b")), {"vocab_size": -1}, "vocab_size=-1"),
    ],
)
def test_custom_models_are_checked(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, InputTypeError)) as caught:
        SparseTextEmbedding.add_custom_model(*arguments, **options)
    assert message in str(caught.value)
    assert not sparse_registry.holds("test/a")


@pytest.mark.parametrize("kind", [kind for kind in FOLDERS if kind not in ("bm25", "splade_misspelt")])
def test_custom_models_behave_as_their_kind(kind: str, tmp_path: Path) -> None:
    name, write = FOLDERS[kind]
    folder = write(tmp_path)
    file = "onnx/model.onnx" if kind == "minicoil" else "model.onnx"
    SparseTextEmbedding.add_custom_model(f"test/own-{kind}", kind, ModelSource(hf="test/own"), file, max_tokens=48)
    try:
        own = SparseTextEmbedding(f"TEST/own-{kind}", specific_model_path=folder)
        listed = SparseTextEmbedding.list_supported_models()[-1]
        assert (listed["model"], listed["max_tokens"]) == (f"test/own-{kind}", 48)
        known = SparseTextEmbedding(name, specific_model_path=folder)
        assert own.requires_idf is known.requires_idf
        texts = ["hello world", "the fox", ""]
        assert list(own.embed(texts)) == list(known.embed(texts))
        assert list(own.query_embed(texts)) == list(known.query_embed(texts))
    finally:
        sparse_registry.remove(f"test/own-{kind}")

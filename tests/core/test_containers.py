"""What holds texts and numbers: what other libraries hold them in is taken, or refused by name."""

from __future__ import annotations

from collections import ChainMap, OrderedDict, UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.rerank_models import variant, write_variant
from tests.fixtures.small_models import write_bert_folder

BM25 = "Qdrant/bm25"


class Frame:
    """A table as pandas and polars have it: iterating it gives the names of its columns."""

    columns = ("id", "text")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return 2


class Scalar:
    """One value of an Arrow array."""

    def __init__(self, value: object) -> None:
        self._value = value

    def as_py(self) -> object:
        return self._value


class ArrowStrings:
    """A string array as pyarrow has it, chunked or not: no sequence, and its items are scalars of its own."""

    def __init__(self, *values: object) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Scalar]:
        return map(Scalar, self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> TextEmbedding:
    folder = tmp_path_factory.mktemp("dense")
    write_bert_folder(folder)
    return TextEmbedding(folder)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> TextCrossEncoder:
    return TextCrossEncoder(write_variant(tmp_path_factory.mktemp("rerank") / "model", variant("minilm_6")))


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> LateInteractionTextEmbedding:
    folder = write_form(tmp_path_factory.mktemp("late") / "model", FORMS[0])
    return LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=folder)


@pytest.fixture(scope="module")
def calls(
    dense: TextEmbedding, reranker: TextCrossEncoder, late: LateInteractionTextEmbedding
) -> dict[str, Callable[[Any], object]]:
    sparse = SparseTextEmbedding(BM25)
    return {
        "dense": dense.embed_to_array,
        "dense queries": dense.query_embed,
        "dense count": dense.token_count,
        "sparse": sparse.embed,
        "sparse fit": sparse.fit,
        "late": late.embed,
        "late tokens": late.tokens,
        "late rank": lambda texts: late.rank("a", texts),
        "rerank": lambda texts: reranker.rerank("a", texts),
        "rank": lambda texts: reranker.rank("a", texts),
        "rank_many": lambda texts: reranker.rank_many(["a"], [texts]),
        "pairs": reranker.rerank_pairs,
    }


NAMES = (
    *("dense", "dense queries", "dense count", "sparse", "sparse fit", "late", "late tokens"),
    *("late rank", "rerank", "rank", "rank_many", "pairs"),
)
KEYED: tuple[Any, ...] = (
    {"text": "a"},
    UserDict(text="a"),
    ChainMap({"text": "a"}),
    OrderedDict(text="a"),
    MappingProxyType({"text": "a"}),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keyed", KEYED, ids=lambda keyed: type(keyed).__name__)
def test_mappings_are_refused(name: str, keyed: Any, calls: dict[str, Callable[[Any], object]]) -> None:
    with pytest.raises(InputTypeError, match=f"is an? {type(keyed).__name__}; expected"):
        calls[name](keyed)


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_refused(name: str, calls: dict[str, Callable[[Any], object]]) -> None:
    with pytest.raises(
        InputTypeError, match=r"is a Frame; expected.*" + ("" if name == "pairs" else r"pass df\['text'\]")
    ):
        calls[name](Frame())


@pytest.mark.parametrize(
    "texts",
    [
        np.array(["hello", "world"]),
        np.array(["hello", "world"], dtype=object),
        ArrowStrings("hello", "world"),
        [Scalar("hello"), "world"],
        ["hello", np.array("world")],
        (np.str_("hello"), np.str_("world")),
        iter([Scalar("hello"), Scalar("world")]),
        {"hello": 1, "world": 2}.keys(),
    ],
    ids=["array", "objects", "arrow", "scalars", "item", "numpy", "iterator", "keys"],
)
def test_arrays_of_texts_are_texts(texts: Any, dense: TextEmbedding) -> None:
    np.testing.assert_array_equal(dense.embed_to_array(texts), dense.embed_to_array(["hello", "world"]))


@pytest.mark.parametrize("text", [np.array("hello"), Scalar("hello"), np.str_("hello")], ids=["array", "arrow", "str_"])
def test_scalars_are_one_text(text: Any, dense: TextEmbedding, reranker: TextCrossEncoder) -> None:
    np.testing.assert_array_equal(dense.embed_to_array(text), dense.embed_to_array("hello"))
    assert reranker.rank(text, ["a", "b"]) == reranker.rank("hello", ["a", "b"])
    with pytest.raises(InputTypeError, match="documents is a string"):
        reranker.rank("a", text)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (np.array(5), "documents is an int; expected a string"),
        (np.array(b"a"), "documents is a bytes; expected"),
        (Scalar(None), "documents is None; expected"),
        (ArrowStrings("a", None), "text 1 is None; expected str"),
        (np.array([1.5]), "text 0 is a float; expected str"),
        (np.array([["a"]]), "text 0 is a ndarray; expected str"),
        (memoryview(b"ab"), "documents is a memoryview; expected"),
        (ArrowStrings("a", "\ud800"), "text 1 holds the lone surrogate"),
    ],
)
def test_what_holds_no_texts_is_refused(texts: Any, message: str, dense: TextEmbedding) -> None:
    with pytest.raises((InputError, InputTypeError), match=message):
        dense.embed_to_array(texts)


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_of_numpy_count(kind: Any, dense: TextEmbedding, reranker: TextCrossEncoder) -> None:
    expected = dense.embed_to_array(["a", "b"])
    np.testing.assert_allclose(dense.embed_to_array(["a", "b"], kind(1), kind(1)), expected, atol=1e-6)
    assert dense.token_count(["a", "b"], kind(1)) == dense.token_count(["a", "b"])
    assert len(reranker.rank("a", ["a", "b"], kind(1))) == 1
    folder = dense.model_name
    model = TextEmbedding(
        folder,
        threads=kind(1),
        max_length=kind(16),
        token_budget=kind(64),
        dim=kind(8),
        device_ids=np.array([0], dtype=kind),  # type: ignore[arg-type]
        session_options={"inter_op_num_threads": kind(1)},
        truncate=np.True_,  # type: ignore[arg-type]
        lazy_load=True,
    )
    assert model.embed_to_array("a").shape == (1, 8)
    kept = [model.options[name] for name in ("threads", "max_length", "token_budget", "dim", "truncate")]
    kept += [*model.options["device_ids"], *model.options["session_options"].values()]
    assert {type(value) for value in kept} <= {int, bool}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_numbers_of_numpy_are_numbers(kind: Any, reranker: TextCrossEncoder) -> None:
    nine: Any = np.int64(9)
    sparse = SparseTextEmbedding(BM25, k=kind(1), b=kind(1), avg_len=kind(100), token_max_length=nine)
    assert [sparse.options[name] for name in ("k", "b", "avg_len", "token_max_length")] == [1.0, 1.0, 100.0, 9]
    assert {type(sparse.options[name]) for name in ("k", "b", "avg_len")} == {float}
    assert reranker.rank("a", ["b"], threshold=kind(-1000)) == reranker.rank("a", ["b"])


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(1), "1", 1.0])
def test_what_counts_nothing(value: Any, dense: TextEmbedding) -> None:
    with pytest.raises(InputTypeError, match="expected an integer"):
        dense.embed(["a"], value)


@pytest.mark.parametrize("huge", [10**30, 10**5000, 2**63], ids=["30 digits", "5000 digits", "2^63"])
def test_numbers_beyond_the_machine(huge: int, dense: TextEmbedding) -> None:
    with pytest.raises(InputError, match="batch_size must be at most"):
        dense.embed(["a"], huge)
    with pytest.raises(InputError, match=r"k=a number of over 300 digits: expected a number at least 0"):
        SparseTextEmbedding(BM25, k=10**5000)
    with pytest.raises(InputError, match="expected at least 1 token"):
        TextEmbedding(dense.model_name, max_length=huge)
    with pytest.raises(InputError, match=r"refused by ONNX Runtime|threads must be"):
        TextEmbedding(dense.model_name, threads=huge)


def test_a_batch_size_of_any_length(dense: TextEmbedding) -> None:
    np.testing.assert_array_equal(dense.embed_to_array(["a"], 2**63 - 1), dense.embed_to_array(["a"]))


# -- devices ---------------------------------------------------------------------------------------------------------


def test_no_device_is_the_machines_choice(dense: TextEmbedding) -> None:
    model = TextEmbedding(dense.model_name, cuda=None, lazy_load=True)
    assert model.options["cuda"] == "auto"
    assert model.options == TextEmbedding(dense.model_name, lazy_load=True).options


# -- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy_load", [True, False])
def test_dims_beyond_the_files(lazy_load: bool, dense: TextEmbedding) -> None:
    with pytest.raises(InputError, match=r"dim=5000: the vectors of .* have 32 numbers"):
        TextEmbedding(dense.model_name, dim=5000, lazy_load=lazy_load)


def test_dims_beyond_the_files_of_a_named_model(tmp_path: Path) -> None:
    """The catalogue's model has the length, the folder that stands in for it has not."""
    write_bert_folder(tmp_path)
    model = TextEmbedding("nomic-ai/nomic-embed-text-v1.5", specific_model_path=tmp_path, dim=256, lazy_load=True)
    with pytest.raises(InputError, match="dim=256: the graph gives vectors of 32 numbers"):
        model.embedding_size  # noqa: B018


def test_dims_of_static_models_are_those_of_the_table(tmp_path: Path) -> None:
    from tests.fixtures.dense_models import write_static
    from tests.fixtures.dense_tokenizers import write_json

    write_static(tmp_path, "pieces")
    write_json(tmp_path / "config.json", {"model_type": "model2vec", "hidden_dim": 5000})
    assert TextEmbedding(tmp_path, lazy_load=True).embedding_size == 16
    with pytest.raises(InputError, match="dim=17: the table has vectors of 16 numbers"):
        TextEmbedding(tmp_path, dim=17)
    lazy = TextEmbedding(tmp_path, dim=17, lazy_load=True)
    with pytest.raises(InputError, match="dim=17: the table has vectors of 16 numbers"):
        lazy.embedding_size  # noqa: B018

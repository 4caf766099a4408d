"""`SparseTextEmbedding`: the six models give the vectors of fastembed 0.9.1, in batches of any kind.

The golden file is made by ``tests/golden/make_sparse.py`` with the same folders.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.errors import InputError
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.sparse.spec import SparseKind
from onnxembed.sparse.vector import SparseEmbedding
from tests.fixtures.sparse_models import FOLDERS, TEXTS, write_bm25

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "sparse_fastembed.json").read_text(encoding="utf-8")
)
BOUND = 1e-5
MODELS = list(FOLDERS)
GRAPHS = [name for name in MODELS if name != "bm25"]

Open = Callable[..., SparseTextEmbedding]


@pytest.fixture(scope="module")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Open:
    root = tmp_path_factory.mktemp("sparse")
    folders: dict[str, Path] = {}

    def opened(kind: str, **options: Any) -> SparseTextEmbedding:
        name, write = FOLDERS[kind]
        if kind not in folders:
            folders[kind] = write(root / kind)
        if kind == "bm25":
            options = {"compatible": True, **options}
        return SparseTextEmbedding(name, specific_model_path=folders[kind], **options)

    return opened


def golden(kind: str, way: str) -> dict[str, Any]:
    of_kind = GOLDEN["models"]["splade" if kind == "splade_misspelt" else kind]
    found: dict[str, Any] = of_kind.get(way) or of_kind["embed"]
    return found


def assert_equal(vectors: Sequence[SparseEmbedding], kind: str, way: str, order: Sequence[int] | None = None) -> None:
    """Whole vectors where the file has them, else the number of entries and both sums."""
    known = golden(kind, way)
    whole = known["whole"]
    for position, vector in zip(range(len(TEXTS)) if order is None else order, vectors, strict=True):
        if position < len(whole):
            ids, values = whole[position]
            assert vector.indices.tolist() == ids, (position, TEXTS[position])
            assert np.abs(vector.values - values).max(initial=0) <= BOUND
        else:
            count, id_sum, value_sum = known["digests"][position - len(whole)]
            assert (len(vector), int(vector.indices.sum())) == (count, id_sum), (position, TEXTS[position])
            assert abs(vector.values.sum() - value_sum) <= BOUND * max(1, count)


def test_golden_file_belongs_to_these_texts() -> None:
    assert GOLDEN["made_with"]["fastembed"] == "0.9.1"
    assert GOLDEN["texts"] == len(TEXTS) == 200
    assert set(GOLDEN["models"]) | {"splade_misspelt"} == set(MODELS)


@pytest.mark.parametrize("kind", MODELS)
def test_vectors_equal_those_of_fastembed(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    assert_equal(list(model.embed(TEXTS)), kind, "embed")
    assert_equal(list(model.passage_embed(TEXTS)), kind, "embed")
    assert_equal(list(model.query_embed(TEXTS)), kind, "query")


@pytest.mark.parametrize("kind", MODELS)
def test_token_counts_equal_those_of_fastembed(kind: str, open_model: Open) -> None:
    model = open_model(kind, lazy_load=True)
    expected = GOLDEN["models"]["splade" if kind == "splade_misspelt" else kind]["token_count"]
    assert model.token_count(TEXTS) == expected
    assert model.token_count((text for text in TEXTS), batch_size=7) == expected
    assert model.token_count([]) == 0
    assert model.token_count("") == (0 if kind == "bm25" else 2)


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize(
    ("batch_size", "parallel", "token_budget"), [(1, None, None), (3, 2, 60), (256, None, 1), (64, 0, 100_000)]
)
def test_no_choice_of_batches_changes_a_vector(
    kind: str, batch_size: int, parallel: int | None, token_budget: int | None, open_model: Open
) -> None:
    model = open_model(kind, token_budget=token_budget)
    texts = TEXTS[:60]
    order = range(len(texts))
    assert_equal(list(model.embed(iter(texts), batch_size, parallel)), kind, "embed", order)
    assert_equal(list(model.query_embed(iter(texts), batch_size, parallel)), kind, "query", order)


@pytest.mark.parametrize("kind", MODELS)
def test_neither_order_nor_neighbours_change_a_vector(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    order = list(range(len(TEXTS)))
    random.Random(5).shuffle(order)
    assert_equal(list(model.embed(TEXTS[position] for position in order)), kind, "embed", order)
    alone = [next(model.embed(text)) for text in TEXTS[:12]]
    assert_equal(alone, kind, "embed", range(12))


@pytest.mark.parametrize("kind", MODELS)
def test_every_vector_has_one_form(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    for vector in [*model.embed(TEXTS[:30]), *model.query_embed(TEXTS[:30])]:
        assert (vector.values.dtype, vector.indices.dtype) == (np.dtype(np.float64), np.dtype(np.int64))
        assert (np.diff(vector.indices) > 0).all()
        assert np.isfinite(vector.values).all()


@pytest.mark.parametrize("kind", ["bm42", "bm25", "minicoil"])
def test_texts_without_a_word_that_counts_have_the_empty_vector(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    texts = ["", " \n", "the and of", "?! ..."]
    for vectors in (model.embed(texts), model.query_embed(texts)):
        assert [(len(one), one.values.shape, one.indices.dtype) for one in vectors] == [
            (0, (0,), np.dtype(np.int64))
        ] * 4


@pytest.mark.parametrize("kind", MODELS)
def test_asynchronous_twins(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    texts = TEXTS[:30]

    async def all_ways() -> tuple[list[SparseEmbedding], ...]:
        return (
            [one async for one in model.aembed(texts)],
            [one async for one in model.apassage_embed(texts, 4)],
            [one async for one in model.aquery_embed(texts)],
            await model.run_async(lambda: list(model.embed(texts[:3]))),
        )

    documents, passages, queries, three = asyncio.run(all_ways())
    assert_equal(documents, kind, "embed", range(30))
    assert_equal(passages, kind, "embed", range(30))
    assert_equal(queries, kind, "query", range(30))
    assert_equal(three, kind, "embed", range(3))


def test_generators_are_read_as_results_are_taken(open_model: Open) -> None:
    def endless() -> Any:
        while True:
            yield from TEXTS[:40]

    stream = open_model("splade").embed(endless())
    assert_equal([next(stream) for _ in range(40)], "splade", "embed", range(40))
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", MODELS)
def test_facts(kind: str, open_model: Open) -> None:
    model = open_model(kind, lazy_load=True)
    assert model.model_name == FOLDERS[kind][0]
    assert model.requires_idf is (kind in ("bm42", "bm25", "minicoil"))
    assert model.max_length == (None if kind == "bm25" else 48)
    assert model.kind.value.lower() == kind.removesuffix("_misspelt")
    assert model.max_concurrency >= 2
    assert repr(model) == f"SparseTextEmbedding('{FOLDERS[kind][0]}')"


# -- BM25 without any file -------------------------------------------------------------------------------------------


def test_bm25_needs_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = SparseTextEmbedding("qdrant/BM25", cache_dir=tmp_path / "empty")
    assert model.model_name == "Qdrant/bm25"
    assert model.loaded
    (vector,) = model.embed("the quick brown fox is jumping")
    assert len(vector) == 4
    assert not (tmp_path / "empty").exists()


def test_bm25_takes_the_stop_words_of_a_folder(tmp_path: Path) -> None:
    write_bm25(tmp_path)
    (tmp_path / "german.txt").write_text("straße\n", encoding="utf-8")
    own = SparseTextEmbedding("Qdrant/bm25", specific_model_path=tmp_path, language="de")
    carried = SparseTextEmbedding("Qdrant/bm25", language="german")
    text = "die Straße"
    assert [len(next(own.embed(text))), len(next(carried.embed(text)))] == [1, 1]
    assert next(own.embed(text)) != next(carried.embed(text))
    assert own.fingerprint != carried.fingerprint


def test_bm25_takes_the_stop_words_of_a_cached_copy(tmp_path: Path) -> None:
    commit = "a" * 40
    repository = tmp_path / "models--Qdrant--bm25"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    (snapshot / "english.txt").write_text("hello\n", encoding="utf-8")
    cached = SparseTextEmbedding("Qdrant/bm25", cache_dir=tmp_path)
    plain = SparseTextEmbedding("Qdrant/bm25")
    assert [len(next(model.embed("hello the world"))) for model in (cached, plain)] == [2, 2]
    assert next(cached.embed("hello the world")) != next(plain.embed("hello the world"))


def test_fit_gives_a_new_object_with_statistics() -> None:
    model = SparseTextEmbedding("Qdrant/bm25", k=1.5)
    texts = ["hello world", "hello quick brown fox", "world of foxes"]
    fitted = model.fit(texts)
    assert fitted is not model
    assert fitted.options["statistics"].avg_len == pytest.approx((2 + 4 + 2) / 3)
    assert next(fitted.embed(texts[0])).values == pytest.approx([2.5 / (1 + 1.5 * (0.25 + 0.75 * 2 * 3 / 8))] * 2)
    assert next(model.embed(texts[0])).values == pytest.approx([2.5 / (1 + 1.5 * (0.25 + 0.75 * 2 / 256))] * 2)
    with_idf = SparseTextEmbedding("Qdrant/bm25", k=1.5, statistics=fitted.options["statistics"], idf_in_query=True)
    assert (with_idf.requires_idf, fitted.requires_idf) == (False, True)
    rare, frequent = next(with_idf.query_embed("brown")).values[0], next(with_idf.query_embed("fox")).values[0]
    assert rare > frequent
    assert next(fitted.query_embed("brown")).values.tolist() == [1.0]


def test_a_fitted_object_is_made_again_by_its_options() -> None:
    model = SparseTextEmbedding("Qdrant/bm25", k=1.5, stopwords=["fox"], lazy_load=True)
    texts = ["hello world", "hello quick brown fox", "world of foxes"]
    assert model.loaded
    fitted = asyncio.run(model.afit(iter(texts), 2))
    assert fitted.statistics == model.fit(texts).statistics
    assert model.statistics is None
    assert fitted.options["avg_len"] is None
    for again in (SparseTextEmbedding(**fitted.options), pickle.loads(pickle.dumps(fitted))):
        assert again.options == fitted.options
        assert again.fingerprint == fitted.fingerprint
        assert list(again.embed(texts)) == list(fitted.embed(texts))
    assert asyncio.run(fitted.atoken_count(texts)) == 9


def test_only_bm25_can_be_fitted(open_model: Open) -> None:
    with pytest.raises(InputError, match=r"a BM42 model; only BM25 models measure a collection with fit\(\)"):
        open_model("bm42", lazy_load=True).fit(["hello"])


# -- models ----------------------------------------------------------------------------------------------------------


def test_list_of_models() -> None:
    listed = SparseTextEmbedding.list_supported_models()
    assert [entry["model"] for entry in listed[:6]] == [
        "prithivida/Splade_PP_en_v1",
        "prithvida/Splade_PP_en_v1",
        "Qdrant/bm42-all-minilm-l6-v2-attentions",
        "Qdrant/bm25",
        "Qdrant/minicoil-v1",
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte",
    ]
    assert [entry["requires_idf"] for entry in listed[:6]] == [False, False, True, True, True, False]
    assert [entry["vocab_size"] for entry in listed[:6]] == [30522, 30522, 30522, 0, 19125, 30522]
    assert listed[4]["additional_files"] == [
        "stopwords.txt",
        "minicoil.triplet.model.npy",
        "minicoil.triplet.model.vocab",
    ]


@pytest.mark.parametrize("kind", GRAPHS)
def test_folder_tells_its_kind(kind: str, tmp_path: Path) -> None:
    folder = FOLDERS[kind][1](tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 128}), encoding="utf-8")
    model = SparseTextEmbedding(folder)
    assert model.model_name == str(folder)
    assert model.kind is SparseKind(kind.removesuffix("_misspelt").upper())
    assert model.requires_idf is (kind in ("bm42", "minicoil"))
    assert_equal(list(model.embed(TEXTS[:20])), kind, "embed", range(20))

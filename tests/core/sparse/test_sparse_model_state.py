"""`SparseTextEmbedding` as an object: shared, copied, pickled, forked, told apart."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from onnxembed.sparse.model import SparseTextEmbedding
from tests.fixtures.sparse_models import FOLDERS, TEXTS, write_bm25, write_bm42

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
        return SparseTextEmbedding(name, specific_model_path=folders[kind], **options)

    return opened


def in_child(model: SparseTextEmbedding, texts: list[str]) -> list[dict[int, float]]:
    return [vector.as_dict() for vector in [*model.embed(texts), *model.query_embed(texts)]]


@pytest.mark.parametrize("kind", MODELS)
def test_copies_are_the_object_itself(kind: str, open_model: Open) -> None:
    model = open_model(kind, lazy_load=True)
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model
    assert copy.deepcopy([model])[0] is model


@pytest.mark.parametrize("kind", MODELS)
def test_pickles_are_small_and_give_the_same(kind: str, open_model: Open) -> None:
    model = open_model(kind)
    content = pickle.dumps(model)
    assert len(content) < 4000
    again = pickle.loads(content)
    assert again.options == model.options
    assert again.fingerprint == model.fingerprint
    assert in_child(again, list(TEXTS[:20])) == in_child(model, list(TEXTS[:20]))


@pytest.mark.parametrize("kind", MODELS)
def test_options_make_the_object_again(kind: str, open_model: Open) -> None:
    special: dict[str, dict[str, Any]] = {
        "splade": {"top_k": 9, "min_weight": 0.25, "max_length": 12},
        "bm42": {"alpha": 0.75, "truncate": False},
        "minicoil": {"k": 0.5, "b": 0.25, "avg_len": 12.0, "token_budget": 99},
        "bm25": {"language": "german", "k": 2.0, "stopwords": ["fox"], "compatible": True},
    }
    model = open_model(kind, **special.get(kind, {}))
    again = SparseTextEmbedding(**model.options)
    assert again.options == model.options
    assert again.fingerprint == model.fingerprint
    assert in_child(again, ["hello world fox"]) == in_child(model, ["hello world fox"])
    assert {name: model.options[name] for name in special.get(kind, {}) if name != "stopwords"} == {
        name: value for name, value in special.get(kind, {}).items() if name != "stopwords"
    }


@pytest.mark.parametrize(
    ("kind", "method"), [("bm25", "fork"), ("bm42", "fork"), ("minicoil", "fork"), ("bm42", "spawn")]
)
def test_other_processes_give_the_same(kind: str, method: str, open_model: Open) -> None:
    model = open_model(kind)
    expected = in_child(model, list(TEXTS[:9]))
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(in_child, (model, list(TEXTS[:9]))) == expected


@pytest.mark.parametrize("kind", MODELS)
def test_threads_share_one_object(kind: str, open_model: Open) -> None:
    model = open_model(kind, lazy_load=True)
    texts = list(TEXTS[:40])
    begin = threading.Barrier(6)

    def work(_: int) -> list[dict[int, float]]:
        begin.wait()
        return in_child(model, texts)

    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(work, range(6)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("kind", GRAPHS)
def test_objects_with_equal_settings_share_their_engine(
    kind: str, open_model: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = open_model(kind)
    other = open_model(kind, truncate=False, token_budget=7, lazy_load=True)
    assert other.loaded
    monkeypatch.setattr("onnxembed.api.engine.Session", None)  # no weights are loaded again
    texts = TEXTS[:3]
    assert list(map(len, other.embed(texts))) == list(map(len, one.embed(texts)))
    assert open_model(kind, max_length=17, lazy_load=True).loaded is False


def test_lazy_models_load_on_first_use(open_model: Open) -> None:
    model = open_model("splade", max_length=19, lazy_load=True)
    assert not model.loaded
    stream = model.aembed(["hello"])
    assert not model.loaded
    assert len(list(model.embed(["hello"]))) == 1
    assert model.loaded
    del stream


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("splade", {"top_k": 5}),
        ("splade", {"min_weight": 0.5}),
        ("splade", {"max_length": 7}),
        ("splade", {"truncate": False}),
        ("inference_free", {"top_k": 5}),
        ("bm42", {"alpha": 0.7}),
        ("minicoil", {"k": 1.0}),
        ("minicoil", {"b": 1.0}),
        ("minicoil", {"avg_len": 256.0}),
        ("bm25", {"k": 1.0}),
        ("bm25", {"b": 1.0}),
        ("bm25", {"avg_len": 150.0}),
        ("bm25", {"language": "german"}),
        ("bm25", {"stopwords": ["fox"]}),
        ("bm25", {"compatible": True}),
        ("bm25", {"token_max_length": 10}),
        ("bm25", {"disable_stemmer": True}),
    ],
)
def test_fingerprint_changes_with_every_option_that_counts(
    kind: str, options: dict[str, Any], open_model: Open
) -> None:
    assert open_model(kind, lazy_load=True, **options).fingerprint != open_model(kind, lazy_load=True).fingerprint


def test_fingerprint_changes_with_statistics() -> None:
    model = SparseTextEmbedding("Qdrant/bm25")
    first, second = (
        model.fit(texts).options["statistics"] for texts in (["hello world", "fox"], ["hello", "fox of x"])
    )
    seen = {
        SparseTextEmbedding("Qdrant/bm25", statistics=statistics, idf_in_query=True, avg_len=5.0).fingerprint
        for statistics in (first, second)
    }
    assert len(seen) == 2


def test_fingerprint_does_not_change_with_the_rest(open_model: Open, tmp_path: Path) -> None:
    plain = open_model("bm42", lazy_load=True)
    assert open_model("bm42", lazy_load=True, threads=1, token_budget=9).fingerprint == plain.fingerprint
    moved = SparseTextEmbedding(plain.model_name, specific_model_path=write_bm42(tmp_path), lazy_load=True)
    assert moved.fingerprint == plain.fingerprint
    assert not moved.loaded
    assert SparseTextEmbedding("Qdrant/bm25", specific_model_path=write_bm25(tmp_path)).fingerprint == (
        open_model("bm25").fingerprint
    )


def test_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    name = FOLDERS["bm42"][0]
    before = SparseTextEmbedding(name, specific_model_path=write_bm42(tmp_path)).fingerprint
    (tmp_path / "stopwords.txt").write_text("hello\n", encoding="utf-8")
    assert SparseTextEmbedding(name, specific_model_path=tmp_path).fingerprint != before

"""The stand-in gives the numbers of fastembed 0.9.1.

The golden files hold what the real one gave for the same folders; most of their makers run here over the stand-in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
)
from fastembed.postprocess import Muvera
from fastembed.sparse.bm25 import Bm25
from fastembed.text.custom_text_embedding import CustomTextEmbedding

from tests.fixtures.dense_models import VARIANTS, variant
from tests.fixtures.image_models import VARIANTS as IMAGES
from tests.fixtures.image_models import image_variant, pictures, write_image_variant
from tests.fixtures.images import golden_bound
from tests.fixtures.late_interaction_models import DOCUMENTS, FORMS
from tests.fixtures.late_interaction_models import QUERIES as QUESTIONS
from tests.fixtures.late_interaction_models import write_form as write_late_form
from tests.fixtures.multimodal_models import COLMODERNVBERT, COLPALI, DIM, QUERIES, Form, write_form
from tests.fixtures.multimodal_models import pictures as pages
from tests.fixtures.rerank_models import VARIANTS as RERANKERS
from tests.fixtures.rerank_models import variant as reranker
from tests.fixtures.sparse_models import FOLDERS, TEXTS
from tests.golden.make_dense import variant_results
from tests.golden.make_rerank import results as rerank_results
from tests.golden.make_sparse import vectors

GOLDEN = Path(__file__).parents[1] / "golden"
BOUND = 1e-5
PICTURE_BOUND = golden_bound(BOUND, old_pillow=0.02)


def golden(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return read


@pytest.fixture(autouse=True)
def _own_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr(CustomTextEmbedding, "SUPPORTED_MODELS", [])
    monkeypatch.setattr(CustomTextEmbedding, "POSTPROCESSING_MAPPING", {})


@pytest.mark.parametrize("name", [one.name for one in VARIANTS])
def test_dense(name: str, tmp_path: Path) -> None:
    theirs = golden("dense_fastembed.json")["variants"][name]
    ours = variant_results(variant(name), tmp_path)
    assert ours.keys() == theirs.keys()
    bound = 2.0**-11 if name.startswith("float16") else BOUND  # the last place of float16
    for way, rows in theirs.items():
        assert np.abs(np.array(ours[way]) - np.array(rows)).max() <= bound, way


@pytest.mark.parametrize("kind", [kind for kind in FOLDERS if kind != "splade_misspelt"])
def test_sparse(kind: str, tmp_path: Path) -> None:
    name, write = FOLDERS[kind]
    theirs = golden("sparse_fastembed.json")["models"][kind]
    model = SparseTextEmbedding(name, specific_model_path=str(write(tmp_path)), threads=1)
    ways: dict[str, Callable[..., Any]] = {"embed": model.embed, "query": model.query_embed}
    for way, embed in ways.items():
        if way in theirs:
            ours = vectors(embed(TEXTS))
            for (keys, values), (their_keys, their_values) in zip(ours["whole"], theirs[way]["whole"], strict=True):
                assert keys == their_keys
                assert np.allclose(values, their_values, atol=BOUND)
            assert [digest[:2] for digest in ours["digests"]] == [digest[:2] for digest in theirs[way]["digests"]]
    assert model.token_count(TEXTS) == theirs["token_count"]


def test_bm25_to_the_last_digit() -> None:
    rows = json.loads((GOLDEN / "bm25_fastembed.json").read_text(encoding="utf-8"))
    stop_words = Path(__file__).parents[2] / "core" / "onnxembed" / "sparse" / "stop_words"
    models: dict[str, Bm25] = {}
    for row in rows:
        language = row["language"]
        if language not in models:
            models[language] = Bm25("Qdrant/bm25", language=language, specific_model_path=str(stop_words))
        (document,) = models[language].embed([row["text"]])
        (query,) = models[language].query_embed([row["text"]])
        assert [list(entry) for entry in document.as_dict().items()] == row["document"]
        assert query.indices.tolist() == row["query"]
        assert models[language].token_count([row["text"]]) == row["token_count"]


@pytest.mark.parametrize("name", [form.name for form in FORMS])
def test_late_interaction(name: str, tmp_path: Path) -> None:
    theirs = golden("late_interaction.json")["forms"][name]
    folder = write_late_form(tmp_path, next(form for form in FORMS if form.name == name))
    model = LateInteractionTextEmbedding(name, specific_model_path=str(folder), cuda=False)
    for ours, rows in (
        (model.embed(list(DOCUMENTS)), theirs["documents"]),
        (model.query_embed(list(QUESTIONS)), theirs["queries"]),
    ):
        for vectors_here, their_vectors in zip(ours, rows, strict=True):
            assert np.allclose(vectors_here, np.array(their_vectors).reshape(vectors_here.shape), atol=BOUND)
    counts = {
        f"{side}{'_extended' if extended else ''}": model.token_count(
            list(texts), is_doc=side == "documents", include_extension=extended
        )
        for side, texts in (("documents", DOCUMENTS), ("queries", QUESTIONS))
        for extended in (True, False)
    }
    assert counts == theirs["counts"]


@pytest.mark.parametrize("name", [one.name for one in RERANKERS])
def test_rerank(name: str, tmp_path: Path) -> None:
    theirs = golden("rerank_fastembed.json")["variants"][name]
    ours = rerank_results(reranker(name), tmp_path)
    for way in ("rerank", "rerank_pairs"):
        assert np.allclose(ours[way], theirs[way], atol=BOUND), way
    assert ours["token_counts"] == theirs["token_counts"]


@pytest.mark.parametrize("name", [one.name for one in IMAGES])
def test_images(name: str, tmp_path: Path) -> None:
    one = image_variant(name)
    model = ImageEmbedding(one.model, specific_model_path=str(write_image_variant(tmp_path, one)), cuda=False)
    ours = np.stack(list(model.embed(pictures(), batch_size=np.int64(1))))
    assert np.abs(ours - np.array(golden("image_fastembed.json")["variants"][name]["pictures"])).max() <= PICTURE_BOUND
    assert model.model.embedding_size == ours.shape[1]


@pytest.mark.parametrize("kind", [COLPALI, COLMODERNVBERT])
def test_multimodal(kind: str, tmp_path: Path) -> None:
    theirs = golden("multimodal.json")[kind]
    model = LateInteractionMultimodalEmbedding(kind, specific_model_path=str(write_form(tmp_path, Form(kind))))
    for ours, rows in (
        (model.embed_text(list(QUERIES), batch_size=2), theirs["texts"]),
        (model.embed_image(pages(), parallel=2), theirs["images"]),
    ):
        for vectors_here, expected in zip(ours, rows, strict=True):
            assert list(vectors_here.shape) == expected["shape"]
            assert np.abs(vectors_here[:, 0] - expected["first"]).max() <= PICTURE_BOUND
    counts = [model.token_count(list(QUERIES), include_extension=extended) for extended in (False, True)]
    assert counts == theirs["counts"]
    assert model.model.embedding_size == DIM


def test_muvera_in_double_precision() -> None:
    for case in golden("muvera_fastembed.json")["cases"]:
        muvera = Muvera(*case["settings"])
        rows = np.random.default_rng(case["rows"]).standard_normal((case["rows"], muvera.dim)).astype(case["type"])
        rows[-1] = 0
        for name, vector in (
            ("document", muvera.process_document(rows)),
            ("query", muvera.process_query(rows)),
            ("filled_sums", muvera.process(rows, fill_empty_clusters=True, normalize_by_count=False)),
            ("means", muvera.process(rows, fill_empty_clusters=False, normalize_by_count=True)),
        ):
            their = case["results"][name]
            assert vector.dtype == np.float64
            assert np.allclose(vector[::97][:60], their["every_97th"], rtol=0, atol=1e-8)
            assert vector.sum() == pytest.approx(their["sum"], rel=1e-9, abs=1e-9)
            assert np.linalg.norm(vector) == pytest.approx(their["norm"], rel=1e-12)

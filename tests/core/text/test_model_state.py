"""Copies, pickles, shared engines and fingerprints: what travels, and what tells two models apart."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxembed import TextEmbedding
from onnxembed.api import engine
from onnxembed.runtime.session import Session
from tests.fixtures.dense_models import TEXTS, variant, write_variant
from tests.fixtures.dense_tokenizers import TokenizerForm, write_tokenizer
from tests.fixtures.spies import spied

if TYPE_CHECKING:
    from tests.core.conftest import FolderOf
    from tests.core.text.conftest import OpenVariant


def embed_elsewhere(model: TextEmbedding, texts: list[str]) -> tuple[int, np.ndarray]:
    """Run in another process."""
    return os.getpid(), model.embed_to_array(texts)


def test_pickles_hold_settings_and_no_weights(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    vectors = model.embed_to_array(TEXTS)
    pickled = pickle.dumps(model)
    assert len(pickled) < 2000
    again = pickle.loads(pickled)
    assert np.array_equal(again.embed_to_array(TEXTS), vectors)
    assert again.options == model.options
    assert again.fingerprint == model.fingerprint


def test_pickles_are_opened_lazily(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm", lazy_load=True, max_length=39)
    again = pickle.loads(pickle.dumps(model))
    assert not again.loaded
    next(again.embed("a"))
    assert again.loaded


@pytest.mark.parametrize("name", ["custom_last", "static_words"])
def test_pickles_survive_in_a_spawned_process(name: str, open_variant: OpenVariant) -> None:
    """Models that were added in this process are not known in the other one; they travel with their description."""
    model = open_variant(name)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        process, vectors = pool.submit(embed_elsewhere, model, list(TEXTS)).result(timeout=60)
    assert process != os.getpid()
    assert np.array_equal(vectors, model.embed_to_array(TEXTS))


def test_copies_are_the_same_object(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm")
    assert copy.copy(model) is model
    assert copy.deepcopy({"model": model})["model"] is model


def test_equal_settings_share_an_engine(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm", max_length=38)
    assert model.loaded
    same = [
        open_variant(
            "mean_norm",
            max_length=38,
            normalize=False,
            query_prompt="x",
            truncate=False,
            token_budget=3,
            lazy_load=True,
        ),
        open_variant("mean_norm", max_length=38, lazy_load=True),
        pickle.loads(pickle.dumps(model)),
    ]
    assert all(one.loaded for one in same)
    others = [
        open_variant("mean_norm", max_length=37, lazy_load=True),
        open_variant("mean_norm", max_length=38, threads=1, lazy_load=True),
        open_variant("mean_norm", max_length=38, pooling="CLS", lazy_load=True),
        open_variant("mean_norm", max_length=38, enable_cpu_mem_arena=False, lazy_load=True),
    ]
    assert not any(one.loaded for one in others)


def test_engines_go_with_their_last_user(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm", max_length=36)
    assert open_variant("mean_norm", max_length=36, lazy_load=True).loaded
    del model
    gc.collect()
    assert not open_variant("mean_norm", max_length=36, lazy_load=True).loaded


def test_many_threads_open_one_engine(open_variant: OpenVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    open_variant("cls", max_length=35, lazy_load=True)  # writes the folder
    start, opened = threading.Barrier(8), []
    monkeypatch.setattr(engine, "Session", spied(Session, lambda *given: opened.append(1)))

    def embedded(_: int) -> tuple[TextEmbedding, np.ndarray]:
        start.wait()
        model = open_variant("cls", max_length=35, lazy_load=True)
        return model, model.embed_to_array(["hello"])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(embedded, range(8)))
    assert opened == [1]
    assert all(np.array_equal(vectors, results[0][1]) for _, vectors in results)


# -- fingerprints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"normalize": False},
        {"pooling": "CLS"},
        {"max_length": 10},
        {"query_prompt": "q"},
        {"passage_prompt": "p"},
        {"truncate": False},
    ],
)
def test_fingerprint_changes_with_what_changes_vectors(option: dict[str, object], open_variant: OpenVariant) -> None:
    plain = open_variant("mean_norm").fingerprint
    assert len(plain) == 32
    assert int(plain, 16)
    assert open_variant("mean_norm", **option).fingerprint != plain


def test_fingerprint_changes_with_length_and_task(open_variant: OpenVariant) -> None:
    assert open_variant("mean").fingerprint != open_variant("mean", dim=8).fingerprint
    assert open_variant("jina_v3").fingerprint != open_variant("jina_v3", task_id=4).fingerprint


def test_fingerprint_does_not_change_with_the_rest(open_variant: OpenVariant, tmp_path: Path) -> None:
    plain = open_variant("mean_norm", lazy_load=True)
    expected = plain.fingerprint
    assert open_variant("mean_norm", threads=1, token_budget=5, enable_cpu_mem_arena=False).fingerprint == expected
    list(plain.embed(["a", "b"], batch_size=1, parallel=2))
    assert plain.fingerprint == expected
    moved = write_variant(tmp_path / "elsewhere", variant("mean_norm"))
    assert TextEmbedding(plain.model_name, specific_model_path=moved).fingerprint == expected


def test_fingerprint_loads_no_weights(open_variant: OpenVariant) -> None:
    model = open_variant("mean_norm", max_length=34, lazy_load=True)
    assert model.fingerprint
    assert not model.loaded


def test_fingerprint_changes_with_the_files(folder_of: FolderOf, tmp_path: Path) -> None:
    name = variant("external").model
    folder = tmp_path / "model"
    shutil.copytree(folder_of("external"), folder)
    seen = {TextEmbedding(name, specific_model_path=folder).fingerprint}
    data = folder / "model.onnx_data"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    seen.add(TextEmbedding(name, specific_model_path=folder).fingerprint)
    write_tokenizer(folder, TokenizerForm(config={"padding_side": "left"}))
    seen.add(TextEmbedding(name, specific_model_path=folder).fingerprint)
    assert len(seen) == 3

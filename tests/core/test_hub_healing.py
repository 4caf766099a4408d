"""Whichever reader finds a cached file unreadable, it is fetched again once, and the results are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
    TextCrossEncoder,
    TextEmbedding,
)
from tests.fixtures.dense_models import write_static
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.image_models import image_variant, write_image_variant
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.multimodal_models import COLMODERNVBERT, Form
from tests.fixtures.multimodal_models import write_form as write_multimodal
from tests.fixtures.public_calls import CALLS
from tests.fixtures.rerank_models import variant, write_variant
from tests.fixtures.sparse_models import write_bm42, write_inference_free, write_minicoil, write_splade

__all__ = ["hub_server"]


def _static(folder: Path) -> None:
    folder.mkdir()
    write_static(folder, "unigrams")


@dataclass(frozen=True)
class Published:
    """A model of the catalogue, what stands in for its files, and which of these the short test damages."""

    open: Any
    name: str
    write: Callable[[Path], object]
    call: str
    damaged: tuple[str, ...]


MODELS = {
    "static": Published(TextEmbedding, "minishlab/potion-base-8M", _static, "text.embed", ("tokenizer.json",)),
    "splade": Published(SparseTextEmbedding, "prithivida/Splade_PP_en_v1", write_splade, "sparse.embed", ()),
    "inference-free": Published(
        SparseTextEmbedding,
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte",
        write_inference_free,
        "sparse.query_embed",
        ("idf.json",),
    ),
    "bm42": Published(
        SparseTextEmbedding, "Qdrant/bm42-all-minilm-l6-v2-attentions", write_bm42, "sparse.embed", ("config.json",)
    ),
    "minicoil": Published(
        SparseTextEmbedding,
        "Qdrant/minicoil-v1",
        write_minicoil,
        "sparse.embed",
        ("minicoil.triplet.model.npy", "minicoil.triplet.model.vocab"),
    ),
    "late": Published(
        LateInteractionTextEmbedding,
        FORMS[0].name,
        lambda folder: write_form(folder, FORMS[0]),
        "late.query_embed",
        ("tokenizer.json",),
    ),
    "rerank": Published(
        TextCrossEncoder,
        variant("minilm_6").model,
        lambda folder: write_variant(folder, variant("minilm_6")),
        "rerank.rerank",
        ("tokenizer_config.json",),
    ),
    "image": Published(
        ImageEmbedding,
        "Qdrant/clip-ViT-B-32-vision",
        lambda folder: write_image_variant(folder, image_variant("clip")),
        "image.embed",
        ("preprocessor_config.json",),
    ),
    "multimodal": Published(
        LateInteractionMultimodalEmbedding,
        COLMODERNVBERT,
        lambda folder: write_multimodal(folder, Form(COLMODERNVBERT)),
        "multimodal.embed_image",
        ("processor_config.json", "tokenizer.json"),
    ),
}
SHORT = [(model, name) for model, published in MODELS.items() for name in published.damaged]


def results(model: Any, published: Published) -> np.ndarray:
    call = next(call for call in CALLS if str(call) == published.call)
    found = []
    for result in call.call(model, list(call.items(3))):
        parts = (result.indices, result.values) if hasattr(result, "indices") else (result,)
        found += [np.ravel(np.asarray(part, dtype=np.float64)) for part in parts]
    return np.concatenate(found)


@pytest.fixture
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return hub_server


def publish(hub: HubServer, published: Published, folder: Path) -> str:
    """Give the repository that the model's name stands for."""
    published.write(folder)
    listed = next(one for one in published.open.list_supported_models() if one["model"] == published.name)
    repository: str = listed["sources"]["hf"]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.add_repo(repository, files)
    return repository


def check(hub: HubServer, model: str, names: tuple[str, ...], tmp_path: Path) -> int:
    """Damage files one after the other, those named or all that are small; say how many."""
    published = MODELS[model]
    repository = publish(hub, published, tmp_path / "published")
    opened = published.open(published.name)
    expected, fingerprint = results(opened, published), getattr(opened, "fingerprint", "")
    del opened
    snapshot = next(path for path in (tmp_path / "cache").glob("models--*/snapshots/*"))
    small = [path for path in sorted(snapshot.rglob("*")) if path.is_file() and path.suffix not in (".onnx", "")]
    chosen = [path for path in small if path.relative_to(snapshot).as_posix() in names] if names else small
    for path in chosen:
        path.resolve().write_bytes(b"\xff" * path.stat().st_size)
        hub.forget_requests()
        opened = published.open(published.name)
        np.testing.assert_array_equal(results(opened, published), expected, err_msg=path.name)
        assert hub.fetched(repository) == [path.relative_to(snapshot).as_posix()]
        assert getattr(opened, "fingerprint", "") == fingerprint
        del opened
    return len(chosen)


@pytest.mark.parametrize(("model", "name"), SHORT)
def test_an_unreadable_file_is_fetched_again(hub: HubServer, model: str, name: str, tmp_path: Path) -> None:
    assert check(hub, model, (name,), tmp_path) == 1


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_any_unreadable_file_is_fetched_again(hub: HubServer, model: str, tmp_path: Path) -> None:
    assert check(hub, model, (), tmp_path) >= 1

"""An image model through a hub: its processor's file is needed, a tokenizer is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxembed.errors import ModelNotFoundError
from onnxembed.image.model import ImageEmbedding
from onnxembed.spec import ModelSource
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.image_models import HIDDEN, pictures

if TYPE_CHECKING:
    from tests.core.image.conftest import ImageFolderOf

__all__ = ["hub_server"]

REPOSITORY = "org/image"
NAME = "custom/image"


@pytest.fixture
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    ImageEmbedding.add_custom_model(NAME, ModelSource(hf=REPOSITORY), HIDDEN, "onnx/vision_model.onnx")
    return hub_server


def publish(hub: HubServer, folder: Path, *left_out: str) -> None:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    further = {"onnx/text_model.onnx": b"text", "tokenizer.json": b"{}", "README.md": b"about"}
    published = {**files, **further}
    hub.add_repo(REPOSITORY, {name: content for name, content in published.items() if name not in left_out})


def test_download_then_no_request_at_all(hub: HubServer, image_folder: ImageFolderOf) -> None:
    publish(hub, image_folder("jina_clip"))
    expected = ImageEmbedding(image_folder("jina_clip")).embed_to_array(pictures())
    np.testing.assert_allclose(ImageEmbedding(NAME).embed_to_array(pictures()), expected, atol=1e-6)
    assert sorted(hub.fetched(REPOSITORY)) == ["onnx/vision_model.onnx", "preprocessor_config.json"]
    hub.forget_requests()
    offline = ImageEmbedding(NAME, local_files_only=True, threads=1)
    np.testing.assert_allclose(offline.embed_to_array(pictures()), expected, atol=1e-6)
    assert hub.requests == []


def test_repository_without_a_processor(hub: HubServer, image_folder: ImageFolderOf) -> None:
    publish(hub, image_folder("jina_clip"), "preprocessor_config.json")
    with pytest.raises(ModelNotFoundError, match=r"preprocessor_config\.json"):
        ImageEmbedding(NAME)

"""Small image models of every form, and no way to the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onnxembed.image.known import image_registry
from onnxembed.image.model import ImageEmbedding
from tests.fixtures.image_models import image_variant, write_image_variant

ImageFolderOf = Callable[[str], Path]
OpenImageVariant = Callable[..., ImageEmbedding]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _registry_unchanged() -> Iterator[None]:
    before = {model.name for model in image_registry.models()}
    yield
    for name in {model.name for model in image_registry.models()} - before:
        image_registry.remove(name)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> ImageFolderOf:
    """The folder of a variant, written on first use; not to be changed."""
    root = tmp_path_factory.mktemp("image-models")
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write_image_variant(root / name, image_variant(name))
        return written[name]

    return folder


@pytest.fixture
def open_image_variant(image_folder: ImageFolderOf) -> OpenImageVariant:
    """Open a variant under its name in the catalogue; further ones as folders."""

    def opened(name: str, **options: object) -> ImageEmbedding:
        one, folder = image_variant(name), image_folder(name)
        if not one.model:
            return ImageEmbedding(folder, **options)  # type: ignore[arg-type]
        return ImageEmbedding(one.model, specific_model_path=folder, **options)  # type: ignore[arg-type]

    return opened

"""Small cross-encoders of every form, and no way to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onnxembed.catalog.registry import Registry
from onnxembed.rerank.known import rerank_registry
from onnxembed.rerank.model import TextCrossEncoder
from onnxembed.spec import ModelSource
from tests.fixtures.rerank_models import variant, write_variant

FolderOf = Callable[[str], Path]
OpenVariant = Callable[..., TextCrossEncoder]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _registry_unchanged() -> Iterator[None]:
    def names(registry: Registry[Any]) -> set[str]:
        return {model.name for model in registry.models()}

    before = names(rerank_registry)
    yield
    for name in names(rerank_registry) - before:
        rerank_registry.remove(name)


@pytest.fixture(scope="session")
def rerank_folder(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """The folder of a variant, written on first use; not to be changed."""
    root = tmp_path_factory.mktemp("cross-encoders")
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write_variant(root / name, variant(name))
        return written[name]

    return folder


@pytest.fixture
def open_variant(rerank_folder: FolderOf) -> OpenVariant:
    """Open a variant by its name in the catalogue, or as a model that is added for the test."""

    def opened(name: str, **options: object) -> TextCrossEncoder:
        one = variant(name)
        if not rerank_registry.holds(one.model):
            TextCrossEncoder.add_custom_model(one.model, ModelSource(hf=one.model), model_file=one.model_file)
        return TextCrossEncoder(one.model, specific_model_path=rerank_folder(name), **options)  # type: ignore[arg-type]

    return opened

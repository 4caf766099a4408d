"""Small models of every kind, and no way to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from onnxembed import ModelSource, TextEmbedding
from onnxembed.text.known import dense_registry
from tests.core.conftest import FolderOf
from tests.fixtures.dense_graphs import HIDDEN
from tests.fixtures.dense_models import variant

OpenVariant = Callable[..., TextEmbedding]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def open_variant(folder_of: FolderOf) -> Iterator[OpenVariant]:
    """Open a variant by its name in the catalogue, or as a model that is added for the test."""
    added: list[str] = []

    def opened(name: str, **options: object) -> TextEmbedding:
        one = variant(name)
        if one.custom is not None and one.model not in added:
            TextEmbedding.add_custom_model(
                one.model,
                one.custom.pooling,
                one.custom.normalize,
                ModelSource(hf=one.model),
                HIDDEN,
                model_file=one.model_file,
                output_name=one.custom.output,
            )
            added.append(one.model)
        return TextEmbedding(one.model, specific_model_path=folder_of(name), **options)  # type: ignore[arg-type]

    yield opened
    for model in added:
        dense_registry.remove(model)

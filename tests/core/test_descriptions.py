"""A listed repository is described as the folder with its files, as far as they can be told without the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import onnxembed.image.discovery as image
import onnxembed.late_interaction.discovery as late_interaction
import onnxembed.multimodal.discovery as multimodal
import onnxembed.rerank.discovery as rerank
import onnxembed.sparse.discovery as sparse
import onnxembed.text.discovery as text
from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.bring import list_repository
from onnxembed.hub.files import FolderFiles
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from onnxembed.spec import ModelSource, PoolingType
from tests.fixtures import dense_models, image_models, multimodal_models, rerank_models, sparse_models
from tests.fixtures.dense_tokenizers import write_json
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.late_interaction_models import (
    write_files_of_tokenizer,
    write_modules,
    write_pylate_config,
    write_token_graph,
)
from tests.fixtures.small_models import write_bert_folder

__all__ = ["hub_server"]

REPOSITORY = "org/name"
PREFIX = "sentence_transformers.models."


def dense(folder: Path) -> None:
    dense_models.write_variant(folder, dense_models.variant("mean_norm"))
    write_modules(folder, (f"{PREFIX}Transformer", ""), (f"{PREFIX}Pooling", "1_Pooling"), (f"{PREFIX}Normalize", "2"))
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: "}})


def static(folder: Path) -> None:
    dense_models.write_static(folder, "words")
    write_json(folder / "config.json", {"model_type": "model2vec", "hidden_dim": dense_models.STATIC_DIM})


def pylate(folder: Path) -> None:
    write_files_of_tokenizer(folder, "wordpiece")
    write_pylate_config(folder)
    write_token_graph(folder / "model.onnx", seed=21, dim=None)
    (folder / "1_Dense").mkdir()
    write_json(folder / "1_Dense" / "config.json", {"in_features": 16, "out_features": 6})
    (folder / "1_Dense" / "model.safetensors").write_bytes(b"weights")
    write_modules(folder, (f"{PREFIX}Transformer", ""), ("pylate.models.Dense.Dense", "1_Dense"))


def cross_encoder(folder: Path) -> None:
    rerank_models.write_variant(folder, rerank_models.variant("two_labels"))
    write_json(folder / "config.json", {"architectures": ["BertForSequenceClassification"]})


def pictures(folder: Path) -> None:
    image_models.write_image_variant(folder, image_models.image_variant("patches"))


def pages(folder: Path) -> None:
    multimodal_models.write_form(folder, multimodal_models.Form(multimodal_models.COLQWEN2))
    write_json(folder / "processor_config.json", {"query_prefix": "Q: "})


CASES: list[tuple[str, Any, Callable[[Path], object], dict[str, object]]] = [
    ("dense", text, dense, {"dim": 0}),
    ("weights", text, write_bert_folder, {}),
    ("static", text, static, {}),
    ("inference free", sparse, sparse_models.write_inference_free, {}),
    ("minicoil", sparse, sparse_models.write_minicoil, {}),
    (
        "pylate",
        late_interaction,
        pylate,
        {"additional_files": ("1_Dense/config.json", "1_Dense/model.safetensors")},
    ),
    ("cross encoder", rerank, cross_encoder, {}),
    ("pictures", image, pictures, {"dim": 0, "output": 0, "pooling": PoolingType.DISABLED}),
    ("pages", multimodal, pages, {"additional_files": ("processor_config.json",)}),
]


@pytest.mark.parametrize(("kind", "write", "open_questions"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_a_repository_is_described_as_its_folder(
    kind: Any,
    write: Callable[[Path], object],
    open_questions: dict[str, object],
    tmp_path: Path,
    hub_server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder)
    here = FolderFiles(folder)
    hub_server.add_repo(REPOSITORY, {name: here.read(name) for name in here.names()})
    settings = StoreSettings(cache_dir=str(tmp_path / "cache"))
    listed = list_repository(REPOSITORY, settings)

    assert kind.matches(listed)
    described = kind.describe(listed)

    expected = replace(kind.describe(here), name=REPOSITORY, sources=(ModelSource(hf=REPOSITORY),))
    assert described == replace(expected, **open_questions)
    assert not [name for name in hub_server.fetched(REPOSITORY) if name.endswith((".onnx", ".safetensors", ".npy"))]
    # Everything that the description names, and the store then brings, is what the folder's own description needs.
    brought = locate(described, replace(settings, revision=listed.listing.commit))
    again = kind.describe(FolderFiles(brought.path))
    assert replace(again, name=str(folder)) == kind.describe(here)


@pytest.mark.parametrize("kind", [text, sparse, late_interaction, rerank, image, multimodal])
def test_an_empty_folder_is_of_no_kind(kind: Any, tmp_path: Path) -> None:
    assert not kind.matches(FolderFiles(tmp_path))
    with pytest.raises(ModelNotFoundError, match="holds no"):
        kind.describe(FolderFiles(tmp_path))

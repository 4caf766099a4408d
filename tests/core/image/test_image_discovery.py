"""A local folder is described by its graph and its processor's file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxembed.errors import ModelError, ModelNotFoundError
from onnxembed.hub.files import FolderFiles
from onnxembed.image.discovery import describe
from onnxembed.image.model import ImageEmbedding
from onnxembed.spec import PoolingType
from tests.fixtures.image_models import CLIP, HIDDEN, VARIANTS, ImageForm, pictures, write_image_graph

if TYPE_CHECKING:
    from tests.core.image.conftest import ImageFolderOf


@pytest.mark.parametrize(
    ("name", "output", "pooling", "model_file", "dim"),
    [
        ("clip", "image_embeds", PoolingType.DISABLED, "model.onnx", HIDDEN),
        ("resnet50", "pooler", PoolingType.DISABLED, "model.onnx", HIDDEN),
        ("jina_clip", "image_embeds", PoolingType.DISABLED, "onnx/vision_model.onnx", HIDDEN),
        ("nomic", "last_hidden_state", PoolingType.CLS, "onnx/model.onnx", HIDDEN),
        ("siglip2", "pooler_output", PoolingType.DISABLED, "onnx/vision_model.onnx", HIDDEN),
        ("map", "last_hidden_state", PoolingType.MEAN, "model.onnx", HIDDEN),
    ],
)
def test_what_the_graph_tells(
    name: str, output: str, pooling: PoolingType, model_file: str, dim: int, image_folder: ImageFolderOf
) -> None:
    model = describe(FolderFiles(image_folder(name)))
    assert model.name == str(image_folder(name))
    assert (model.output, model.pooling, model.model_file, model.dim) == (output, pooling, model_file, dim)
    assert model.normalize
    assert model.sources == ()


@pytest.mark.parametrize("name", [one.name for one in VARIANTS if one.name != "nomic_q"])
def test_folder_gives_the_vectors_of_its_catalogue_name(name: str, image_folder: ImageFolderOf) -> None:
    named = next(one.model for one in VARIANTS if one.name == name)
    folder = ImageEmbedding(image_folder(name))
    expected = ImageEmbedding(named, specific_model_path=image_folder(name)).embed_to_array(pictures())
    np.testing.assert_allclose(folder.embed_to_array(pictures()), expected, atol=1e-6)
    assert folder.embedding_size == HIDDEN
    assert folder.options["specific_model_path"] is None


def test_patches_without_a_word_on_pooling_are_told_in_the_log(
    image_folder: ImageFolderOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "onnxembed.models"):
        describe(FolderFiles(image_folder("patches")))
        describe(FolderFiles(image_folder("clip")))
    (record,) = caplog.records
    assert "does not say how it pools; the first vector" in record.getMessage()


def test_image_half_comes_before_a_graph_of_both(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP), encoding="utf-8")
    write_image_graph(tmp_path / "onnx" / "model.onnx", ImageForm(texts=True))
    write_image_graph(tmp_path / "onnx" / "vision_model.onnx", ImageForm())
    assert describe(FolderFiles(tmp_path)).model_file == "onnx/vision_model.onnx"
    assert ImageEmbedding(tmp_path).embedding_size == HIDDEN


def test_processor_in_the_file_of_newer_transformers(tmp_path: Path, image_folder: ImageFolderOf) -> None:
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": CLIP}), encoding="utf-8")
    write_image_graph(tmp_path / "model.onnx", ImageForm(seed=1))
    ours = ImageEmbedding(tmp_path).embed_to_array(pictures())
    np.testing.assert_array_equal(ours, ImageEmbedding(image_folder("clip")).embed_to_array(pictures()))


def test_folder_without_a_graph(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelNotFoundError, match=r"holds no model: expected one of onnx/vision_model\.onnx"):
        ImageEmbedding(tmp_path)


def test_folder_without_a_processor(tmp_path: Path) -> None:
    write_image_graph(tmp_path / "model.onnx", ImageForm())
    with pytest.raises(ModelNotFoundError, match=r"holds no preprocessor_config\.json"):
        ImageEmbedding(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"lacks preprocessor_config\.json"):
        ImageEmbedding(specific_model_path=tmp_path)


def test_graph_of_texts_and_images_together_is_refused(image_folder: ImageFolderOf) -> None:
    with pytest.raises(ModelError, match=r"takes pixel_values .*, input_ids .*; expected one input of pictures"):
        ImageEmbedding(image_folder("texts_too"))


def test_graph_and_processor_of_different_models_are_refused(tmp_path: Path) -> None:
    write_image_graph(tmp_path / "model.onnx", ImageForm())
    config = {**CLIP, "size": {"shortest_edge": 32}, "crop_size": 32}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"takes pictures of 24 x 24 .* prepares them in 32 x 32"):
        ImageEmbedding(tmp_path)

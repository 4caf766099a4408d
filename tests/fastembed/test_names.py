"""The import lines of fastembed's users and dependents, and the lists of models."""

from __future__ import annotations

import inspect
import logging
from importlib import import_module, reload
from typing import Any

import pytest

import onnxembed

LINES = {
    "fastembed": (
        "TextEmbedding SparseTextEmbedding SparseEmbedding ImageEmbedding LateInteractionTextEmbedding "
        "LateInteractionMultimodalEmbedding __version__"
    ),
    "fastembed.common": "OnnxProvider ImageInput PathInput",
    "fastembed.common.types": "Device NumpyArray OnnxProvider ImageInput PathInput",
    "fastembed.common.model_description": (
        "ModelSource BaseModelDescription DenseModelDescription SparseModelDescription PoolingType"
    ),
    "fastembed.common.model_management": "ModelManagement",
    "fastembed.common.onnx_model": "OnnxModel OnnxOutputContext",
    "fastembed.common.utils": "define_cache_dir iter_batch normalize mean_pooling last_token_pooling",
    "fastembed.embedding": "DefaultEmbedding FlagEmbedding JinaEmbedding",
    "fastembed.image": "ImageEmbedding",
    "fastembed.image.image_embedding": "ImageEmbedding",
    "fastembed.image.image_embedding_base": "ImageEmbeddingBase",
    "fastembed.image.onnx_embedding": "OnnxImageEmbedding",
    "fastembed.late_interaction": "LateInteractionTextEmbedding",
    "fastembed.late_interaction.colbert": "Colbert",
    "fastembed.late_interaction.jina_colbert": "JinaColbert",
    "fastembed.late_interaction.late_interaction_embedding_base": "LateInteractionTextEmbeddingBase",
    "fastembed.late_interaction.late_interaction_text_embedding": "LateInteractionTextEmbedding",
    "fastembed.late_interaction_multimodal": "LateInteractionMultimodalEmbedding",
    "fastembed.late_interaction_multimodal.colpali": "ColPali",
    "fastembed.postprocess": "Muvera",
    "fastembed.postprocess.muvera": "Muvera",
    "fastembed.rerank.cross_encoder": "TextCrossEncoder",
    "fastembed.rerank.cross_encoder.custom_text_cross_encoder": "CustomTextCrossEncoder",
    "fastembed.rerank.cross_encoder.onnx_text_cross_encoder": "OnnxTextCrossEncoder",
    "fastembed.rerank.cross_encoder.text_cross_encoder": "TextCrossEncoder",
    "fastembed.sparse": "SparseEmbedding SparseTextEmbedding",
    "fastembed.sparse.bm25": "Bm25 Stemmer supported_languages",
    "fastembed.sparse.bm42": "Bm42",
    "fastembed.sparse.if_splade": "IfSplade",
    "fastembed.sparse.minicoil": "MiniCOIL",
    "fastembed.sparse.sparse_embedding_base": "SparseEmbedding SparseTextEmbeddingBase",
    "fastembed.sparse.sparse_text_embedding": "SparseTextEmbedding",
    "fastembed.sparse.splade_pp": "SpladePP",
    "fastembed.text": "TextEmbedding",
    "fastembed.text.custom_text_embedding": "CustomTextEmbedding PostprocessingConfig",
    "fastembed.text.last_token_normalized_embedding": "LastTokenNormalizedEmbedding",
    "fastembed.text.multitask_embedding": "JinaEmbeddingV3 Task",
    "fastembed.text.onnx_embedding": "OnnxTextEmbedding",
    "fastembed.text.pooled_embedding": "PooledEmbedding",
    "fastembed.text.pooled_normalized_embedding": "PooledNormalizedEmbedding",
    "fastembed.text.static_embedding": "StaticTextEmbedding",
    "fastembed.text.text_embedding": "TextEmbedding",
    "fastembed.text.text_embedding_base": "TextEmbeddingBase",
}
COUNTS = {
    "fastembed:TextEmbedding": 41,
    "fastembed:SparseTextEmbedding": 6,
    "fastembed:ImageEmbedding": 8,
    "fastembed:LateInteractionTextEmbedding": 5,
    "fastembed:LateInteractionMultimodalEmbedding": 2,
    "fastembed.rerank.cross_encoder:TextCrossEncoder": 8,
}
"""How many models fastembed 0.9.1 lists."""


def named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("module", LINES)
def test_import_lines(module: str) -> None:
    for name in LINES[module].split():
        assert hasattr(import_module(module), name), name


def test_modules_are_real() -> None:
    for module in LINES:
        assert import_module(module).__name__ == module
        assert import_module(module).__spec__ is not None


@pytest.mark.parametrize("place", COUNTS)
def test_models(place: str) -> None:
    facade = named(place)
    listed = facade.list_supported_models()
    core = getattr(onnxembed, facade.__name__)
    assert len(listed) == COUNTS[place]
    known = {model["model"]: model for model in core.list_supported_models()}
    for model in listed:
        mine = known[model["model"]]
        assert model["sources"] == {"hf": mine["sources"]["hf"], "url": None, "_deprecated_tar_struct": False}
        assert model["model_file"] == mine["model_file"]
        assert model["additional_files"] == mine["additional_files"]
        assert model.get("dim") == mine.get("dim")
    assert [description.model for description in facade._list_supported_models()] == [m["model"] for m in listed]
    if place == "fastembed:SparseTextEmbedding":
        assert [model["model"] for model in listed if model["requires_idf"]] == [
            "Qdrant/bm42-all-minilm-l6-v2-attentions",
            "Qdrant/bm25",
            "Qdrant/minicoil-v1",
        ]


@pytest.mark.parametrize("place", [place for place in COUNTS if "Sparse" not in place and "Cross" not in place])
def test_sizes(place: str) -> None:
    facade = named(place)
    first = facade.list_supported_models()[0]
    assert facade.get_embedding_size(first["model"].upper()) == first["dim"]
    with pytest.raises(ValueError, match="Embedding size for model nobody/nothing was None"):
        facade.get_embedding_size("nobody/nothing")


@pytest.mark.parametrize("place", COUNTS)
def test_unknown_models(place: str) -> None:
    facade = named(place)
    with pytest.raises(ValueError, match=rf"Model nobody/nothing is not supported in {facade.__name__}\."):
        facade("nobody/nothing")


def test_positions_of_arguments() -> None:
    common = ["model_name", "cache_dir", "threads", "providers", "cuda", "device_ids", "lazy_load", "kwargs"]
    for place in COUNTS:
        assert list(inspect.signature(named(place)).parameters) == common
    assert inspect.signature(named("fastembed:TextEmbedding")).parameters["model_name"].default == (
        "BAAI/bge-small-en-v1.5"
    )
    bm25 = list(inspect.signature(named("fastembed.sparse.bm25:Bm25")).parameters)
    assert bm25[:9] == [
        *("model_name", "cache_dir", "k", "b", "avg_len", "language", "token_max_length", "disable_stemmer"),
        "specific_model_path",
    ]


def test_old_names_say_so(caplog: pytest.LogCaptureFixture) -> None:
    module = import_module("fastembed.embedding")
    with caplog.at_level(logging.WARNING, "onnxembed.fastembed"):
        module = reload(module)
    assert "old names" in caplog.text
    assert module.DefaultEmbedding is module.FlagEmbedding is named("fastembed:TextEmbedding")
    assert inspect.signature(module.JinaEmbedding).parameters["model_name"].default == (
        "jinaai/jina-embeddings-v2-base-en"
    )

"""Graphs that leave the length of their vectors open: it is measured, whatever a file beside them says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    TextEmbedding,
)
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.dense_tokenizers import TokenizerForm, write_tokenizer
from tests.fixtures.image_models import image_variant, pictures, write_image_variant
from tests.fixtures.multimodal_models import COLMODERNVBERT, Form, write_form


def opened(path: Path, how: str) -> None:
    """Take the last size of every output away, or the whole shape."""
    model = onnx.load(path)
    for output in model.graph.output:
        if how == "no shape":
            output.type.tensor_type.ClearField("shape")
        else:
            output.type.tensor_type.shape.dim[-1].Clear()
            if how == "named":
                output.type.tensor_type.shape.dim[-1].dim_param = "width"
    onnx.save(model, path)


def state(folder: Path, **entries: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(config | entries))


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("how", ["no shape", "unnamed", "named"])
def test_dense(how: str, lazy: bool, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, TokenizerForm())
    write_graph(tmp_path / "model.onnx", GraphForm())
    opened(tmp_path / "model.onnx", how)
    state(tmp_path, hidden_size=12)
    model = TextEmbedding(tmp_path, pooling="mean", lazy_load=lazy)
    assert model.embedding_size == model.embed_to_array(["hello"]).shape[1] == HIDDEN
    assert model.description["dim"] == HIDDEN
    tokens = LateInteractionTextEmbedding(tmp_path, dense=True, lazy_load=lazy)
    assert tokens.embedding_size == next(tokens.embed("hello")).shape[1] == HIDDEN


@pytest.mark.parametrize("how", ["no shape", "named"])
def test_pictures(how: str, tmp_path: Path) -> None:
    folder = write_image_variant(tmp_path / "model", image_variant("clip"))
    (graph,) = folder.rglob("*.onnx")
    opened(graph, how)
    for model in (ImageEmbedding(folder), ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=folder)):
        vectors = model.embed_to_array(pictures()[:1])
        assert model.embedding_size == vectors.shape[1]
        assert np.isfinite(vectors).all()


def test_pages(tmp_path: Path) -> None:
    folder = write_form(tmp_path / "model", Form(COLMODERNVBERT))
    (graph,) = folder.rglob("*.onnx")
    opened(graph, "named")
    state(folder, embedding_dim=7)
    model = LateInteractionMultimodalEmbedding(folder, lazy_load=True)
    assert model.embedding_size == next(model.embed_query("hello")).shape[1]


def test_a_layer_after_the_graph_has_its_own_size(tmp_path: Path) -> None:
    from tests.fixtures.dense_models import write_safetensors
    from tests.fixtures.late_interaction_models import write_modules
    from tests.fixtures.small_models import write_bert_folder

    write_bert_folder(tmp_path)
    write_modules(tmp_path, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
    for name in ("1_Pooling", "2_Dense"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}))
    layer = {"in_features": 32, "out_features": 8, "bias": False, "activation_function": "torch.nn.Identity"}
    (tmp_path / "2_Dense" / "config.json").write_text(json.dumps(layer))
    weight = np.random.default_rng(1).standard_normal((8, 32)).astype(np.float32)
    write_safetensors(tmp_path / "2_Dense" / "model.safetensors", {"linear.weight": weight})
    model = TextEmbedding(tmp_path, lazy_load=True)
    assert model.embedding_size == model.embed_to_array(["hello"]).shape[1] == 8

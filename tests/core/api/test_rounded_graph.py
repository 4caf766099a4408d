"""Graphs that are shipped, in 8 bits: what stays as it is is named, what cannot be rewritten is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnxembed import TextEmbedding
from onnxembed.compile import compile_model
from onnxembed.errors import UnsupportedModelError
from onnxembed.spec import PoolingType
from tests.fixtures.small_models import write_bert_folder

TEXTS = ["hello world", "the quick brown fox", "a"]


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder with an ONNX file, no weights beside it."""
    write_bert_folder(tmp_path / "weights", hidden=256, layers=2)
    folder = tmp_path / "shipped"
    folder.mkdir()
    compile_model(tmp_path / "weights", folder / "model.onnx", pooling=PoolingType.DISABLED)
    for file in (tmp_path / "weights").iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copy(file, folder / file.name)
    return folder


def edited(folder: Path) -> onnx.ModelProto:
    return onnx.load(str(folder / "model.onnx"))


def test_products_that_stay_are_named(shipped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = edited(shipped)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    product = next(n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights)
    weight = weights[product.input[1]]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[None], weight.name))
    onnx.save(model, str(shipped / "model.onnx"))
    exact = TextEmbedding(shipped, cache_dir=tmp_path).embed_to_array(TEXTS)
    with caplog.at_level(logging.WARNING, "onnxembed.models"):
        near = TextEmbedding(shipped, cache_dir=tmp_path, precision="int8").embed_to_array(TEXTS)
    said = f"stay in single precision, their form is not rewritten: MatMul {product.output[0]}"
    assert said in caplog.text
    assert np.abs(near - exact).max() < 0.05 * np.abs(exact).max()


def test_a_graph_that_is_quantised_already_is_refused(shipped: Path, tmp_path: Path) -> None:
    model = edited(shipped)
    first = model.graph.node[0].output[0]
    model.graph.node.append(onnx.helper.make_node("DynamicQuantizeLinear", [first], ["bits", "scale", "zero"]))
    onnx.save(model, str(shipped / "model.onnx"))
    with pytest.raises(UnsupportedModelError, match="is quantised already"):
        TextEmbedding(shipped, cache_dir=tmp_path, precision="int8").embed_to_array(TEXTS)

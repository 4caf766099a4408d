"""Every architecture that is compiled here, in 8 bits: near single precision, and each text by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile import compile_model
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo, inspect_graph
from onnxembed.spec import GraphHead, PoolingType
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.model_rows import PICTURE_SIDE, ROWS, Row, read_row, write_row

LENGTHS = (12, 3, 7, 1)
# Convolutions, and tables of vectors.
WITHOUT_PRODUCTS = {"resnet", "model2vec", "StaticEmbedding"}


def rows() -> list[Any]:
    """One row of each architecture that `compile_model` makes vectors of."""
    chosen: dict[str, Row] = {}
    for path in sorted(ROWS.glob("*.json")):
        row = read_row(path)
        if row.kind in ("dense", "image") and {"model.safetensors", "config.json"} <= {*row.weights, *row.files}:
            chosen.setdefault(f"{row.architecture}-{row.kind}", row)
    return [pytest.param(row, id=name) for name, row in chosen.items() if row.architecture not in WITHOUT_PRODUCTS]


def feed_of(info: TensorInfo, random: np.random.Generator) -> NDArray[Any]:
    if info.name == "pixel_values":
        return random.standard_normal((3, 3, PICTURE_SIDE, PICTURE_SIDE)).astype(np.float32)
    if info.name == "input_ids":
        return random.integers(1, 60, (len(LENGTHS), max(LENGTHS)))
    if info.name == "attention_mask":
        return (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64)
    return np.zeros((len(LENGTHS), max(LENGTHS)) if info.shape else (), np.int64)


def head_of(row: Row) -> dict[str, Any]:
    if row.kind == "image":
        return {"head": GraphHead.PICTURE_VECTOR}
    if row.architecture in ("clip", "siglip"):
        return {"head": GraphHead.OWN_VECTOR}
    return {"pooling": PoolingType.MEAN}


def test_convolutions_stay_in_single_precision(tmp_path: Path) -> None:
    compile_model(
        write_row(read_row(ROWS / "resnet-basic.json"), tmp_path / "model"),
        tmp_path / "full.onnx",
        head=GraphHead.PICTURE_VECTOR,
    )
    with pytest.raises(UnsupportedModelError, match="its large weights are those of convolutions"):
        quantize_graph(tmp_path / "full.onnx", tmp_path / "int8.onnx", smallest=1000)


@pytest.mark.parametrize("row", rows())
def test_near_single_precision_and_apart_from_neighbours(row: Row, tmp_path: Path) -> None:
    full, rounded = tmp_path / "full.onnx", tmp_path / "int8.onnx"
    compile_model(write_row(row, tmp_path / "model"), full, **head_of(row))
    done = quantize_graph(full, rounded, smallest=0)
    assert done.products >= 6
    random = np.random.default_rng(1)
    feed = {info.name: feed_of(info, random) for info in inspect_graph(full).inputs}
    exact, near = (run_graph(path, feed)["sentence_embedding"] for path in (full, rounded))
    assert (exact * near).sum(axis=1).min() > 0.995
    # Pictures have no padding; SigLIP's texts have one length.
    whole = None if "attention_mask" in feed else len(near)
    for item, length in enumerate(LENGTHS if whole is None else (None,) * whole):
        alone = {
            name: values[item : item + 1]
            if length is None
            else values[item : item + 1, :length]
            if values.ndim
            else values
            for name, values in feed.items()
        }
        assert np.abs(run_graph(rounded, alone)["sentence_embedding"][0] - near[item]).max() < 1e-6

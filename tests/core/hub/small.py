"""A small model, its repository, and what to look for in a cache."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from onnxembed.hub.settings import TransferLimits
from onnxembed.spec import ModelSource
from onnxembed.text.spec import DenseModel

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "org/Small-Model"
MODEL = DenseModel(name="org/small", sources=(ModelSource(hf=REPOSITORY),), dim=2)
QUICK = TransferLimits(
    read_seconds=0.3,
    attempts=3,
    backoff_seconds=0.01,
    backoff_cap_seconds=1.0,
    stall_seconds=2.0,
    lock_seconds=20.0,
)


@functools.cache
def graph(factor: float = 2.0) -> bytes:
    """A graph that multiplies two numbers by a factor."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    weight = helper.make_tensor("factor", TensorProto.FLOAT, [2], [factor, factor])
    body = helper.make_graph([node], "small", sides[:1], sides[1:], [weight])
    model: onnx.ModelProto = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@functools.cache
def graph_with_data(location: str = "model.onnx_data") -> tuple[bytes, bytes]:
    """The same graph with its weight in another file, and that file."""
    import onnx

    model = onnx.load_model_from_string(graph())
    weight = model.graph.initializer[0]
    data = b"\x00\x00\x40\x40" * 2
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        weight.external_data.add(key=key, value=value)
    return model.SerializeToString(), data


def files(factor: float = 2.0) -> dict[str, bytes]:
    """A repository with what is needed, what is wanted, and what is neither."""
    return {
        "onnx/model.onnx": graph(factor),
        "tokenizer.json": b'{"version": "1.0"}',
        "config.json": b'{"model_type": "bert"}',
        "sentence_bert_config.json": b'{"max_seq_length": 7}',
        "1_Pooling/config.json": b"{}",
        "README.md": b"# Small",
        "pytorch_model.bin": b"\x80pickle",
        "onnx/model_int8.onnx": b"other",
    }


WANTED = ["1_Pooling/config.json", "config.json", "onnx/model.onnx", "sentence_bert_config.json", "tokenizer.json"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(cache: Path) -> list[str]:
    """What a finished call should not leave: stagings and temporary names; the Hub's client keeps its locks."""
    names = (str(path.relative_to(cache)) for path in cache.rglob("*") if ".locks" not in path.parts)
    return [name for name in names if ".staging" in name or "/." in f"/{name}"]


def partials(cache: Path) -> list[str]:
    """What a call leaves of a file that it could not get to its end; one that succeeds should leave none."""
    return [
        path.name for path in cache.rglob("*") if path.name.endswith(".incomplete") or path.parent.name == "partial"
    ]

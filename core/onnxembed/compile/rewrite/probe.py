"""What the products of a graph are fed with: seen on a few rows of random token ids, so that no text is needed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.compile.rewrite.copying import copied
from onnxembed.errors import UnsupportedModelError
from onnxembed.foreign import describe
from onnxembed.runtime.onnx import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from onnxembed.formats.onnx_graph import TensorInfo
    from onnxembed.formats.onnx_model import Model

ROWS, LENGTH = 17, 16
"""Texts and tokens of each; measured: more change nothing, sentences in their place neither. They differ, so that the
shape of a value shows what its rows are."""
_PICTURES, _SIDE = 2, 224
_INTEGERS = {6: np.int32, 7: np.int64}
_FLOATS = {1: np.float32}
_PICTURE_AXES = 4


def inputs_of_products(model: Model, names: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
    """Run the graph once on random input; give each named value, its last axis that of the channels."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    unique = list(dict.fromkeys(names))
    with tempfile.TemporaryDirectory(prefix="onnxembed-") as scratch:
        probe = Path(scratch, "probe.onnx")
        copied(model, unique).write(probe, largest_inline_bytes=0)
        feeds = random_feeds(model)
        try:
            session = runtime.InferenceSession(str(probe), options, providers=["CPUExecutionProvider"])
            values = session.run(unique, feeds)
        except Exception as error:
            raise UnsupportedModelError(
                f"{model.path}: random tokens show no activations ({describe(error)}); use precision='fp32'"
            ) from error
        del session
    return {name: np.asarray(value, np.float32) for name, value in zip(unique, values, strict=True)}


def random_feeds(model: Model) -> dict[str, NDArray[Any]]:
    """Make the same random input every time: token ids the model has vectors for, or pictures of noise."""
    random = np.random.Generator(np.random.PCG64(0))
    vocabulary = _vocabulary(model)
    return {info.name: _feed(model, info, random, vocabulary) for info in model.facts.inputs}


def _feed(model: Model, info: TensorInfo, random: np.random.Generator, vocabulary: int) -> NDArray[Any]:
    whole = _INTEGERS.get(info.element_type)
    if whole is not None:
        if info.shape is not None and len(info.shape) < 2:
            return np.zeros([size if isinstance(size, int) else 1 for size in info.shape], whole)
        rows, length = _sizes(info)
        if info.name == "input_ids":
            return random.integers(0, vocabulary, (rows, length)).astype(whole)
        if info.name == "attention_mask":
            return np.ones((rows, length), whole)
        if info.name == "token_type_ids":
            return np.zeros((rows, length), whole)
        if info.name == "position_ids":
            return np.broadcast_to(np.arange(length, dtype=whole), (rows, length)).copy()
    if info.element_type in _FLOATS and info.shape is not None and len(info.shape) == _PICTURE_AXES:
        sizes = [
            size if isinstance(size, int) else default
            for size, default in zip(info.shape, (_PICTURES, 3, _SIDE, _SIDE), strict=True)
        ]
        return random.standard_normal(sizes).astype(_FLOATS[info.element_type])
    raise UnsupportedModelError(
        f"{model.path}: what to feed to the input {info.name!r} to see its activations is not known here; use "
        "precision='fp32'"
    )


def _sizes(info: TensorInfo) -> tuple[int, int]:
    """Texts and tokens of each, as many as the graph has where it fixes them, and else not the same number."""
    stated = (*(info.shape or ()), None, None)
    length = stated[1] if isinstance(stated[1], int) else LENGTH if stated[0] != LENGTH else LENGTH - 1
    rows = stated[0] if isinstance(stated[0], int) else ROWS if length != ROWS else ROWS + 1
    return rows, length


def _vocabulary(model: Model) -> int:
    """Rows of the smallest table that is looked up by ``input_ids`` or by what is made of them, such as positions."""
    ids, rows = {"input_ids"}, []
    for node in model.nodes:
        if node.operator == "Gather" and node.inputs[1] in ids and node.inputs[0] in model.constants:
            rows.append(model.constants[node.inputs[0]].shape[0])
        elif not ids.isdisjoint(node.inputs):
            ids.update(node.outputs)
    return min(rows, default=1000)

"""A graph that reads pictures, and how its output is pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.api.engine import LoadedGraph
from onnxembed.api.vectors import finish
from onnxembed.errors import ModelError
from onnxembed.image.spec import ImageModel
from onnxembed.runtime.sessions import Sessions
from onnxembed.spec import PoolingType

Array = np.ndarray[Any, np.dtype[Any]]

_FLOAT_TYPES: Mapping[int, type[np.floating[Any]]] = {1: np.float32, 10: np.float16, 11: np.float64}
"""The element types, by their number in ONNX, that pictures may have."""
_AXES = 4


@dataclass(frozen=True, slots=True)
class ImageGraph:
    """A loaded model that reads pictures.

    Attributes:
        sessions: One session per device, all of the same file.
        input: Name of its input.
        precision: Type of that input.
        output: Name of the output that becomes the vector.
        pooling: How it does.
        one_by_one: Whether the graph takes one picture at a time.
    """

    sessions: Sessions
    input: str
    precision: type[np.floating[Any]]
    output: str
    pooling: PoolingType
    one_by_one: bool

    def run(
        self,
        pixels: Array,
        worker: int,  # noqa: ARG002  # the devices are chosen by what they have to do
        *,
        normalized: bool,
    ) -> Array:
        """Run (batch, 3, height, width) float32 to (batch, dim) float32, on the device with least to do."""
        feed = {self.input: pixels.astype(self.precision, copy=False)}
        with self.sessions.free() as session:
            (output,) = session.run([self.output], feed)
        return finish(pool(output, self.pooling), output.dtype, normalized=normalized)


def image_graph(loaded: LoadedGraph, model: ImageModel, size: tuple[int, int] | None) -> ImageGraph:
    """Find out how a loaded graph is fed; ``size`` is (height, width) of prepared pictures, ``None`` where it varies.

    A `ModelError` says that it does not take pictures, or takes them of another size than they are prepared in.
    """
    inputs = loaded.file.inputs
    if len(inputs) != 1 or inputs[0].element_type not in _FLOAT_TYPES:
        taken = ", ".join(f"{node.name} (element type {node.element_type})" for node in inputs)
        raise ModelError(
            f"the graph takes {taken or 'nothing'}; expected one input of pictures in floating point. A graph of texts "
            "and images together must be exported in two halves; this one needs its image half"
        )
    shape = inputs[0].shape or (None,) * _AXES
    if len(shape) != _AXES:
        raise ModelError(
            f"the graph's input {inputs[0].name!r} has {len(shape)} axes; expected 4: batch, channels, height, width"
        )
    if shape[1] not in (None, 3) and isinstance(shape[1], int):
        raise ModelError(f"the graph takes {shape[1]} channels; expected 3 for red, green and blue")
    fixed = shape[2:]
    if size is not None and any(isinstance(side, int) and side != own for side, own in zip(fixed, size, strict=True)):
        raise ModelError(
            f"the graph takes pictures of {fixed[0]} x {fixed[1]} (height x width), but the model's "
            f"{model.processor_file} prepares them in {size[0]} x {size[1]}; the two files belong to different models"
        )
    return ImageGraph(
        sessions=loaded.sessions,
        input=inputs[0].name,
        precision=_FLOAT_TYPES[inputs[0].element_type],
        output=loaded.file.output_name(model.output),
        pooling=model.pooling,
        one_by_one=shape[0] == 1,
    )


def pool(output: Array, pooling: PoolingType) -> Array:
    """Make one vector per image, (batch, dim), from a graph's output.

    The output is (batch, dim); (batch, patches, dim); or (batch, dim, height, width), a feature map. float32 is
    averaged in float32, narrower types in float64. A `ModelError` says that it does not fit the pooling.
    """
    if output.ndim == 3 and pooling is PoolingType.CLS:
        return output[:, 0]
    if output.ndim in (3, 4) and pooling is PoolingType.MEAN:
        precision = np.float32 if output.dtype == np.float32 else np.float64
        averaged: Array = output.mean(axis=1 if output.ndim == 3 else (2, 3), dtype=precision)
        return averaged
    if output.ndim >= 2 and pooling is not PoolingType.MEAN and sum(size != 1 for size in output.shape[1:]) <= 1:
        return output.reshape(len(output), -1)
    raise ModelError(
        f"pooling={pooling.value} does not fit the graph's output of shape {list(output.shape)}; use CLS or MEAN for "
        "(batch, patches, dim), MEAN for (batch, dim, height, width), DISABLED for (batch, dim), or name another output"
    )

"""What comes after the pooling, on float32 vectors: Dense, LayerNorm and Normalize with their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.api.vectors import normalize
from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.text.vector_stage import Activation, StageKind, VectorStage

Array = np.ndarray[Any, np.dtype[Any]]

Apply = Callable[[Array], Array]
"""Turns float32 (rows, dim) into float32 (rows, other dim)."""

_LAYER_NORM_EPSILON = 1e-5  # PyTorch's
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al., 2017, arXiv:1706.02515
_LEAK = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class DenseLayer:
    """A linear layer with an activation.

    Attributes:
        weight: (outputs, inputs) float32.
        bias: (outputs,) float32, or ``None``.
        activation: What is done to the result.
        residual: ``None`` where what goes in is not added; else its weights (outputs, inputs), or of no size where it
            is added as it is.
    """

    weight: Array
    bias: Array | None
    activation: Activation
    residual: Array | None = None

    def apply(self, rows: Array) -> Array:
        """Turn (rows, inputs) into (rows, outputs), float32."""
        linear = rows @ self.weight.T
        if self.bias is not None:
            linear = linear + self.bias
        result: Array = FUNCTIONS[self.activation](linear).astype(np.float32, copy=False)
        if self.residual is None:
            return result
        return result + (rows @ self.residual.T if self.residual.size else rows)


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm:
    """A layer normalization; both arrays (dim,) float32."""

    weight: Array
    bias: Array

    def apply(self, rows: Array) -> Array:
        """Standardise each row, then scale and shift its numbers."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        result: Array = centred / np.sqrt(variance + np.float32(_LAYER_NORM_EPSILON)) * self.weight + self.bias
        return result


def load_stages(folder: Path, stages: Iterable[VectorStage]) -> tuple[Apply, ...]:
    """Load the weights of stages, in their order; weights that do not fit are a `ModelError`."""
    return tuple(_load(folder, stage) for stage in stages)


def _load(folder: Path, stage: VectorStage) -> Apply:
    if stage.kind is StageKind.NORMALIZE:
        return normalize
    if stage.kind is StageKind.LAYER_NORM:
        width = (stage.inputs,)
        norm = _weights(folder / stage.weights_file, {"norm.weight": width, "norm.bias": width})
        return LayerNorm(norm["norm.weight"], norm["norm.bias"]).apply
    return load_dense(folder, stage).apply


def load_dense(folder: Path, stage: VectorStage) -> DenseLayer:
    """Load the weights of a Dense stage of the model in a folder."""
    widens = stage.residual and stage.inputs != stage.outputs
    shapes: dict[str, tuple[int | None, ...]] = {"linear.weight": (stage.outputs, stage.inputs)}
    if stage.bias:
        shapes["linear.bias"] = (stage.outputs,)
    if widens:
        shapes["residual.weight"] = (stage.outputs, stage.inputs)
    tensors = _weights(folder / stage.weights_file, shapes)
    residual = tensors["residual.weight"] if widens else np.zeros(0, np.float32)
    return DenseLayer(
        tensors["linear.weight"], tensors.get("linear.bias"), stage.activation, residual if stage.residual else None
    )


def _weights(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, Array]:
    """The tensors of a file as float32: those that are expected, and no others."""
    with SafetensorsFile(path) as file:
        unexpected = sorted(set(file.names) ^ set(shapes))
        if unexpected:
            raise ModelError(
                f"{path} holds {', '.join(sorted(file.names)) or 'nothing'}; expected {', '.join(sorted(shapes))}"
            )
        for name, shape in shapes.items():
            if file.shape(name) != shape:
                raise ModelError(f"{path}: {name} has the shape {list(file.shape(name))}; expected {list(shape)}")
        tensors = {name: np.array(file.tensor(name), np.float32) for name in shapes}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ModelError(f"{path}: {name} holds numbers that are not finite; fetch the file again")
    return tensors


def _sigmoid(values: Array) -> Array:
    # exp of negative numbers alone: it cannot overflow.
    small = np.exp(-np.abs(values))
    result: Array = np.where(values >= 0, 1, small) / (1 + small)
    return result


def _softplus(values: Array) -> Array:
    result: Array = np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values)))
    return result


def _elu(values: Array, alpha: float = 1.0) -> Array:
    return np.where(values > 0, values, np.float32(alpha) * np.expm1(np.minimum(values, 0)))


_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(values: Array) -> Array:
    result: Array = values * (1 + np.asarray(_erf(values / math.sqrt(2)), np.float64)) / 2
    return result


FUNCTIONS: Mapping[Activation, Apply] = {
    Activation.IDENTITY: lambda values: values,
    Activation.TANH: np.tanh,
    Activation.SIGMOID: _sigmoid,
    Activation.RELU: lambda values: np.maximum(values, 0),
    Activation.RELU6: lambda values: np.clip(values, 0, 6),
    Activation.LEAKY_RELU: lambda values: np.where(values > 0, values, np.float32(_LEAK) * values),
    Activation.ELU: _elu,
    Activation.SELU: lambda values: np.float32(_SELU_SCALE) * _elu(values, _SELU_ALPHA),
    Activation.GELU: _gelu,
    Activation.SILU: lambda values: values * _sigmoid(values),
    Activation.MISH: lambda values: values * np.tanh(_softplus(values)),
    Activation.SOFTPLUS: _softplus,
    Activation.SOFTSIGN: lambda values: values / (1 + np.abs(values)),
}
"""What each activation does to numbers of any shape."""

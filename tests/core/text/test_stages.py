"""The stages after the pooling, against numbers worked out by hand and by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.errors import ModelError
from onnxembed.text.stages import load_stages
from onnxembed.text.vector_stage import NORMALIZE, Activation, StageKind, VectorStage
from tests.fixtures.model_rows import write_safetensors

ROWS = np.array([[-3.0, -0.5, 0.0, 0.25, 2.0, 8.0]], np.float32)

# By PyTorch 2.13, to eight digits.
VALUES: dict[Activation, list[float]] = {
    Activation.IDENTITY: [-3, -0.5, 0, 0.25, 2, 8],
    Activation.TANH: [-0.99505478, -0.46211717, 0, 0.24491866, 0.96402758, 0.99999976],
    Activation.SIGMOID: [0.047425874, 0.37754068, 0.5, 0.56217653, 0.88079703, 0.99966466],
    Activation.RELU: [0, 0, 0, 0.25, 2, 8],
    Activation.RELU6: [0, 0, 0, 0.25, 2, 6],
    Activation.LEAKY_RELU: [-0.03, -0.005, 0, 0.25, 2, 8],
    Activation.ELU: [-0.95021296, -0.39346933, 0, 0.25, 2, 8],
    Activation.SELU: [-1.6705687, -0.69175816, 0, 0.26267526, 2.101402, 8.4056082],
    Activation.GELU: [-0.004050225, -0.15426877, 0, 0.14967658, 1.9544997, 8],
    Activation.SILU: [-0.14227761, -0.18877034, 0, 0.14054413, 1.7615941, 7.9973173],
    Activation.MISH: [-0.14564747, -0.22074376, 0, 0.1695724, 1.943959, 7.9999981],
    Activation.SOFTPLUS: [0.048587352, 0.47407699, 0.69314718, 0.82593942, 2.1269281, 8.0003357],
    Activation.SOFTSIGN: [-0.75, -0.33333334, 0, 0.2, 0.66666669, 0.8888889],
}


def write(folder: Path, **tensors: Any) -> None:
    folder.mkdir(exist_ok=True)
    named = {name.replace("_", ".", 1): np.array(values, np.float32) for name, values in tensors.items()}
    write_safetensors(folder / "model.safetensors", named)


@pytest.mark.parametrize("activation", Activation)
def test_activations(activation: Activation, tmp_path: Path) -> None:
    write(tmp_path / "2_Dense", linear_weight=np.eye(6).tolist())
    (apply,) = load_stages(tmp_path, [VectorStage(StageKind.DENSE, "2_Dense", 6, 6, activation, bias=False)])
    actual = apply(ROWS)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, np.array([VALUES[activation]]), rtol=1e-6, atol=1e-6)


def test_dense_with_a_residual(tmp_path: Path) -> None:
    write(tmp_path / "d", linear_weight=[[1, 2]], linear_bias=[10], residual_weight=[[100, 0]])
    stage = VectorStage(StageKind.DENSE, "d", 2, 1, residual=True)
    assert load_stages(tmp_path, [stage])[0](np.array([[1, 2], [3, 4]], np.float32)).tolist() == [[115], [321]]
    write(tmp_path / "d", linear_weight=[[0, 1], [1, 0]])
    stage = VectorStage(StageKind.DENSE, "d", 2, 2, bias=False, residual=True)
    assert load_stages(tmp_path, [stage])[0](np.array([[1, 2]], np.float32)).tolist() == [[3, 3]]


def test_layer_norm_and_normalize(tmp_path: Path) -> None:
    write(tmp_path / "n", norm_weight=[1, 2], norm_bias=[0, 5])
    norm, normalize = load_stages(tmp_path, [VectorStage(StageKind.LAYER_NORM, "n", 2, 2), NORMALIZE])
    np.testing.assert_allclose(norm(np.array([[1, 3]], np.float32)), [[-0.999995, 6.99999]], rtol=1e-6)
    scaled = np.array([[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(normalize(np.array([[3, 4], [0, 0]], np.float32)), scaled, rtol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"linear_weight": [[1, 2, 3]], "linear_bias": [1]},
            r"linear\.weight has the shape \[1, 3\]; expected \[1, 2\]",
        ),
        ({"linear_weight": [[1, 2]]}, r"holds linear\.weight; expected linear\.bias, linear\.weight"),
        ({"linear_weight": [[1, 2]], "linear_bias": [1], "other": [1]}, r"expected linear\.bias, linear\.weight"),
        ({"linear_weight": [[1, float("nan")]], "linear_bias": [1]}, "numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit(tensors: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "d", **tensors)
    with pytest.raises(ModelError, match=message):
        load_stages(tmp_path, [VectorStage(StageKind.DENSE, "d", 2, 1)])

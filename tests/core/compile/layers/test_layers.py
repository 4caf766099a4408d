"""Each piece of a body alone, on random input, compared with numpy in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile.checkpoint import Checkpoint
from onnxembed.compile.graph_builder import FLOAT, INT32, INT64, OPSET, GraphBuilder
from onnxembed.compile.layers.activation import ACTIVATIONS, activation
from onnxembed.compile.layers.attention import SelfAttention, fused_attention
from onnxembed.compile.layers.linear import activated, linear
from onnxembed.compile.layers.normalization import layer_norm, rms_norm
from onnxembed.compile.layers.relative_bias import buckets, relative_bias
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.formats.facts import Facts
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.graph_runs import OPSETS, run_graph

Array = NDArray[Any]
Weights = Mapping[str, Array]

erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def tanh_gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "gelu_fast": tanh_gelu,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(
    folder: Path,
    add: Callable[[WeightedGraph], str],
    inputs: Mapping[str, Array],
    weights: Weights,
    opset: int = OPSET,
) -> Array:
    """Build a graph of the inputs with one output, and run it."""
    write_safetensors(folder / "w.safetensors", {"unused": np.zeros(1, np.float32), **weights})
    types = {"float32": FLOAT, "int64": INT64, "int32": INT32}
    with Checkpoint(Facts({}, "config.json"), WeightNames(), folder / "w.safetensors") as checkpoint:
        graph = GraphBuilder("layer", opset)
        for name, value in inputs.items():
            graph.input(name, types[value.dtype.name], [f"{name}_{axis}" for axis in range(value.ndim)])
        output = add(WeightedGraph(graph, checkpoint))
        graph.output(output, FLOAT, [])
        graph.write(folder / "layer.onnx", largest_inline_bytes=10**9)
    return run_graph(folder / "layer.onnx", dict(inputs))[output]


def test_every_activation_has_a_reference() -> None:
    assert set(FUNCTIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_activations(tmp_path: Path, kind: str, opset: int) -> None:
    x = random(3, 5, 8) * 3
    given = run(tmp_path, lambda into: activation(into.graph, kind, "x", "y"), {"x": x}, {}, opset)
    np.testing.assert_allclose(given, FUNCTIONS[kind](x.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_linear_layer_with_an_activation(tmp_path: Path, kind: str) -> None:
    x, weights = random(2, 4, 8), {"up.weight": random(6, 8, seed=1), "up.bias": random(6, seed=2)}
    given = run(tmp_path, lambda into: activated(into, "up", "x", kind), {"x": x}, weights)
    expected = FUNCTIONS[kind](x.astype(np.float64) @ weights["up.weight"].T + weights["up.bias"])
    np.testing.assert_allclose(given, expected, atol=2e-6)


def test_a_linear_layer_without_bias(tmp_path: Path) -> None:
    x, weights = random(2, 4, 8), {"up.weight": random(6, 8, seed=1)}
    given = run(tmp_path, lambda into: linear(into, "up", "x", bias=False), {"x": x}, weights)
    np.testing.assert_allclose(given, x @ weights["up.weight"].T, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(tmp_path: Path, bias: bool) -> None:
    x, weights = random(2, 4, 8) + 1, {"n.weight": random(8, seed=1), "n.bias": random(8, seed=2)}
    given = run(tmp_path, lambda into: layer_norm(into, "n", "x", "y", 1e-5, bias=bias), {"x": x}, weights)
    wide = x.astype(np.float64)
    scaled = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(given, scaled * weights["n.weight"] + bias * weights["n.bias"], atol=1e-6)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(2, 5, 8), (2, 5, 3, 8)], ids=["vectors", "heads"])
def test_rms_norm(tmp_path: Path, shape: tuple[int, ...], offset: float, opset: int) -> None:
    x, weights = random(*shape) + 1, {"n.weight": random(8, seed=1)}
    given = run(tmp_path, lambda into: rms_norm(into, "n", "x", "y", 1e-6, offset=offset), {"x": x}, weights, opset)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6) * (weights["n.weight"] + offset)
    np.testing.assert_allclose(given, expected, atol=1e-6)


def reference_bucket(distance: int) -> int:
    """One distance's bucket of 32 up to 128, by whole numbers: the k-th far one begins at 8 * 16 ** (k / 8)."""
    away, side = abs(distance), 16 if distance > 0 else 0
    if away < 8:
        return side + away
    far = sum(int(away**8 >= 8**8 * 16**k) for k in range(1, 8))
    return side + 8 + far


def test_buckets_of_distances() -> None:
    expected = [reference_bucket(distance) for distance in range(-128, 129)]
    np.testing.assert_array_equal(buckets(), expected)


@pytest.mark.parametrize("length", [1, 5, 300])
def test_bias_by_distance(tmp_path: Path, length: int) -> None:
    table = random(32, 4)
    ids = np.zeros((2, length), np.int64)
    given = run(tmp_path, lambda into: relative_bias(into, "table", "ids"), {"ids": ids}, {"table": table})
    distances = np.arange(length)[None, :] - np.arange(length)[:, None]
    chosen = np.vectorize(reference_bucket)(np.clip(distances, -128, 128))
    np.testing.assert_array_equal(given, table[chosen].transpose(2, 0, 1)[None])


@pytest.mark.parametrize("biased", [False, True])
def test_attention_and_that_padding_moves_nothing(tmp_path: Path, biased: bool) -> None:
    heads, size, lengths = 4, 6, [7, 3, 1]
    names = ("q", "k", "v")
    weights = {f"{name}.weight": random(24, 16, seed=place) for place, name in enumerate(names)}
    weights |= {f"{name}.bias": random(24, seed=9 + place) for place, name in enumerate(names)}
    x, bias = random(3, 7, 16), random(1, heads, 7, 7, seed=5)
    mask = (np.arange(7) < np.array(lengths)[:, None]).astype(np.int32)

    def add(into: WeightedGraph) -> str:
        return fused_attention(
            into,
            SelfAttention(*names, heads, size),
            "x",
            "mask",
            bias="biases",
            output="y",
            attention_bias="bias" if biased else "",
        )

    inputs: dict[str, Array] = {"x": x, "mask": mask} | ({"bias": bias} if biased else {})
    given = run(tmp_path, add, inputs, weights)
    for row, length in enumerate(lengths):
        tokens = x[row, :length].astype(np.float64)
        query, key, value = (
            (tokens @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
            .reshape(length, heads, size)
            .transpose(1, 0, 2)
            for name in names
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(size) + biased * bias[0, :, :length, :length]
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        context = (shares / shares.sum(-1, keepdims=True)) @ value
        np.testing.assert_allclose(given[row, :length], context.transpose(1, 0, 2).reshape(length, -1), atol=5e-6)

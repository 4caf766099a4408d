"""Parts of weights, gates, adapters and positions of encoders, each alone on random input, compared with numpy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile.graph_builder import FLOAT, INT64, GraphBuilder
from onnxembed.compile.layers.adapters import TASK_ID, Adapters, table_adaptation
from onnxembed.compile.layers.alibi import alibi_bias, slopes
from onnxembed.compile.layers.glu import FeedForward, feed_forward
from onnxembed.compile.layers.part import Part, activated_part, projected
from onnxembed.compile.layers.positions import token_positions
from onnxembed.compile.layers.rotary import plain_rotary, rotated
from onnxembed.compile.layers.stretched_rotary import Stretch, stretched_angles
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.spelling import spelled
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.facts import Facts
from tests.core.compile.layers.test_layers import FUNCTIONS, random, run
from tests.fixtures.graph_runs import run_graph

VALUE = random(2, 5, 6, seed=1)
PACKED = {"wide.weight": random(24, 6, seed=2), "wide.bias": random(24, seed=3)}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("biased", [True, False])
def test_a_part_of_a_weight_is_a_layer(tmp_path: Path, place: int, biased: bool) -> None:
    part = Part("wide", 6, 8, biased, place=place, of=3)
    assert dict(part.weights) == {"wide.weight": (24, 6), **({"wide.bias": (24,)} if biased else {})}
    given = run(tmp_path, lambda into: projected(into, part, "value"), {"value": VALUE}, PACKED)
    rows = slice(8 * place, 8 * place + 8)
    expected = VALUE.astype(np.float64) @ PACKED["wide.weight"][rows].T + biased * PACKED["wide.bias"][rows]
    np.testing.assert_allclose(given, expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["gelu", "silu", "relu"])
@pytest.mark.parametrize("biased", [True, False])
def test_a_part_is_activated(tmp_path: Path, kind: str, biased: bool) -> None:
    part = Part("wide", 6, 12, biased, place=1, of=2)
    given = run(tmp_path, lambda into: activated_part(into, part, "value", kind), {"value": VALUE}, PACKED)
    linear = VALUE.astype(np.float64) @ PACKED["wide.weight"][12:].T + biased * PACKED["wide.bias"][12:]
    np.testing.assert_allclose(given, FUNCTIONS[kind](linear), atol=5e-6)


def test_a_gate_multiplies(tmp_path: Path) -> None:
    up, gate = (Part("wide", 6, 12, place=place, of=2) for place in range(2))
    layers = FeedForward(up, Part("narrow", 12, 6, bias=False), "silu", gate)
    weights = {**PACKED, "narrow.weight": random(6, 12, seed=4)}
    given = run(tmp_path, lambda into: feed_forward(into, layers, "value"), {"value": VALUE}, weights)
    both = VALUE.astype(np.float64) @ PACKED["wide.weight"].T + PACKED["wide.bias"]
    inner = both[..., :12] * FUNCTIONS["silu"](both[..., 12:])
    np.testing.assert_allclose(given, inner @ weights["narrow.weight"].T, atol=2e-5)


@pytest.mark.parametrize("task", [0, 1, 2])
def test_adapters_of_a_task_add_to_a_part(tmp_path: Path, task: int) -> None:
    adapters = Adapters(tasks=2, rank=3, scale=0.5)
    part = Part("wide", 6, 12, place=1, of=2, adapters=adapters)
    weights = {**PACKED, "wide.lora_A": random(2, 3, 6, seed=5), "wide.lora_B": random(2, 24, 3, seed=6)}
    inputs = {"value": VALUE, TASK_ID: np.array(task)}
    given = run(tmp_path, lambda into: projected(into, part, "value"), inputs, weights)
    weight = PACKED["wide.weight"].astype(np.float64)
    if task < 2:  # the number after the last is that of none
        weight = weight + 0.5 * weights["wide.lora_B"][task] @ weights["wide.lora_A"][task]
    expected = VALUE @ weight[12:].T + PACKED["wide.bias"][12:]
    np.testing.assert_allclose(given, expected, atol=5e-6)


@pytest.mark.parametrize("task", [0, 2])
def test_adapters_of_a_task_add_to_a_table(tmp_path: Path, task: int) -> None:
    weights = {"table.lora_A": random(2, 10, 3, seed=5), "table.lora_B": random(2, 3, 6, seed=6)}
    rows = np.array([[4, 0, 9], [1, 1, 2]])

    def add(into: WeightedGraph) -> str:
        return table_adaptation(into, Adapters(tasks=2, rank=3, scale=2.0), "table", "rows")

    given = run(tmp_path, add, {"rows": rows, TASK_ID: np.array(task)}, weights)
    expected: Any = 0.0
    if task < 2:
        expected = 2 * weights["table.lora_A"][task][rows] @ weights["table.lora_B"][task]
    np.testing.assert_allclose(given, np.broadcast_to(expected, given.shape), atol=5e-6)


def test_slopes_of_distances() -> None:
    assert slopes(8) == [2.0**-i for i in range(1, 9)]
    assert slopes(2) == [2.0**-4, 2.0**-8]
    np.testing.assert_allclose(slopes(12), [2.0**-i for i in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])


def test_scores_fall_with_the_distance(tmp_path: Path) -> None:
    def add(into: WeightedGraph) -> str:
        return alibi_bias(into.graph, token_positions(into.graph, "value"), 3)

    given = run(tmp_path, add, {"value": VALUE}, {})
    places = np.arange(5)
    expected = -np.array(slopes(3))[:, None, None] * np.abs(places - places[:, None])
    np.testing.assert_allclose(given, expected[None], atol=1e-7)


def turned(value: NDArray[Any], frequencies: NDArray[Any]) -> NDArray[Any]:
    """One text's vectors (sequence, heads, size), turned by what the positions say, in double precision."""
    angle = np.outer(np.arange(len(value)), frequencies)[:, None]
    first, second = np.split(value.astype(np.float64), 2, axis=-1)
    return np.concatenate(
        [first * np.cos(angle) - second * np.sin(angle), first * np.sin(angle) + second * np.cos(angle)], axis=-1
    )


def test_turns_slow_down_with_a_texts_own_length(tmp_path: Path) -> None:
    """Of the base 100, a factor of 4, and 6 tokens in the training: 6 tokens turn as before, 20 slower."""
    lengths, heads, size = (20, 6, 11, 1), 2, 8
    graph = GraphBuilder("stretched")
    graph.input("value", FLOAT, ["batch", "sequence", heads * size])
    graph.input("attention_mask", INT64, ["batch", "sequence"])
    rotary = plain_rotary(100.0, size)
    angles = stretched_angles(graph, rotary, Stretch(4.0, 6), token_positions(graph, "value"), "angles")
    rotated(graph, "value", angles, heads, "turned")
    graph.output("turned", FLOAT, ["batch", "sequence", heads * size])
    graph.write(tmp_path / "graph.onnx", largest_inline_bytes=1_000_000)
    value = random(4, 20, heads * size)
    mask = (np.arange(20) < np.array(lengths)[:, None]).astype(np.int64)
    given = run_graph(tmp_path / "graph.onnx", {"value": value, "attention_mask": mask})["turned"]
    for text, length in enumerate(lengths):
        base = 100.0 * max(1.0, 4 * length / 6 - 3) ** (size / (size - 2))
        frequencies = base ** (-np.arange(0, size, 2) / size)
        expected = turned(value[text, :length].reshape(length, heads, size), frequencies)
        np.testing.assert_allclose(given[text, :length], expected.reshape(length, -1), atol=1e-5)
        if math.isclose(base, 100.0):
            plain = turned(value[text, :length].reshape(length, heads, size), np.array(rotary.frequencies))
            np.testing.assert_allclose(given[text, :length], plain.reshape(length, -1), atol=2e-6)


def test_a_setting_goes_by_the_name_that_is_there() -> None:
    facts = Facts({"n_embd": 8, "hidden_size": None, "n_head": 2, "num_attention_heads": 2}, "config.json")
    assert spelled(facts, "hidden_size", "n_embd") == "n_embd"
    assert spelled(facts, "num_attention_heads", "n_head") == "num_attention_heads"
    assert spelled(facts, "layers", "n_layer") == "layers"
    assert facts.left() == {}


def test_two_names_that_say_different_things_are_refused() -> None:
    facts = Facts({"n_embd": 8, "hidden_size": 16}, "config.json")
    with pytest.raises(UnsupportedModelError, match="hidden_size is 16 and n_embd is 8"):
        spelled(facts, "hidden_size", "n_embd")

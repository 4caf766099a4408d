from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.compile.graph_builder import FLOAT, GraphBuilder
from onnxembed.compile.layers.positions import token_positions
from onnxembed.compile.layers.rotary import Rotary, add_angles, plain_rotary, read_rotary, rotated
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from tests.fixtures.graph_runs import run_graph

HEADS, SIZE = 2, 8


def facts(**values: Any) -> Facts:
    return Facts({"max_position_embeddings": 64, **values}, "config.json")


def scaled(kind: str, **values: Any) -> Rotary:
    return read_rotary(facts(rope_parameters={"rope_type": kind, "rope_theta": 100.0, **values}), SIZE, theta=1e4)


@pytest.mark.parametrize(
    "rotary",
    [
        plain_rotary(100.0, SIZE),
        plain_rotary(100.0, SIZE, interleaved=True),
        plain_rotary(100.0, SIZE, size=4),
        Rotary((1.0, 0.3, 0.2, 0.1), 1.5, SIZE),
    ],
    ids=["halves", "neighbours", "part of the head", "scaled"],
)
def test_pairs_of_numbers_are_turned(tmp_path: Path, rotary: Rotary) -> None:
    graph = GraphBuilder("rotary")
    graph.input("value", FLOAT, ["batch", "sequence", HEADS * SIZE])
    angles = add_angles(graph, rotary, token_positions(graph, "value"), "angles")
    rotated(graph, "value", angles, HEADS, "turned")
    graph.output("turned", FLOAT, ["batch", "sequence", HEADS * SIZE])
    graph.write(tmp_path / "graph.onnx", largest_inline_bytes=1_000_000)
    value = np.random.default_rng(1).standard_normal((3, 50, HEADS * SIZE)).astype(np.float32)
    given = run_graph(tmp_path / "graph.onnx", {"value": value})["turned"]

    heads = value.astype(np.float64).reshape(3, 50, HEADS, SIZE)
    pairs = len(rotary.frequencies)
    if rotary.interleaved:
        first, second = np.arange(0, 2 * pairs, 2), np.arange(1, 2 * pairs, 2)
    else:
        first, second = np.arange(pairs), np.arange(pairs, 2 * pairs)
    angle = np.outer(np.arange(50), rotary.frequencies)[:, None]
    expected = heads.copy()
    expected[..., first] = rotary.scale * (heads[..., first] * np.cos(angle) - heads[..., second] * np.sin(angle))
    expected[..., second] = rotary.scale * (heads[..., first] * np.sin(angle) + heads[..., second] * np.cos(angle))
    np.testing.assert_allclose(given, expected.reshape(value.shape), atol=5e-6)


def test_plain_frequencies_fall_from_one() -> None:
    assert scaled("default").frequencies == pytest.approx([1, 100**-0.25, 100**-0.5, 100**-0.75])
    assert scaled("default").scale == 1


def test_linear_scaling_slows_every_turn() -> None:
    assert scaled("linear", factor=4.0).frequencies == pytest.approx([f / 4 for f in scaled("default").frequencies])


def test_dynamic_scaling_changes_nothing_within_the_positions() -> None:
    assert scaled("dynamic", factor=4.0) == scaled("default")


def test_llama3_scaling_slows_slow_turns_and_leaves_fast_ones() -> None:
    # Within 64 positions the pairs turn 10.2, 3.2, 1.02 and 0.32 times.
    rotary = scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
    plain = scaled("default").frequencies
    turns = 64 * plain[1] / (2 * math.pi)
    kept = (turns - 1) / 3
    assert rotary.frequencies[0] == plain[0]
    assert rotary.frequencies[1] == pytest.approx(plain[1] * (kept + (1 - kept) / 8))
    assert rotary.frequencies[3] == pytest.approx(plain[3] / 8)


def test_yarn_slows_slow_turns_and_scales() -> None:
    rotary = scaled("yarn", factor=4.0, original_max_position_embeddings=32)
    plain = scaled("default").frequencies
    # Within 32 positions a pair before the first would turn 32 times, and one at 1.41, rounded up to 2, once.
    slowed = [0, 0.5, 1, 1]
    assert rotary.frequencies == pytest.approx([f * (1 - s + s / 4) for f, s in zip(plain, slowed, strict=True)])
    assert rotary.scale == pytest.approx(1 + 0.1 * math.log(4))
    assert scaled("yarn", factor=4.0, attention_factor=1.25).scale == 1.25
    both = scaled("yarn", factor=4.0, mscale=2.0, mscale_all_dim=0.5)
    assert both.scale == pytest.approx((1 + 0.2 * math.log(4)) / (1 + 0.05 * math.log(4)))


def test_both_spellings_say_the_same() -> None:
    older = facts(rope_theta=100.0, rope_scaling={"type": "linear", "factor": 4.0}, partial_rotary_factor=1.0)
    frequencies = [0.25 * 100**-part for part in (0, 0.25, 0.5, 0.75)]
    assert read_rotary(older, SIZE, theta=1e4).frequencies == pytest.approx(frequencies)
    newer = facts(
        rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0, "partial_rotary_factor": 1.0}
    )
    assert read_rotary(newer, SIZE, theta=1e4) == read_rotary(older, SIZE, theta=1e4)
    assert not older.left() | newer.left()


@pytest.mark.parametrize("kind", ["default", "linear"])
def test_heads_turned_in_part_are_refused(kind: str) -> None:
    # transformers 5 ignores the part where nothing is scaled, and fails where something is.
    named = facts(rope_parameters={"rope_type": kind, "factor": 2.0, "partial_rotary_factor": 0.5})
    beside = facts(rope_theta=1e4, partial_rotary_factor=0.5)
    for config, key in ((named, r"rope_parameters\.partial"), (beside, "partial")):
        with pytest.raises(UnsupportedModelError, match=rf"{key}_rotary_factor is 0\.5; known here: 1, 1\.0"):
            read_rotary(config, SIZE, theta=1e4)


def test_kinds_of_layers_may_have_turns_of_their_own() -> None:
    config = facts(rope_parameters={"slow": {"rope_theta": 1e4}, "fast": {"rope_theta": 100.0}})
    assert read_rotary(config, SIZE, theta=10.0, part="fast") == plain_rotary(100.0, SIZE)
    assert read_rotary(config, SIZE, theta=10.0, part="slow") == plain_rotary(1e4, SIZE)
    assert not config.left({"max_position_embeddings"})


def test_a_scaling_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModelError, match=r"config\.json: .*rope_type 'longrope'; known here: default, "):
        scaled("longrope", short_factor=[1.0])


def test_numbers_of_another_scaling_are_left_for_refusal() -> None:
    config = facts(rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]})
    read_rotary(config, SIZE, theta=1e4)
    assert config.left() == {"rope_parameters.mrope_section": [1, 1, 2]}


@pytest.mark.parametrize(
    "values",
    [
        {"rope_theta": 0.5},
        {"rope_theta": "1e4"},
        {"partial_rotary_factor": 2.0},
        {"partial_rotary_factor": 0.1},
        {"partial_rotary_factor": 1e308},
        {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 10**400},
        {"rope_type": "yarn", "factor": 8.0, "beta_fast": 1e-320},
        {"rope_type": "linear"},
        {"rope_type": "linear", "factor": 0},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0},
        {"rope_type": "yarn", "factor": 8.0, "beta_fast": -1},
    ],
)
def test_wrong_numbers_are_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"config\.json: rope_parameters\."):
        read_rotary(facts(rope_parameters=values), SIZE, theta=1e4)

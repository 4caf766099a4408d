from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile.graph_builder import FLOAT, INT32, GraphBuilder
from onnxembed.compile.layers.grouped_attention import GroupedAttention, grouped_attention
from onnxembed.compile.layers.positions import token_positions, window_bias
from tests.fixtures.graph_runs import Feed, run_graph

LENGTHS = (7, 1, 4, 9)
SIZE = 8


def feed(attention: GroupedAttention) -> Feed:
    random = np.random.default_rng(3)
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int32)
    numbers = {"query": attention.heads, "key": attention.groups, "value": attention.groups}
    return {
        name: random.standard_normal((*mask.shape, heads * SIZE)).astype(np.float32) for name, heads in numbers.items()
    } | {"mask": mask}


def graph_values(folder: Path, attention: GroupedAttention, given: Feed, farthest: int | None) -> NDArray[Any]:
    graph = GraphBuilder("attention")
    for name in ("query", "key", "value"):
        graph.input(name, FLOAT, ["batch", "sequence", given[name].shape[2]])
    graph.input("mask", INT32, ["batch", "sequence"])
    capped = attention.score_cap is not None
    bias = ""
    if capped or farthest is not None:
        bias = window_bias(graph, token_positions(graph, "query"), "window", farthest=farthest, causal=capped)
    grouped_attention(graph, attention, ("query", "key", "value"), "context", mask="mask", bias=bias)
    graph.output("context", FLOAT, ["batch", "sequence", attention.heads * SIZE])
    graph.write(folder / "graph.onnx", largest_inline_bytes=1_000_000)
    return run_graph(folder / "graph.onnx", given)["context"]


def one_text(attention: GroupedAttention, given: Feed, row: int, farthest: int | None) -> NDArray[Any]:
    """Attention of one text by itself, without padding, head by head."""
    length = LENGTHS[row]
    query, key, value = (
        given[name][row, :length].astype(np.float64).reshape(length, -1, SIZE) for name in ("query", "key", "value")
    )
    distance = np.arange(length)[:, None] - np.arange(length)
    hidden = np.abs(distance) > (length if farthest is None else farthest)
    if attention.causal:
        hidden |= distance < 0
    context = np.empty_like(query)
    for head in range(attention.heads):
        group = head // (attention.heads // attention.groups)
        scores = attention.scale * query[:, head] @ key[:, group].T
        if attention.score_cap is not None:
            scores = attention.score_cap * np.tanh(scores / attention.score_cap)
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        context[:, head] = weights / weights.sum(1, keepdims=True) @ value[:, group]
    return context.reshape(length, -1)


@pytest.mark.parametrize("farthest", [None, 0, 2])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("causal", "cap"), [(True, None), (False, None), (True, 0.7)])
def test_a_padded_batch_gives_what_each_text_gives_by_itself(
    tmp_path: Path, causal: bool, cap: float | None, groups: int, farthest: int | None
) -> None:
    attention = GroupedAttention(4, groups, SIZE, 0.3, causal, cap)
    given = feed(attention)
    values = graph_values(tmp_path, attention, given, farthest)
    assert np.isfinite(values).all()
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(values[row, :length], one_text(attention, given, row, farthest), atol=1e-6)

"""DeBERTa's products with distances, compared with numpy number by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxembed.compile.graph_builder import FLOAT, INT64, GraphBuilder
from onnxembed.compile.layers.disentangled_bias import Distances, distance_rows
from tests.fixtures.graph_runs import run_graph


def test_each_distance_has_its_row_up_to_the_largest() -> None:
    assert distance_rows(3, 4, 0).tolist() == [0, 0, 1, 2, 3, 4, 5, 5, 5]


@pytest.mark.parametrize(
    ("buckets", "largest", "rows"),
    [
        # From transformers' make_log_bucket_position, clipped to the table: v3's own numbers, and small ones.
        (256, 512, {0: 256, 1: 257, -1: 255, 128: 384, 129: 385, -129: 127, 130: 386, 200: 425, 510: 511, -510: 1}),
        (256, 512, {511: 511, 512: 511, -511: 1, -512: 0}),
        (12, 20, {5: 17, 6: 18, 7: 19, 8: 20, 9: 20, 12: 22, 19: 23, 20: 23, -7: 5, -8: 4, -19: 1, -20: 0}),
    ],
)
def test_far_distances_share_rows(buckets: int, largest: int, rows: dict[int, int]) -> None:
    given = distance_rows(buckets, largest, buckets)
    assert {distance: int(given[distance + largest]) for distance in rows} == rows


@pytest.mark.parametrize("tokens", [1, 2, 5, 9, 30])
@pytest.mark.parametrize("of_queries", [True, False])
def test_products_are_those_of_each_pair(tokens: int, of_queries: bool, tmp_path: Path) -> None:
    span, largest, buckets, heads, size = 8, 10, 8, 3, 4
    random = np.random.default_rng(tokens)
    table = random.normal(size=(2 * span, heads, size)).astype(np.float32)
    vectors = random.normal(size=(2, heads, tokens, size)).astype(np.float32)
    ids = np.zeros((2, tokens), np.int64)

    graph = GraphBuilder("products")
    graph.input("input_ids", INT64, ["batch", "sequence"])
    graph.input("vectors", FLOAT, ["batch", heads, "sequence", size])
    distances = Distances.add(graph, "input_ids", span, largest, buckets)
    rows = distances.falling if of_queries else distances.rising
    distances.products("vectors", graph.initializer("table", table), rows, "products")
    graph.output("products", FLOAT, ["batch", heads, "sequence", "sequence"])
    graph.write(tmp_path / "out.onnx", largest_inline_bytes=10**9)
    given = run_graph(tmp_path / "out.onnx", {"input_ids": ids, "vectors": vectors})["products"]

    by_distance = distance_rows(span, largest, buckets)
    expected = np.zeros((2, heads, tokens, tokens))
    for one in range(tokens):
        for other in range(tokens):
            query_minus_key = one - other if of_queries else other - one
            row = by_distance[np.clip(query_minus_key, -largest, largest) + largest]
            expected[:, :, one, other] = np.einsum("bhs,hs->bh", vectors[:, :, one], table[row])
    np.testing.assert_allclose(given, expected, atol=1e-5)

"""Poolings in the graph, compared with each written in a line of numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile import compile_model
from onnxembed.spec import PoolingType
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.small_models import write_bert_folder

Array = NDArray[Any]

# Of the token vectors of one text, without its padding.
REFERENCES: dict[PoolingType, Callable[[Array], Array]] = {
    PoolingType.CLS: lambda tokens: tokens[0],
    PoolingType.MEAN: lambda tokens: tokens.mean(axis=0),
    PoolingType.LAST_TOKEN: lambda tokens: tokens[-1],
    PoolingType.MAX: lambda tokens: tokens.max(axis=0),
    PoolingType.MEAN_SQRT_LEN: lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    PoolingType.WEIGHTED_MEAN: lambda tokens: np.average(tokens, axis=0, weights=np.arange(1, len(tokens) + 1)),
}


def run(folder: Path, pooling: PoolingType | Sequence[PoolingType], lengths: list[int]) -> tuple[dict[str, Array], Any]:
    write_bert_folder(folder, seed=4)
    compile_model(folder, folder / "out.onnx", pooling=pooling)
    feed = token_batch(lengths, vocab=98)
    return run_graph(folder / "out.onnx", feed), feed["attention_mask"]


def expected(outputs: dict[str, Array], mask: Array, poolings: Sequence[PoolingType]) -> Array:
    tokens = [row[kept == 1].astype(np.float64) for row, kept in zip(outputs["last_hidden_state"], mask, strict=True)]
    return np.stack([np.concatenate([REFERENCES[pooling](one) for pooling in poolings]) for one in tokens])


@pytest.mark.parametrize("pooling", REFERENCES)
def test_each_pooling(tmp_path: Path, pooling: PoolingType) -> None:
    outputs, mask = run(tmp_path, pooling, [7, 1, 12, 12, 3])
    reference = expected(outputs, mask, [pooling])
    np.testing.assert_allclose(outputs["pooled"], reference, atol=1e-6)
    unit = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["sentence_embedding"], unit, atol=1e-6)


def test_several_are_joined_in_their_order(tmp_path: Path) -> None:
    poolings = list(REFERENCES)
    outputs, mask = run(tmp_path, poolings, [7, 1, 12])
    assert outputs["pooled"].shape == (3, 6 * 32)
    np.testing.assert_allclose(outputs["pooled"], expected(outputs, mask, poolings), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(outputs["sentence_embedding"], axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("pooling", REFERENCES)
def test_an_item_of_padding_alone_is_finite_and_not_huge(tmp_path: Path, pooling: PoolingType) -> None:
    outputs, _ = run(tmp_path, pooling, [4, 0])
    assert np.isfinite(outputs["sentence_embedding"]).all()
    assert np.abs(outputs["pooled"][1]).max() < 100

"""Shipped graphs that are given one vector per text at their end, as for devices: the vectors stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from onnxembed.compile.rewrite.pool_tokens import with_pooled
from onnxembed.errors import UnsupportedModelError
from onnxembed.runtime.provider_traits import GraphForm as Form
from onnxembed.spec import PoolingType
from onnxembed.text.pooling import pool
from tests.core.text.test_fastembed_equality import BOUND, NAMES, UNIT_IN_LAST_PLACE, golden, largest
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_models import TEXTS
from tests.fixtures.graph_runs import run_graph

if TYPE_CHECKING:
    from tests.core.text.conftest import OpenVariant

POOLINGS = [pooling for pooling in PoolingType if pooling is not PoolingType.DISABLED]


@pytest.mark.parametrize("name", NAMES)
def test_vectors_equal_those_of_fastembed(
    name: str, open_variant: OpenVariant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxembed.api.engine.graph_form", lambda _: Form(pooled=True))
    vectors = open_variant(name, cache_dir=tmp_path, enable_cpu_mem_arena=False).embed_to_array(TEXTS)
    bound = UNIT_IN_LAST_PLACE if name.startswith("float16") else BOUND
    assert largest(vectors, golden(name)) <= bound
    if name.startswith("float16"):
        assert np.array_equal(vectors, vectors.astype(np.float16))


def test_a_graph_with_token_vectors_is_rewritten(
    open_variant: OpenVariant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxembed.api.engine.graph_form", lambda _: Form(pooled=True))
    model = open_variant("mean_norm", cache_dir=tmp_path, enable_cpu_mem_arena=False)
    model.embed_to_array(["a"])
    (graph,) = tmp_path.rglob("compiled/*/model.onnx")
    assert [output.name for output in onnx.load(graph).graph.output][-2:] == ["pooled", "sentence_embedding"]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("half", [False, True])
def test_every_pooling_as_outside_the_graph(tmp_path: Path, pooling: PoolingType, half: bool) -> None:
    write_graph(tmp_path / "model.onnx", GraphForm(float16=half))
    poolings = (pooling, PoolingType.MAX if pooling is PoolingType.CLS else PoolingType.CLS)
    with_pooled(tmp_path / "model.onnx", tmp_path / "pooled.onnx", tokens="last_hidden_state", poolings=poolings)
    ids = np.random.default_rng(1).integers(1, 100, (3, 9))
    mask = np.array([[1] * 9, [1] * 4 + [0] * 5, [0, 0] + [1] * 7])
    got = run_graph(
        tmp_path / "pooled.onnx", {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    )
    for name, normalized in (("pooled", False), ("sentence_embedding", True)):
        expected = pool(got["last_hidden_state"], mask, poolings, normalized=normalized)
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], expected, atol=1e-3 if half else 1e-6)


def test_what_cannot_be_pooled(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx", GraphForm(output="sentence"))
    with pytest.raises(UnsupportedModelError, match="cannot be pooled inside the graph"):
        with_pooled(
            tmp_path / "model.onnx",
            tmp_path / "pooled.onnx",
            tokens=onnx.load(tmp_path / "model.onnx").graph.output[0].name,
            poolings=(PoolingType.MEAN,),
        )
    assert not (tmp_path / "pooled.onnx").exists()

"""Every architecture that is compiled here, in 16 bits: near single precision, by a stated bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxembed.compile import compile_model
from onnxembed.compile.rewrite.half.convert import halve_graph
from onnxembed.compile.rewrite.half.formats import BFLOAT16, FLOAT16, HalfFormat
from onnxembed.formats.onnx_graph import inspect_graph
from tests.core.compile.rewrite.int8.test_architectures import feed_of, head_of, rows
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.half_graphs import widened
from tests.fixtures.model_rows import Row, write_row

# What docs/precision.md states: how far the cosine to single precision is from 1, at most.
BOUNDS = {"float16": 1e-5, "bfloat16": 5e-4}


@pytest.mark.parametrize("form", [FLOAT16, BFLOAT16], ids=lambda form: form.name)
@pytest.mark.parametrize("row", rows())
def test_near_single_precision(row: Row, form: HalfFormat, tmp_path: Path) -> None:
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    compile_model(write_row(row, tmp_path / "model"), full, **head_of(row))
    done = halve_graph(full, half, form, smallest=0, single_file=True)
    assert done.products >= 12
    assert not done.kept
    was, now = inspect_graph(full), inspect_graph(half)
    assert (now.inputs, now.outputs, now.opset) == (was.inputs, was.outputs, was.opset)
    random = np.random.default_rng(1)
    feed = {info.name: feed_of(info, random) for info in was.inputs}
    if form is BFLOAT16:  # the processor has no kernels for it
        half = widened(half, tmp_path / "wide.onnx")
    exact, near = (run_graph(path, feed)["sentence_embedding"].astype(np.float64) for path in (full, half))
    cosines = (exact * near).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert 1 - cosines.min() < BOUNDS[form.name]
    assert not np.array_equal(exact, near)

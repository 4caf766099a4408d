"""DeBERTa and T5: neither neighbours nor padding move a text, however long; their inputs are those that they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxembed.compile import compile_model
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import PoolingType
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.model_rows import ROWS, read_row, write_row

LENGTHS = [3, 1, 130, 41, 2]
"""Far beyond the distances that the tables of the rows tell apart."""


def compiled(row: str, folder: Path) -> Path:
    target = folder / "out.onnx"
    compile_model(write_row(read_row(ROWS / f"{row}.json"), folder / "model"), target, pooling=PoolingType.MEAN)
    return target


@pytest.mark.parametrize(
    "row", ["deberta-mean", "deberta-v2-mean", "deberta-v2-cls", "deberta-v3-mean", "t5-mean", "umt5-mean"]
)
def test_padding_moves_no_text(row: str, tmp_path: Path) -> None:
    path = compiled(row, tmp_path)
    names = {value.name for value in inspect_graph(path).inputs}
    batch = {name: value for name, value in token_batch(LENGTHS, vocab=100).items() if name in names}
    together = run_graph(path, batch)["sentence_embedding"]
    for at, length in enumerate(LENGTHS):
        alone = run_graph(path, {name: value[at : at + 1, :length] for name, value in batch.items()})
        np.testing.assert_allclose(together[at], alone["sentence_embedding"][0], atol=1e-6)


@pytest.mark.parametrize(
    ("row", "types"),
    [("deberta-v2-mean", True), ("deberta-v2-cls", False), ("deberta-v3-mean", False), ("t5-mean", False)],
)
def test_token_types_are_an_input_where_there_are_several(row: str, types: bool, tmp_path: Path) -> None:
    names = [value.name for value in inspect_graph(compiled(row, tmp_path)).inputs]
    assert names == ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]

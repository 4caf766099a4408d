"""The page on output precisions: its lines run, one after another, and find the same documents."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from onnxembed.api.output_precision import OUTPUT_PRECISIONS
from tests.walls.copies import ROOT

PAGE = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)```", PAGE, re.M | re.S)


@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")  # FAISS's wrapper
@pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning")
def test_lines_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    values: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "precision.md", "exec"), values)  # the lines of a page of this project
    vectors, queries = values["vectors"], values["queries"]
    exact = np.sort(queries @ vectors.T, axis=1)[:, ::-1][:, :10]
    rescored = np.take_along_axis(queries @ vectors.T, values["positions"], axis=1)
    assert np.abs(rescored - exact).max() < 0.02
    assert [len(values[name]) for name in ("found", "near")] == [10, 10]
    first = {point.id for point in values["found"]}
    assert len(first & {point.id for point in values["near"]}) >= 7
    assert {type(number) for number in values["langchain"].embed_query("subject 3")} == {int}
    assert values["llama_index"].dimension == len(values["signs"][0]) == vectors.shape[1] // 8
    assert values["steps"].dtype == np.int8


def test_every_output_precision_has_its_line() -> None:
    assert all(f'`"{name}"' in PAGE for name in OUTPUT_PRECISIONS)

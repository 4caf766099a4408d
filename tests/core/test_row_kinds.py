"""The files of every row say of which kind their model is."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxembed
from onnxembed import open_model
from tests.fixtures.model_rows import CLASSES, Row, all_rows, write_row


@pytest.mark.parametrize("row", [row for row in all_rows() if row.values[0].kind != "image"])
def test_open_model_finds_the_class(row: Row, tmp_path: Path) -> None:
    # A dense model with two heads more is opened as the dense model that it is, unless a kind is asked for.
    kind = row.kind if row.name.startswith("bge-m3") else None
    model = open_model(write_row(row, tmp_path / "model"), kind, lazy_load=True)
    assert type(model) is getattr(onnxembed, CLASSES[row.kind])

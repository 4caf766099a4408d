"""Models of every architecture, loaded from what a library saved, give that library's values."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxembed
from tests.fixtures.model_rows import CLASSES, Row, all_rows, computed, difference, write_row

TOLERANCE = 1e-6


@pytest.mark.parametrize("row", all_rows())
def test_equals_the_library_that_saved_it(row: Row, tmp_path: Path) -> None:
    folder = write_row(row, tmp_path / "model")
    model = getattr(onnxembed, CLASSES[row.kind])(folder, cache_dir=tmp_path / "cache", **row.options)
    values = computed(row, model)
    differences = {name: difference(row.expected[name], values[name]) for name in values}
    assert max(differences.values()) < TOLERANCE, differences

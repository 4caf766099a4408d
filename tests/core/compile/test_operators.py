"""Graphs of other operators give what the fused ones give, in every architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onnxembed
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.runtime.provider_traits import GraphForm, Operators
from tests.fixtures.model_rows import CLASSES, Row, all_rows, computed, difference, write_row

# Of two graphs whose sums have another order.
TOLERANCE = 1e-6
# ONNX Runtime puts these under the standard's domain, though the standard does not have them.
OWN = {"SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"}


def rows() -> list[Any]:
    """One row for each architecture; the others take `make test-full`."""
    seen: set[str] = set()
    chosen = []
    for given in all_rows():
        row: Row = given.values[0]
        new = row.architecture not in seen
        seen.add(row.architecture)
        chosen.append(given if new else pytest.param(row, id=row.name, marks=pytest.mark.full))
    return chosen


def values(row: Row, folder: Path) -> dict[str, Any]:
    cache = folder.parent / f"cache-{len(list(folder.parent.iterdir()))}"
    model = getattr(onnxembed, CLASSES[row.kind])(folder, cache_dir=cache, cuda=False, **row.options)
    return dict(computed(row, model))


@pytest.mark.parametrize("operators", [Operators.PLAIN, Operators.LENGTHS, Operators.STANDARD_ATTENTION])
@pytest.mark.parametrize("row", rows())
def test_other_operators_give_the_same(
    row: Row, operators: Operators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_row(row, tmp_path / "model")
    monkeypatch.setattr("onnxembed.api.engine.graph_form", lambda _: GraphForm(Operators.FUSED))
    fused = values(row, folder)
    monkeypatch.setattr("onnxembed.api.engine.graph_form", lambda _: GraphForm(operators))
    other = values(row, folder)
    differences = {name: difference(fused[name], other[name]) for name in fused}
    assert max(differences.values()) < TOLERANCE, differences
    compiled = sorted(tmp_path.glob("cache-*/**/compiled/*/model.onnx"), key=lambda path: path.stat().st_mtime_ns)
    for graph in compiled[len(compiled) // 2 :]:  # those of the second run; tables are not compiled
        assert_operators(graph, operators)


def assert_operators(graph: Path, operators: Operators) -> None:
    used = inspect_graph(graph, require_external_data=False).operators
    if operators is Operators.PLAIN:
        assert {domain for domain, _ in used} <= {"", "ai.onnx"}
        assert {name for _, name in used}.isdisjoint(OWN)

"""The arithmetic of ``docs/cluster.md`` follows from the figures that were measured."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from tests.walls.copies import ROOT


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    return found


def test_a_billion_chunks_take_what_was_measured() -> None:
    dense, precision = result("dense-amd-epyc.json"), result("precision-amd-epyc.json")
    pace = f"{dense['texts']['count'] / median(dense['bulk']['onnxembed']['default']['seconds']):.1f}"
    tokens = dense["texts"]["tokens"]["sum"] / dense["texts"]["count"]
    rates = precision["figures"]["1"]["texts_per_second"]
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert f"texts of {tokens:.1f} tokens on average: {pace} texts/s in fp32 on two cores" in page
    fp32, times = float(pace) / 2, rates["int8"] / rates["fp32"]
    assert f"{fp32:.1f} per core, or {fp32 * tokens:,.0f} tokens per second and core" in page
    assert f"{times:.2f} times" in page
    hours = 1e9 / fp32 / 3600
    assert f"| core hours, 70 tokens each | {hours:,.0f} | {hours / times:,.0f} |" in page
    assert f"| hours on 64 cores | {hours / 64:.1f} | {hours / times / 64:.1f} |" in page
    assert f"| hours on 1,000 cores | {hours / 1000:.1f} | {hours / times / 1000:.1f} |" in page
    longer = hours * 256 / tokens
    assert f"| core hours, 256 tokens each, at least | {longer:,.0f} | {longer / times:,.0f} |" in page

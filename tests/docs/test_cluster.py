"""The arithmetic of ``docs/cluster.md`` follows from the figures that were measured."""

from __future__ import annotations

import json
from typing import Any

from tests.walls.copies import ROOT


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    return found


def test_a_billion_chunks_take_what_was_measured() -> None:
    dense, precision = result("dense-amd-epyc.json"), result("precision-amd-epyc.json")
    tokens = round(dense["texts"]["tokens"]["sum"] / dense["texts"]["count"], 1)
    assert precision["texts"] == dense["texts"]["count"]
    assert precision["workload"] == dense["texts"]["workload"]
    rates = precision["figures"]["1"]["texts_per_second"]
    fp32, int8 = rates["fp32"], rates["int8"]
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert f"texts of {tokens:.1f} tokens on average" in page
    assert f"{fp32:.1f} texts/s in fp32, {fp32 * tokens:,.0f} tokens per second; {int8:.1f} with" in page
    hours, shorter = 1e9 / fp32 / 3600, 1e9 / int8 / 3600
    assert f"| core hours, 70 tokens each | {hours:,.0f} | {shorter:,.0f} |" in page
    assert f"| hours on 64 cores | {hours / 64:.1f} | {shorter / 64:.1f} |" in page
    assert f"| hours on 1,000 cores | {hours / 1000:.1f} | {shorter / 1000:.1f} |" in page
    longer = 256 / tokens
    assert f"| core hours, 256 tokens each, at least | {hours * longer:,.0f} | {shorter * longer:,.0f} |" in page

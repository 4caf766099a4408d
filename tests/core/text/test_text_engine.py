"""How a graph whose costs are tokens runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from onnxembed.api.engine import LoadedGraph
from onnxembed.api.graph_file import GraphFile
from onnxembed.runtime.batching import RunPlan, batch_limits
from onnxembed.runtime.providers import CPU_PROVIDER, CUDA_PROVIDER
from onnxembed.runtime.sessions import Sessions
from onnxembed.text.text_engine import text_plan


def loaded(*providers: str, sessions: int = 1, threads: int = 1, quantized: bool = False) -> LoadedGraph:
    file = GraphFile(Path("model.onnx"), (), (), compiled=False, dynamically_quantized=quantized)
    fakes = tuple(cast("Any", SimpleNamespace(providers=providers)) for _ in range(sessions))
    return LoadedGraph(Sessions(fakes), file, threads)


@pytest.fixture(autouse=True)
def _unknown_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.runtime.budgets.device_memory", lambda _: None)


@pytest.mark.parametrize(
    ("graph", "plan"),
    [
        (loaded(CPU_PROVIDER), RunPlan(256)),
        (loaded(CPU_PROVIDER, threads=3), RunPlan(768)),
        (
            loaded(CUDA_PROVIDER, CPU_PROVIDER, sessions=2),  # two runs on each, and windows of four batches for each
            RunPlan(16_384, workers=4, squares=1 << 24, least_window=2 * 4 * 16_384 * 6, preparers=2),
        ),
        (
            loaded("WebGpuExecutionProvider"),
            RunPlan(4096, workers=2, squares=1 << 24, least_window=4 * 4096 * 6, preparers=2),
        ),
        (loaded(CPU_PROVIDER, quantized=True), RunPlan(256, one_by_one=True)),
    ],
)
def test_plan_follows_the_device_and_the_graph(graph: LoadedGraph, plan: RunPlan) -> None:
    assert text_plan(graph, one_by_one=False) == plan
    assert text_plan(graph, one_by_one=True).one_by_one


def test_the_budget_follows_sessions_that_move() -> None:
    graph = loaded(CUDA_PROVIDER, CPU_PROVIDER, threads=2)
    (session,) = graph.sessions
    session.may_move = True  # type: ignore[misc]  # a stand-in
    plan = text_plan(graph, one_by_one=False)
    assert batch_limits(plan, 8, None, None).budget == 16_384
    session.providers = (CPU_PROVIDER,)  # type: ignore[misc]  # a stand-in
    assert batch_limits(plan, 8, None, None).budget == 512

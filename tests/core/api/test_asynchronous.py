"""Asynchronous twins: none is missing, and each has the signature of its elder."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

import onnxembed
from tests.fixtures.text_models import small_model

CLASSES = (
    onnxembed.TextEmbedding,
    onnxembed.SparseTextEmbedding,
    onnxembed.LateInteractionTextEmbedding,
    onnxembed.TextCrossEncoder,
    onnxembed.ImageEmbedding,
    onnxembed.LateInteractionMultimodalEmbedding,
    onnxembed.M3Embedding,
)


def methods_of(owner: type) -> dict[str, Callable[..., Any]]:
    """Public methods, class and static methods aside: they answer from what is in memory."""
    return {
        name: member
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(owner, name)) and name != "run_async"
    }


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_every_method_that_works_has_its_twin(owner: type) -> None:
    methods = methods_of(owner)
    elders = {name for name in methods if not (name.startswith("a") and name[1:] in methods)}
    assert elders
    for name in elders:
        twin = methods[f"a{name}"]
        ours, theirs = inspect.signature(methods[name]), inspect.signature(twin)
        assert theirs.parameters == ours.parameters, name
        if str(ours.return_annotation).startswith("Iterator["):
            assert theirs.return_annotation == f"Async{ours.return_annotation}", name
        else:
            assert theirs.return_annotation == ours.return_annotation, name
        assert f"Asynchronous twin of `{name}`." in inspect.getdoc(twin).splitlines()[0]  # type: ignore[union-attr]


def test_what_a_stream_loads_stays_loaded() -> None:
    model = onnxembed.TextEmbedding(small_model(), lazy_load=True)

    async def first() -> None:
        assert [vector async for vector in model.aembed(["hello"])]

    asyncio.run(first())
    gc.collect()
    assert model.loaded


def test_cancelled_calls_under_way_count_as_running() -> None:
    model = onnxembed.TextEmbedding(small_model(), lazy_load=True)
    running, most, lock, over = [0], [0], threading.Lock(), threading.Event()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        over.wait(10)
        with lock:
            running[0] -= 1

    async def cancelled() -> None:
        for _ in range(3 * model.max_concurrency):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(model.run_async(work), 0.02)
        over.set()

    asyncio.run(cancelled())
    assert most[0] == model.max_concurrency

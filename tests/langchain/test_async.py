"""The event loop stays free, and many calls at once stay few inferences."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from langchain_onnxembed import OnnxEmbeddings
from onnxembed import TextEmbedding
from tests.fixtures.text_models import small_model

TAG: contextvars.ContextVar[str] = contextvars.ContextVar("TAG", default="unset")
MOST_AT_ONCE = 4
"""The core's bound, whatever the machine."""


class Watch:
    """Slows the engine down and notes how it is used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
        self.calls = 0
        self.peak = 0
        self.tags: list[str] = []
        self._running = 0
        self._lock = threading.Lock()
        self._pause = pause
        self._work = TextEmbedding.embed_to_array
        monkeypatch.setattr(TextEmbedding, "embed_to_array", self._wrapper())

    def _wrapper(self) -> Callable[..., Any]:
        def embed_to_array(engine: TextEmbedding, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls += 1
                self._running += 1
                self.peak = max(self.peak, self._running)
                self.tags.append(TAG.get())
            try:
                time.sleep(self._pause)
                return self._work(engine, *args, **kwargs)
            finally:
                with self._lock:
                    self._running -= 1

        return embed_to_array


@pytest.fixture
def embeddings() -> OnnxEmbeddings:
    embeddings = OnnxEmbeddings(model=small_model())
    embeddings.embed_query("loaded now")
    return embeddings


async def longest_silence(work: asyncio.Task[Any]) -> float:
    """Tick every 5 ms while some work goes on; give the longest time without a tick."""
    longest, last = 0.0, time.perf_counter()
    while not work.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    return longest


@pytest.mark.parametrize("call", ["aembed_query", "aembed_documents"])
async def test_the_loop_keeps_ticking(embeddings: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    Watch(monkeypatch, pause=0.5)
    work = asyncio.create_task(getattr(embeddings, call)("Paris" if call == "aembed_query" else ["Paris"]))
    assert await longest_silence(work) < 0.25
    assert len(await work) == (embeddings.dimension if call == "aembed_query" else 1)


async def test_concurrent_calls_are_bounded(embeddings: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = embeddings.embed_query("text 49")
    watch = Watch(monkeypatch, pause=0.005)
    vectors = await asyncio.gather(*(embeddings.aembed_query(f"text {number}") for number in range(50)))
    assert vectors[49] == expected
    assert watch.calls == 50
    assert 1 < watch.peak <= MOST_AT_ONCE


async def test_context_is_seen_inside(embeddings: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, pause=0)
    TAG.set("mine")
    await embeddings.aembed_query("Paris")
    await embeddings.aembed_documents(["Paris"])
    assert watch.tags == ["mine", "mine"]


async def test_cancelling_drops_what_waits_and_harms_nothing(
    embeddings: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embeddings.embed_query("Paris")
    watch = Watch(monkeypatch, pause=0.1)
    tasks = [asyncio.create_task(embeddings.aembed_query("Paris")) for _ in range(50)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(result, asyncio.CancelledError) for result in await asyncio.gather(*tasks, return_exceptions=True)
    )
    assert await embeddings.aembed_query("Paris") == expected
    assert watch.calls <= MOST_AT_ONCE + 1

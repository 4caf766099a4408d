"""What Ray makes of `EmbedBatches` and `Questions` on this machine, for `tests.full.test_cluster`.

Run by the Python that has Ray: ``python -m tests.full.ray_cluster MODEL FOLDER``; writes ``FOLDER/ray.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed import TextEmbedding
from onnxembed.batches import EmbedBatches, Questions
from onnxembed.errors import InputTypeError

ROWS = 200_000
WORDS = ("hello", "world", "the", "quick", "brown", "fox")
QUESTIONS = 200


def text(row: int) -> str:
    """The text of a row; there are 1296 different ones."""
    return " ".join(WORDS[row // 6**place % 6] for place in range(4))


class DiesOnce(EmbedBatches):
    """Its process is killed at the first batch past the middle that any worker gets, once."""

    def __init__(self, model: str, marker: str) -> None:
        super().__init__(model, kind="dense")
        self._marker = marker

    def __call__(self, batch: Any) -> Any:
        if batch["id"][0].as_py() >= ROWS // 2:
            try:
                Path(self._marker).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def with_texts(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, "text": np.array([text(row) for row in batch["id"].tolist()], dtype=object)}


def two_actors(model: str, folder: Path) -> dict[str, Any]:
    """Embed all rows on two actors, one of which dies."""
    import ray.data

    expected = TextEmbedding(model).embed_to_array([text(row) for row in range(6**4)])
    marker = folder / "killed"
    started = time.perf_counter()
    rows = ray.data.range(ROWS, override_num_blocks=20).map_batches(with_texts, batch_size=None)
    rows = rows.map_batches(
        DiesOnce,
        fn_constructor_kwargs={"model": model, "marker": str(marker)},
        batch_format="pyarrow",
        batch_size=2000,
        concurrency=2,
        num_cpus=0.5,  # Ray's own tasks need the rest of the two processors
    )
    seen, furthest = np.zeros(ROWS, dtype=int), 0.0
    for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
        ids = batch["id"].to_numpy()
        np.add.at(seen, ids, 1)
        vectors = np.stack([np.asarray(vector) for vector in batch["vector"].to_numpy(zero_copy_only=False)])
        furthest = max(furthest, float(np.abs(vectors - expected[ids % 6**4]).max()))
    return {
        "once": int((seen == 1).sum()),
        "furthest": furthest,
        "killed": marker.exists(),
        "seconds": time.perf_counter() - started,
    }


def bad_rows(model: str) -> dict[str, Any]:
    """Skip a null row; and raise it."""
    import ray.data

    rows = ray.data.from_items([{"id": "a", "text": "hello"}, {"id": "b", "text": None}])
    settings = {"model": model, "kind": "dense", "on_error": "skip", "error_column": "why", "id_column": "id"}
    options = {"batch_format": "pyarrow", "concurrency": 1, "num_cpus": 0.5}
    kept = rows.map_batches(EmbedBatches, fn_constructor_kwargs=settings, **options).take_all()
    del settings["on_error"], settings["error_column"]
    try:
        rows.map_batches(EmbedBatches, fn_constructor_kwargs=settings, **options).take_all()
        raised = ""
    except Exception as error:
        raised = str(error)
    return {
        "kept": sorted((row["id"], row["vector"] is None, row["why"]) for row in kept),
        "raised": raised,
    }


def questions(model: str) -> dict[str, Any]:
    """Ask one replica many questions at once, by the handle and over HTTP."""
    import urllib.request

    from ray import serve

    deployed = serve.deployment(Questions).options(max_ongoing_requests=QUESTIONS, ray_actor_options={"num_cpus": 0.5})
    handle = serve.run(deployed.bind(model, kind="dense", max_batch_size=32, batch_wait_timeout_s=0.01))
    asked = [text(row) for row in range(QUESTIONS)]
    expected = list(TextEmbedding(model).query_embed(asked))

    async def one(question: str) -> tuple[float, Any]:
        started = time.perf_counter()
        vector = await handle.embed.remote(question)
        return time.perf_counter() - started, vector

    async def many() -> list[tuple[float, Any]]:
        await one("ready")
        return await asyncio.gather(*map(one, asked))

    async def bad() -> str:
        try:
            await handle.embed.remote(None)
        except InputTypeError as error:
            return str(error)
        return ""

    answers = asyncio.run(many())
    seconds = sorted(second for second, _ in answers)
    request = urllib.request.Request("http://127.0.0.1:8000/", json.dumps({"input": asked[:2]}).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        http = json.load(response)
    result = {
        "furthest": max(
            float(np.abs(vector - want).max()) for (_, vector), want in zip(answers, expected, strict=True)
        ),
        "p50": seconds[len(seconds) // 2],
        "p95": seconds[int(0.95 * len(seconds))],
        "seen": handle.batches.remote().result(),
        "http": float(np.abs(np.array([one["embedding"] for one in http["data"]]) - expected[:2]).max()),
        "bad": asyncio.run(bad()),
    }
    serve.shutdown()
    return result


def main(model: str, folder: Path) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=300_000_000)
    load = os.getloadavg()[0]
    found = {"load": load, "actors": two_actors(model, folder), "bad": bad_rows(model), "serve": questions(model)}
    (folder / "ray.json").write_text(json.dumps(found), encoding="utf-8")
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

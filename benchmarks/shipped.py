"""Compiled graphs against those that PyTorch exports, of the same weights: ``python -m benchmarks.shipped FOLDER``.

The folder is what ``python -m tests.full.compile_peers FOLDER`` wrote: models of six layers and 384 numbers with random
weights. Both graphs read the same batches in turn, on one thread; what counts is that thread's processor time, which
other processes hardly change, the least of `ROUNDS`. The exported graph's token vectors are pooled as our engine does.
The figures go to ``results/shipped-<cpu>.json``; `onnxembed.compile.measured` holds those that decide.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.machine import describe_machine, slug
from onnxembed.compile import compile_model
from onnxembed.spec import PoolingType
from onnxembed.text.pooling import mean

ROUNDS = 21
BATCHES = ((1, 8), (16, 16), (4, 64), (2, 128), (1, 256))
"""Texts, and tokens of the longest of them; the others have half as many or more."""


def measure(folder: Path, exported: Path) -> dict[str, Any]:
    """Measure one model: how many times as fast each batch is, and the largest difference of scaled vectors."""
    random = np.random.Generator(np.random.PCG64(0))
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "model.onnx")
        compile_model(folder, target, pooling=PoolingType.MEAN, single_file=False)
        ours, theirs = _session(target), _session(exported)
        times, worst = {}, 0.0
        for texts, tokens in BATCHES:
            feed = _batch(random, texts, tokens)
            seconds: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS):
                start = time.thread_time()
                one = _run(ours, feed, "sentence_embedding")
                between = time.thread_time()
                other = _scaled(mean(_run(theirs, feed, None), feed["attention_mask"]))
                seconds[0].append(between - start)
                seconds[1].append(time.thread_time() - between)
            times[f"{texts}x{tokens}"] = round(min(seconds[1]) / min(seconds[0]), 3)
            worst = max(worst, float(np.abs(_scaled(one) - other).max()))
    return {"times_as_fast": times, "largest_difference": float(f"{worst:.1e}")}


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _batch(random: np.random.Generator, texts: int, tokens: int) -> dict[str, Any]:
    lengths = random.integers(max(1, tokens // 2), tokens + 1, texts)
    lengths[0] = tokens
    shape = (texts, tokens)
    return {
        "input_ids": random.integers(5, 29_000, shape),
        "attention_mask": (np.arange(tokens) < lengths[:, None]).astype(np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
        "position_ids": np.broadcast_to(np.arange(tokens), shape).copy(),
    }


def _run(session: Any, feed: dict[str, Any], output: str | None) -> Any:
    names = {node.name for node in session.get_inputs()}
    taken = {name: values for name, values in feed.items() if name in names}
    return session.run(None if output is None else [output], taken)[0]


def _scaled(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main(folder: Path) -> None:
    """Measure all models of a folder."""
    machine = describe_machine()
    models = {}
    for exported in sorted(folder.glob("*.onnx")):
        models[exported.stem] = measure(folder / exported.stem, exported)
        print(exported.stem, models[exported.stem], flush=True)
    content = {"machine": machine, "onnxruntime": onnxruntime.__version__, "models": models}
    target = Path(__file__).parent / "results" / f"shipped-{slug(machine['cpu'])}.json"
    target.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

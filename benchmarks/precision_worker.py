"""A process that holds one model and answers commands, one line of JSON each: so that several are measured in turns.

Runs as a script in either library's interpreter, so it imports nothing of this project but the library it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MAX_LENGTH = 512
WARM_UP = "This sentence is embedded before anything is timed."


def resident_bytes() -> dict[str, int]:
    """The memory that this process holds now: all, and what is not mapped from files, which are given up at need."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    names = {"VmRSS": "all", "RssAnon": "own"}
    found = (line.split() for line in lines if line.split(":")[0] in names)
    return {names[name.rstrip(":")]: int(count) * 1024 for name, count, _ in found}


def open_model(library: str, precision: str, folder: str, threads: int) -> tuple[Any, dict[str, int], dict[str, int]]:
    """Load a model and embed a text; give it, and resident memory before and after.

    What both precisions share is loaded before: the libraries, and, where it can be loaded apart, the tokenizer.
    """
    for name in ("numpy", "onnxruntime", "tokenizers"):
        import_module(name)
    if library == "onnxembed":
        options = {"precision": precision, "max_length": MAX_LENGTH, "lazy_load": True}
        model = import_module(library).TextEmbedding(MODEL, threads=threads, **options)
        model.token_count(WARM_UP)
        before = resident_bytes()
    else:
        kind = import_module(library).TextEmbedding
        before = resident_bytes()
        model = kind(MODEL, specific_model_path=folder, threads=threads)
    list(model.embed([WARM_UP]))
    return model, before, resident_bytes()


def timed(work: Any) -> tuple[Any, float, float]:
    """Run; give what it gives, seconds by the clock, and seconds of processors."""
    started, used = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - started, time.process_time() - used


def answer(model: Any, command: dict[str, Any]) -> dict[str, Any]:
    """Do what a command asks."""
    import numpy as np

    texts, options = command["texts"], command.get("options", {})
    if command["do"] == "queries":
        times = [timed(lambda text=text: list(model.query_embed(text)))[1:] for text in texts]
        return {"seconds": [one[0] for one in times], "processor_seconds": [one[1] for one in times]}
    vectors, seconds, processor = timed(lambda: np.array(list(model.embed(texts, **options))))
    if "vectors" in command:
        np.save(command["vectors"], vectors)
    return {"seconds": seconds, "processor_seconds": processor}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    chosen = parser.parse_args()
    if chosen.threads == 1 and hasattr(os, "sched_setaffinity"):
        # The tokenizer and Python's own threads share the one processor, too.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model, before, after = open_model(chosen.library, chosen.precision, chosen.model, chosen.threads)
    print(json.dumps({"resident_before": before, "resident_after": after}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(model, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

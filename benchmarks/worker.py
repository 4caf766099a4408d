"""One measurement in a process of its own, reported as one line of JSON.

Runs as a script in either library's interpreter, so it imports nothing of this project but the library it measures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MAX_LENGTH = 512
VERSIONS_OF = ("onnxruntime", "tokenizers", "numpy", "huggingface-hub")
WARM_UP = "This sentence is embedded before anything is timed."


def open_model(library: str, folder: str | None) -> Any:
    """Load the model from a folder with an ONNX file, or, without a folder, from the installed package's weights."""
    model_class = import_module(library).TextEmbedding
    if library == "onnxembed":
        # The other library reads the same limit from tokenizer_config.json.
        return model_class(MODEL, specific_model_path=folder, max_length=MAX_LENGTH)
    return model_class(MODEL, specific_model_path=folder)


def peak_bytes(of: str = "VmHWM") -> int | None:
    """The most memory that this process ever held; ``ru_maxrss`` may be its parent's, from before the exec.

    ``"VmPeak"`` is that of the address space.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{of}:"))


def tell_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Versions."""
    # Here alone: it takes 20 ms, which would count as the start of a library that does without it.
    from importlib.metadata import version

    versions = {name: version(name) for name in VERSIONS_OF}
    module = import_module(arguments.library)
    return {arguments.library: module.__version__, "python": sys.version.split()[0], **versions}


def time_import(arguments: argparse.Namespace) -> dict[str, Any]:
    """Import the package alone, then the class that everybody imports from it."""
    started = time.perf_counter()
    module = import_module(arguments.library)
    bare = time.perf_counter() - started
    _ = module.TextEmbedding
    return {"seconds": time.perf_counter() - started, "bare_seconds": bare}


def time_cold(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say when the first vector was there, by the clock that all processes of the machine share."""
    model = open_model(arguments.library, arguments.model)
    vector = next(iter(model.embed([WARM_UP])))
    at = time.monotonic()
    return {"at": at, "dim": len(vector), "peak_bytes": peak_bytes(), "address_bytes": peak_bytes("VmPeak")}


def time_bulk(arguments: argparse.Namespace) -> dict[str, Any]:
    """Embed all texts at one batch size; 0 is the library's default."""
    import numpy as np

    texts = json.loads(Path(arguments.texts).read_text(encoding="utf-8"))
    options = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    model = open_model(arguments.library, arguments.model)
    list(model.embed([WARM_UP]))
    started = time.perf_counter()
    vectors = np.array(list(model.embed(texts, **options)))
    seconds = time.perf_counter() - started
    np.save(arguments.vectors, vectors)
    return {"seconds": seconds, "peak_bytes": peak_bytes()}


def time_queries(arguments: argparse.Namespace) -> None:
    """Answer each line of queries with the seconds that each of them took, until there are no more lines."""
    model = open_model(arguments.library, arguments.model)
    for _ in range(20):
        list(model.query_embed([WARM_UP]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        seconds = []
        for query in json.loads(line):
            started = time.perf_counter()
            list(model.query_embed(query))
            seconds.append(time.perf_counter() - started)
        print(json.dumps(seconds[1:]), flush=True)  # the first one wakes a process that was idle


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], dict[str, Any] | None]] = {
    "facts": tell_facts,
    "import": time_import,
    "cold": time_cold,
    "bulk": time_bulk,
    "queries": time_queries,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("measurement", choices=MEASUREMENTS)
    parser.add_argument("--library", required=True)
    parser.add_argument("--model")
    parser.add_argument("--texts")
    parser.add_argument("--vectors")
    parser.add_argument("--batch-size", type=int, default=0)
    chosen = parser.parse_args(arguments)
    result = MEASUREMENTS[chosen.measurement](chosen)
    if result is not None:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

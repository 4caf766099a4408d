"""A process that holds one library's model and answers commands, one line of JSON each, so that sides take turns.

Runs as a script in any library's interpreter, so it imports nothing of this project but the library it measures.
``MODEL`` is a folder that all can load: the published weights, the same as ``model.onnx``, and the tokenizer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAME = "sentence-transformers/all-MiniLM-L6-v2"
MAX_LENGTH = 512
WARM_UP = "This sentence is embedded before anything is timed."


@dataclass(frozen=True)
class Opened:
    """A loaded model.

    Attributes:
        embed: Gives a vector per text; further options are the library's own.
        distribution: What tells the library's version.
        close: Ends what the library keeps running.
    """

    embed: Callable[..., Any]
    distribution: str
    close: Callable[[], None] = lambda: None


def _open_onnxembed(folder: str, threads: int, precision: str) -> Opened:
    kind = import_module("onnxembed").TextEmbedding
    options = {"max_length": MAX_LENGTH, "threads": threads}
    # In 8 bits the graph is made from the published weights; in fp32 it is the file that the others load.
    source = {"precision": precision} if precision != "fp32" else {"specific_model_path": folder}
    model = kind(NAME, **options, **source)
    return Opened(lambda texts, **further: list(model.embed(texts, **further)), "onnxembed")


def _open_fastembed(folder: str, threads: int, precision: str) -> Opened:  # noqa: ARG001  # one precision
    model = import_module("fastembed").TextEmbedding(NAME, specific_model_path=folder, threads=threads)
    return Opened(lambda texts, **further: list(model.embed(texts, **further)), "fastembed")


def _open_sentence_transformers(folder: str, threads: int, precision: str) -> Opened:
    torch = import_module("torch")
    torch.set_num_threads(threads)
    kind = import_module("sentence_transformers").SentenceTransformer
    if precision == "onnx":
        runtime = import_module("onnxruntime").SessionOptions()
        runtime.intra_op_num_threads = threads
        options = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider", "session_options": runtime}
        model = kind(folder, backend="onnx", model_kwargs=options, device="cpu", local_files_only=True)
    else:
        model = kind(folder, device="cpu", local_files_only=True)
    return Opened(
        lambda texts, **further: model.encode(texts, show_progress_bar=False, **further), "sentence-transformers"
    )


def _open_libembedding(folder: str, threads: int, precision: str) -> Opened:  # noqa: ARG001  # one precision
    kind = import_module("libembedding").TextEmbedding
    model = kind(folder, max_length=MAX_LENGTH, threads=threads, offline=True, pooling="mean", dim=384)
    return Opened(lambda texts, **further: model.embed(texts, **further), "libembedding-ng")


def _open_infinity(folder: str, threads: int, precision: str) -> Opened:  # noqa: ARG001  # one precision
    import_module("torch").set_num_threads(threads)
    infinity = import_module("infinity_emb")
    arguments = infinity.EngineArgs(
        model_name_or_path=folder,
        engine="torch",
        device="cpu",
        dtype="float32",
        bettertransformer=False,
        model_warmup=False,
    )
    asyncio = import_module("asyncio")
    loop = asyncio.new_event_loop()
    engine = infinity.AsyncEmbeddingEngine.from_args(arguments)
    loop.run_until_complete(engine.astart())

    def embed(texts: Sequence[str]) -> Any:
        vectors, _ = loop.run_until_complete(engine.embed(sentences=list(texts)))
        return vectors

    return Opened(embed, "infinity-emb", lambda: loop.run_until_complete(engine.astop()))


OPENERS: dict[str, Callable[[str, int, str], Opened]] = {
    "onnxembed": _open_onnxembed,
    "fastembed": _open_fastembed,
    "sentence-transformers": _open_sentence_transformers,
    "libembedding": _open_libembedding,
    "infinity": _open_infinity,
}
MODULES = {"sentence-transformers": "sentence_transformers", "infinity": "infinity_emb"}
CLASSES = {"sentence-transformers": "SentenceTransformer", "infinity": "AsyncEmbeddingEngine"}


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def answer(opened: Opened, command: dict[str, Any]) -> dict[str, Any]:
    """Do what a command asks: embed all texts at once, or each alone as a query."""
    texts, options = command["texts"], command.get("options", {})
    times = []
    vectors: Any = None
    for part in [[text] for text in texts] if command["do"] == "queries" else [texts]:
        started = time.perf_counter()
        vectors = opened.embed(part, **options)
        times.append(time.perf_counter() - started)
    if "vectors" in command:
        numpy = import_module("numpy")
        numpy.save(command["vectors"], numpy.asarray(vectors, dtype="float32"))
    return {"seconds": times, "peak_bytes": peak_bytes()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=("cold", "serve"))
    parser.add_argument("--library", choices=OPENERS, required=True)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    chosen = parser.parse_args()
    # What libraries say while they load goes to standard error: standard output is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if chosen.threads == 1 and hasattr(os, "sched_setaffinity"):
        # Tokenizers and Python's own threads share the one processor, too.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    started = time.perf_counter()
    getattr(import_module(MODULES.get(chosen.library, chosen.library)), CLASSES.get(chosen.library, "TextEmbedding"))
    imported = time.perf_counter() - started
    opened = OPENERS[chosen.library](chosen.model, chosen.threads, chosen.precision)
    opened.embed([WARM_UP])
    ready = {"at": time.monotonic(), "import_seconds": imported, "peak_bytes": peak_bytes()}
    known = version(opened.distribution)  # reads files: not part of the start
    print(json.dumps({**ready, "version": known}), file=answers, flush=True)
    if chosen.do == "serve":
        for line in sys.stdin:
            print(json.dumps(answer(opened, json.loads(line))), file=answers, flush=True)
    opened.close()


if __name__ == "__main__":
    main()

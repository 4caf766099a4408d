"""Every public call works from a late thread and from ``atexit``, ends when cancelled, and survives a fork."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onnxembed.runtime.session import Session
from tests.fixtures.dense_graphs import HIDDEN as DIM
from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.public_calls import CALLS, MODELS, PublicCall, summed

__all__ = ["hub_server"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, make in MODELS.items():
        make(root / name)
    write_variant(root / "hub", variant("mean"))
    return root


def program(folders: Path, body: str, **environment: str) -> list[Any]:
    """Run a program that prints lines of JSON; it has all calls, and ``made`` makes a model."""
    start = f"""
import atexit, json, os, signal, sys, threading, time, warnings
from pathlib import Path
import onnxembed
from onnxembed import *
from onnxembed.errors import OnnxEmbedError
from tests.fixtures.dense_graphs import HIDDEN as DIM
from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.public_calls import CALLS, MODELS, summed
warnings.simplefilter("ignore")
def made(name, **options):
    return MODELS[name](Path({str(folders)!r}, name), **options)
def say(*what):
    os.write(1, (json.dumps(what) + "\\n").encode())
def results(call, model, count=7):
    return summed(call.call(model, call.items(count)))
"""
    done = subprocess.run(
        [sys.executable, "-c", start + body],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(folders: Path, count: int = 7) -> dict[str, Any]:
    models = {name: make(folders / name) for name, make in MODELS.items()}
    return {str(call): summed(call.call(models[call.model], call.items(count))) for call in CALLS}


def test_no_public_method_is_forgotten(folders: Path) -> None:
    known = {(call.model, call.method) for call in CALLS}
    of_files = {"download", "export"}  # `tests/core/care` and `test_exported` have these
    for name, make in MODELS.items():
        model = type(make(folders / name, lazy_load=True))
        for method, _ in inspect.getmembers(model, callable):
            if not method.startswith("_") and hasattr(model, f"a{method}"):
                told = (name, method) in known or (name, method) == ("sparse", "fit") or method in of_files
                assert told, f"{model.__name__}.{method}"


_WORK = """
import asyncio
async def twin(call, model):
    got = call.call(model, call.items(7), twin=True)
    return [one async for one in got] if hasattr(got, "__aiter__") else await got
def work():
    models = {name: made(name, lazy_load=True) for name in MODELS}
    for call in CALLS:
        say(str(call), results(call, models[call.model]), summed(asyncio.run(twin(call, models[call.model]))))
    texts = [f"the fox {number}" for number in range(1100)]
    say(len(list(models["text"].embed(iter(texts), parallel=2))), models["text"].embed_to_array(texts).shape[0])
    say(len(list(models["bm25"].embed(texts, parallel=2))))
"""


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("late", ["thread", "atexit"])
def test_every_call_works_when_the_main_thread_has_ended(folders: Path, late: str, used_before: bool) -> None:
    body = _WORK
    if used_before:
        body += "kept = made('text').embed((str(n) for n in range(10**6)), parallel=2); next(kept)\n"
        body += "asyncio.run(made('text').aembed_to_array(['a']))\n"
    if late == "thread":
        body += "def wait():\n    threading.main_thread().join()\n    work()\nthreading.Thread(target=wait).start()\n"
    else:
        body += "atexit.register(work)\n"
    lines = program(folders, body)
    assert lines[-2:] == [[1100, 1100], [1100]]
    wanted = expected(folders)
    assert {name: value for name, value, _ in lines[:-2]} == wanted
    assert {name: value for name, _, value in lines[:-2]} == wanted


@pytest.mark.parametrize("late", ["thread", "atexit"])
def test_a_late_first_load_from_the_hub(hub_server: HubServer, folders: Path, tmp_path: Path, late: str) -> None:
    files = {str(path.relative_to(folders / "hub")): path.read_bytes() for path in (folders / "hub").rglob("*.*")}
    hub_server.add_repo("org/late", files)
    begin = (
        "def wait():\n    threading.main_thread().join()\n    work()\nthreading.Thread(target=wait).start()\n"
        if late == "thread"
        else "atexit.register(work)\n"
    )
    body = f"""
import atexit
TextEmbedding.add_custom_model("org/late", "MEAN", True, ModelSource(hf="org/late"), dim={DIM})
def work():
    model = TextEmbedding("org/late", cache_dir={str(tmp_path)!r})
    say(len(list(model.embed(["hello"] * 600))))
{begin}
"""
    assert bare_program(body, HF_ENDPOINT=hub_server.url) == [[600]]


def test_an_abandoned_generator_does_not_hold_up_the_exit(folders: Path) -> None:
    """Nothing more is run at the end than what had begun: counted, not timed."""
    body = """
from onnxembed.runtime.session import Session
run, begun, ending = Session.run, [], []
def counted(*arguments):
    begun.append(1)
    time.sleep(0.05)
    return run(*arguments)
Session.run = counted
# Registered before the first thread, so called after ours.
atexit.register(lambda: say(len(begun) - ending[0]))
model = made("text")
kept = model.embed((str(number) for number in range(10**6)), batch_size=64, parallel=2)
next(kept)
atexit.register(lambda: ending.append(len(begun)))
"""
    (more,) = program(folders, body)
    assert more[0] <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("environment", [{}, {"TOKENIZERS_PARALLELISM": "true"}], ids=["", "TOKENIZERS_PARALLELISM"])
def test_every_call_survives_a_fork(folders: Path, environment: dict[str, str]) -> None:
    body = """
models = {name: made(name) for name in MODELS}
for call in CALLS:
    results(call, models[call.model], 150)
if os.fork() == 0:
    signal.alarm(60)
    for call in CALLS:
        say(str(call), results(call, models[call.model]))
    os._exit(0)
say("status", os.wait()[1])
"""
    lines = program(folders, body, **environment)
    assert ["status", 0] in lines
    assert {name: value for name, value in lines if name != "status"} == expected(folders)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_cannot_go_on_with_its_parents_results(folders: Path) -> None:
    body = """
models = {name: made(name) for name in MODELS}
begun = {}
for call in CALLS:
    for count in 1, 3, 600:
        given = call.call(models[call.model], call.items(count if "pdf" not in call.method else min(count, 40)))
        if hasattr(given, "__next__"):
            if count > 1:
                next(given)
            begun[f"{call} {count}"] = given
begun["processes"] = models["bm25"].embed([f"the fox {number}" for number in range(2000)], parallel=2)
next(begun["processes"])
if os.fork() == 0:
    signal.alarm(60)
    for name, given in begun.items():
        try:
            next(given)
            say(name, "went on")
        except InferenceError as error:
            say(name, "forked from it" in str(error))
    begun.clear()
    os._exit(0)
say("status", os.wait()[1])
say("rest", len(list(begun["processes"])))
""".replace("models =", "from onnxembed.errors import InferenceError\nmodels =", 1)
    lines = program(folders, body)
    assert ["status", 0] in lines
    assert ["rest", 1999] in lines  # the child has not ended its parent's processes
    told = {name: value for name, value in lines if name not in ("status", "rest")}
    assert len(told) > 40
    assert set(told.values()) == {True}, told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("milliseconds", [0, 15, 40, pytest.param(range(0, 600, 20), marks=pytest.mark.full)])
def test_a_fork_while_another_thread_loads(folders: Path, milliseconds: int | range) -> None:
    """Whatever the other thread was importing or loading, the child can do it all."""
    for wait in [milliseconds] if isinstance(milliseconds, int) else milliseconds:
        body = f"""
model = TextEmbedding({str(folders / "text")!r}, pooling="mean", lazy_load=True)
thread = threading.Thread(target=lambda: model.embed_to_array(["a", "b"] * 40))
thread.start()
time.sleep({wait / 1000})
if os.fork() == 0:
    signal.alarm(30)
    model.embed_to_array(["a", "b"] * 40)
    os._exit(0)
say(os.wait()[1])
thread.join()
"""
        assert bare_program(body) == [[0]], wait


def bare_program(body: str, **variables: str) -> list[Any]:
    """Run a program that has imported nothing that a model needs."""
    start = """
import json, os, signal, threading, time, warnings
from onnxembed import ModelSource, TextEmbedding
warnings.simplefilter("ignore")
def say(*what):
    os.write(1, (json.dumps(what) + "\\n").encode())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    command = [sys.executable, "-c", start + body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


class Gate:
    """Counts steps of work, and holds the third until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.steps = self.late = 0
        self.lock = threading.Lock()

    def step(self) -> None:
        with self.lock:
            self.steps += 1
            self.late += self.opened.is_set()
            third = self.steps == 3
        if third:
            self.reached.set()
            self.opened.wait(30)


async def consumed(model: Any, call: PublicCall, items: Iterator[Any], way: str) -> None:
    if way == "run_async":
        await model.run_async(lambda: summed(call.call(model, items)))
        return
    given = call.call(model, items, twin=True)
    if hasattr(given, "__aiter__"):
        async for _ in given:
            pass
    else:
        await given


@pytest.mark.parametrize("way", ["twin", "run_async"])
@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_a_cancelled_call_ends_within_two_batches(
    folders: Path, call: PublicCall, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = {} if call.model in ("bm25", "image") else {"token_budget": 1}  # an item per batch
    model = MODELS[call.model](folders / call.model, **budget)
    gate = Gate()
    items: Iterator[Any] = call.items(60)
    if call.by_reads:
        items = gated(call.items(40 * call.by_reads), gate, call.by_reads)
    else:
        run = Session.run

        def counted(*arguments: Any) -> Any:
            gate.step()
            return run(*arguments)

        monkeypatch.setattr(Session, "run", counted)
    task = asyncio.create_task(consumed(model, call, items, way))
    assert await asyncio.to_thread(gate.reached.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.opened.set()
    # Whatever holds the pool's threads has ended when as many calls as it has threads can wait for each other.
    meeting = threading.Barrier(model.max_concurrency)
    await asyncio.gather(*(model.run_async(lambda: meeting.wait(30)) for _ in range(model.max_concurrency)))
    assert gate.late <= 2
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("onnxembed-run", "onnxembed-pre"))]


def gated(items: Iterator[Any], gate: Gate, step: int) -> Iterator[Any]:
    for number, item in enumerate(items):
        if number % step == step - 1:
            gate.step()
        yield item

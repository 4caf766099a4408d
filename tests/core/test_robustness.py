"""What must hold around a real model: forks, threads, interrupts, event loops, other processes."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from onnxembed import TextEmbedding
from onnxembed.runtime.session import Session
from tests.fixtures.small_models import write_bert_folder

TEXTS = ["a short one", "hello world", "quite a bit longer than the others, to be padded", ""] * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bert")
    write_bert_folder(path)
    return path


@pytest.fixture
def model(folder: Path) -> TextEmbedding:
    return TextEmbedding(folder)


def ours() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("onnxembed-run", "onnxembed-pre"))
    ]


def test_equal_settings_share_a_session_and_others_do_not(folder: Path) -> None:
    one = TextEmbedding(folder, query_prompt="q: ")
    assert one.loaded
    assert TextEmbedding(folder, dim=8, lazy_load=True).loaded
    assert not TextEmbedding(folder, threads=1, lazy_load=True).loaded


def test_a_race_of_threads_loads_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counting(*args: object) -> object:
        opened.append(1)
        time.sleep(0.02)
        return Session(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("onnxembed.api.engine.Session", counting)
    model = TextEmbedding(folder, lazy_load=True, threads=1, session_options={"logid": "race"})
    assert not model.loaded
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(lambda _: model.embed_to_array(TEXTS), range(8)))
    assert opened == [1]
    for other in vectors[1:]:
        np.testing.assert_allclose(other, vectors[0], atol=1e-6)


def test_threads_hammering_one_model(model: TextEmbedding) -> None:
    expected = {text: next(model.embed(text)) for text in set(TEXTS)}

    def work(seed: int) -> None:
        order = np.random.RandomState(seed).permutation(len(TEXTS))
        texts = [TEXTS[position] for position in order]
        for text, vector in zip(texts, model.embed(texts, batch_size=3, parallel=2), strict=True):
            np.testing.assert_allclose(vector, expected[text], atol=1e-5)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(24)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("ending", ["sys.exit", "os._exit", "collect"])
def test_a_forked_child_works_and_ends(folder: Path, ending: str) -> None:
    """In a program of its own, so that the ending is a real one."""
    program = f"""
import gc, os, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from onnxembed import TextEmbedding
model = TextEmbedding({str(folder)!r}, threads=2)
before = model.embed_to_array(["hello world", "a short one"] * 40, parallel=2)
child = os.fork()
if child == 0:
    after = model.embed_to_array(["hello world", "a short one"] * 40, parallel=2)
    if np.abs(after - before).max() > 1e-5:
        os._exit(3)
    if {ending!r} == "collect":
        del model
        gc.collect()
    os._exit(0) if {ending!r} == "os._exit" else sys.exit(0)
deadline = time.time() + 20
while time.time() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.02)
os.kill(child, 9)
sys.exit(4)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def _embed(model: TextEmbedding, texts: list[str]) -> np.ndarray:
    return model.embed_to_array(texts)


def test_a_spawned_process_opens_the_model_again(model: TextEmbedding) -> None:
    assert len(pickle.dumps(model)) < 2000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(_embed, (model, TEXTS))
    np.testing.assert_allclose(there, model.embed_to_array(TEXTS), atol=1e-6)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent differently")
def test_an_interrupt_ends_promptly(folder: Path) -> None:
    program = f"""
import itertools, sys, threading
from onnxembed import TextEmbedding
model = TextEmbedding({str(folder)!r})
try:
    for number, _ in enumerate(model.embed(itertools.repeat("hello world"), parallel=2)):
        if number == 100:
            print("going", flush=True)
except KeyboardInterrupt:
    left = [t.name for t in threading.enumerate() if t.name.startswith("onnxembed")]
    print("interrupted", left, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert process.stdout.readline() == "interrupted []\n"
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 5


def test_closing_early_and_errors_leave_no_thread(model: TextEmbedding) -> None:
    vectors = model.embed((f"text {number}" for number in range(5000)), parallel=2)
    next(vectors)
    vectors.close()  # type: ignore[attr-defined]
    assert ours() == []

    def broken() -> Iterator[str]:
        yield from (f"text {number}" for number in range(1500))
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        list(model.embed(broken(), parallel=2))
    assert ours() == []


async def test_the_loop_keeps_turning_and_inferences_are_bounded(model: TextEmbedding) -> None:
    ticks: list[float] = []
    now = most = 0
    lock = threading.Lock()

    def work() -> np.ndarray:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return model.embed_to_array(TEXTS, input_type="query")
        finally:
            with lock:
                now -= 1

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    await model.aembed_to_array(["warm"])
    ticker = asyncio.create_task(tick())
    results = await asyncio.gather(*(model.run_async(work) for _ in range(50)))
    ticker.cancel()
    assert 1 <= most <= model.max_concurrency
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.5
    for result in results:
        np.testing.assert_allclose(result, results[0], atol=1e-5)


async def test_asynchronous_twins_equal_their_elders(model: TextEmbedding) -> None:
    expected = model.embed_to_array(TEXTS)
    np.testing.assert_allclose([v async for v in model.aembed(TEXTS)], expected, atol=1e-6)
    np.testing.assert_allclose([v async for v in model.aquery_embed(iter(TEXTS))], expected, atol=1e-6)
    np.testing.assert_allclose([v async for v in model.apassage_embed(TEXTS)], expected, atol=1e-6)
    np.testing.assert_allclose(await model.aembed_to_array(TEXTS, input_type="document"), expected, atol=1e-6)
    for wrong in (None, ["a", 5]):
        with pytest.raises(TypeError):
            model.aembed(wrong)  # type: ignore[arg-type]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_million_texts_hold_memory_flat(folder: Path) -> None:
    """Resident memory of a process that embeds a million short texts: flat after the first tenth."""
    program = f"""
import pathlib
from onnxembed import TextEmbedding
def resident():
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0])
model = TextEmbedding({str(folder)!r})
seen = []
for number, vector in enumerate(model.embed(f"text {{n % 977}}" for n in range(1_000_000))):
    if number % 100_000 == 99_999:
        seen.append(resident())
print(*seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seen = [int(kilobytes) for kilobytes in done.stdout.split()]
    assert len(seen) == 10
    assert max(seen[1:]) - seen[0] < 20_000

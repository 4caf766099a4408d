"""What the cache holds, whether it is sound, and what may go from it: never what a running process holds."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from onnxembed import TextEmbedding
from onnxembed.api.kept_graph import COMPILER_VERSION, ORIGIN
from onnxembed.care.cache import (
    CachedModel,
    cache_settings,
    cached_models,
    compiled_graphs,
    leftovers,
    verified,
)
from onnxembed.care.download import download_model
from onnxembed.care.held import sees_processes
from onnxembed.care.prune import prunable, prune
from onnxembed.errors import InputError
from onnxembed.hub.settings import StoreSettings
from tests.fixtures.hub_server import HubServer
from tests.fixtures.hub_shapes import contents
from tests.fixtures.small_models import write_bert_folder

NAME = "someone/some-model"
DAY = 86_400


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a model, and the graphs that were compiled and rounded of it."""
    folder = tmp_path_factory.mktemp("filled")
    write_bert_folder(folder / "published", hidden=256, layers=1)
    with HubServer() as hub, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        patch.setenv("HF_ENDPOINT", hub.url)
        hub.add_repo(NAME, contents(folder / "published"))
        download_model(NAME, cache_dir=folder / "cache", precision="int8", compiled=True)
    gc.collect()  # what this process still has open counts as held
    return folder / "cache"


@pytest.fixture
def cache(filled: Path, tmp_path: Path) -> StoreSettings:
    """A copy of it."""
    return cache_settings(shutil.copytree(filled, tmp_path / "cache", symlinks=True))


def only(settings: StoreSettings) -> CachedModel:
    (model,) = cached_models(settings)
    return model


def test_models(cache: StoreSettings) -> None:
    model = only(cache)
    assert (model.name, model.kind, model.source, model.known_as) == (NAME, "dense", "hub", ())
    ((commit, names),) = model.commits
    assert (len(commit), names) == (40, ("main",))
    blobs = [path for path in (model.path / "blobs").iterdir() if path.is_file()]
    small = sum(path.stat().st_size for path in (model.path / "refs").iterdir())
    assert model.size >= sum(path.stat().st_size for path in blobs) + small
    assert model.last_used == pytest.approx(time.time(), abs=600)


def test_models_of_the_catalogue_by_the_names_of_both(tmp_path: Path) -> None:
    repository = "qdrant/bge-small-en-v1.5-onnx-q"
    (tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / ("0" * 40)).mkdir(parents=True)
    model = only(cache_settings(tmp_path))
    assert (model.name, model.known_as, model.kind) == (repository, ("BAAI/bge-small-en-v1.5",), "dense")
    (item,) = prunable(cache_settings(tmp_path), ["baai/BGE-small-en-v1.5"])
    assert item.path == model.path


def test_graphs(cache: StoreSettings) -> None:
    graphs = compiled_graphs(cache)
    assert [(graph.model, graph.precision, graph.compiler) for graph in graphs] == [
        (NAME, "fp32", COMPILER_VERSION),
        (NAME, "int8", COMPILER_VERSION),
    ]
    assert all(graph.is_current and graph.size for graph in graphs)


def test_nothing_there(tmp_path: Path) -> None:
    settings = cache_settings(tmp_path / "nowhere")
    assert (cached_models(settings), compiled_graphs(settings), leftovers(settings)) == ((), (), ())
    assert list(verified(settings)) == []
    assert prunable(settings) == ()


def test_sound_files(cache: StoreSettings) -> None:
    files = list(verified(cache))
    assert {name for name, _ in files} == {NAME, f"graph of {NAME}"}
    assert [file for _, file in files if file.problem] == []
    assert {file.name for _, file in files} >= {"model.safetensors", "tokenizer.json", "model.onnx", "model.onnx.data"}


@pytest.mark.parametrize("listed", [True, False])
def test_damaged_files(listed: bool, cache: StoreSettings) -> None:
    """With the Hub's list, and without it by the names of the contents."""
    model = only(cache)
    if not listed:
        for path in (Path(str(cache.cache_dir)) / "onnxembed" / "listings").rglob("*.json"):
            path.unlink()
    for name in ("model.safetensors", "config.json"):
        path = next(model.path.glob(f"snapshots/*/{name}")).resolve()
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    next(model.path.glob("snapshots/*/tokenizer.json")).resolve().unlink()
    graph = compiled_graphs(cache)[0].path / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"!")
    wrong = {(name, file.name): file.problem for name, file in verified(cache) if file.problem}
    assert set(wrong) == {
        (NAME, "model.safetensors"),
        (NAME, "config.json"),
        (NAME, "tokenizer.json"),
        (f"graph of {NAME}", "model.onnx"),
    }
    assert wrong[(NAME, "tokenizer.json")] == "its content is missing"
    assert "the Hub publishes" in wrong[(NAME, "model.safetensors")]


def test_nothing_of_use_goes_by_itself(cache: StoreSettings) -> None:
    assert prunable(cache) == ()


def test_graphs_of_other_versions_go(cache: StoreSettings) -> None:
    first, second = compiled_graphs(cache)
    origin = first.path / "origin.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"compiler": COMPILER_VERSION - 1}))
    (second.path / "origin.json").unlink()
    items = prunable(cache)
    assert [(item.path, item.why) for item in items] == [
        (first.path, "made by another version, which this one does not use"),
        (second.path, "made by another version, which this one does not use"),
    ]
    assert [done.removed for done in prune(items)] == [True, True]
    assert compiled_graphs(cache) == ()
    assert only(cache).name == NAME


def test_what_interrupted_runs_left(cache: StoreSettings) -> None:
    model, own = only(cache), Path(str(cache.cache_dir)) / "onnxembed"
    (model.path / "blobs" / "abc.incomplete").write_bytes(b"12345")
    (own / "partial" / model.path.name).mkdir(parents=True)
    (own / "archives" / "some-archive.staging").mkdir(parents=True)
    (own / "compiled" / "half").mkdir()
    (own / "compiled" / "half" / "model.onnx").write_bytes(b"123")
    private = own / ".text.12.0123abcd"
    private.write_bytes(b"1")
    assert {left.path.name for left in leftovers(cache)} == {
        "abc.incomplete",
        model.path.name,
        "some-archive.staging",
        "half",
    }
    os.utime(private, (time.time() - DAY, time.time() - DAY))
    items = prunable(cache)
    assert {item.path.name for item in items} >= {"abc.incomplete", private.name, "half"}
    assert all(done.removed for done in prune(items))
    assert leftovers(cache) == ()
    TextEmbedding(NAME, cache_dir=cache.cache_dir, precision="int8", local_files_only=True)


def test_by_name(cache: StoreSettings) -> None:
    items = prunable(cache, [NAME.upper()])
    assert sorted(item.what for item in items) == [f"fp32 graph of {NAME}", f"int8 graph of {NAME}", f"model {NAME}"]
    assert all(done.removed for done in prune(items))
    assert (cached_models(cache), compiled_graphs(cache)) == ((), ())
    assert not list(Path(str(cache.cache_dir)).glob("onnxembed/listings/*"))
    with pytest.raises(InputError, match=r"no model 'someone/some-model'"):
        prunable(cache, [NAME])


def test_by_age(cache: StoreSettings) -> None:
    assert prunable(cache, older_than=1) == ()
    old = time.time() - 10 * DAY
    graph = compiled_graphs(cache)[1]
    for path in graph.path.iterdir():
        os.utime(path, (old, old))
    assert [item.path for item in prunable(cache, older_than=5)] == [graph.path]
    assert prunable(cache, older_than=20) == ()
    with pytest.raises(InputError, match="0 or more"):
        prunable(cache, older_than=-1)


def test_by_precision(cache: StoreSettings) -> None:
    assert [item.what for item in prunable(cache, precision="int8")] == [f"int8 graph of {NAME}"]


@pytest.mark.parametrize(("making", "precision"), [("float16 1\0", "fp16"), ("bfloat16 1", "bf16"), ("7 bits", "int8")])
def test_by_every_precision(cache: StoreSettings, making: str, precision: str) -> None:
    (graph,) = [graph for graph in compiled_graphs(cache) if graph.precision == "int8"]
    origin = json.loads((graph.path / ORIGIN).read_text())
    (graph.path / ORIGIN).write_text(json.dumps({**origin, "making": making}))
    assert sorted(graph.precision for graph in compiled_graphs(cache)) == sorted(["fp32", precision])
    assert [item.path for item in prunable(cache, precision=precision)] == [graph.path]
    with pytest.raises(InputError, match="precision='half': expected one of 'fp32', 'int8', 'fp16', 'bf16'"):
        prunable(cache, precision="half")


def test_what_another_process_writes_to_stays(cache: StoreSettings) -> None:
    items = prunable(cache, [NAME])
    with FileLock(next(lock for item in items for lock in item.locks if lock.is_file())):
        kept = [done for done in prune(items) if not done.removed]
    assert [(done.item.what, done.reason) for done in kept] == [(f"model {NAME}", "another process is writing to it")]


@pytest.mark.skipif(not sees_processes(), reason="this system does not show which files processes have open")
def test_what_a_running_process_maps_stays(cache: StoreSettings) -> None:
    program = (
        "import sys\n"
        "from onnxembed import TextEmbedding\n"
        "model = TextEmbedding(sys.argv[1], cache_dir=sys.argv[2], local_files_only=True)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "print(model.embed_to_array('hello').shape[1])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, NAME, str(cache.cache_dir)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        outcome = {done.item.what: (done.removed, done.reason) for done in prune(prunable(cache, [NAME]))}
        assert outcome[f"fp32 graph of {NAME}"] == (False, "a running process has it open")
        assert outcome[f"int8 graph of {NAME}"] == (True, "")
        assert child.communicate("")[0] == "256\n"
    (item,) = prunable(cache)[:1] or prunable(cache, precision="fp32")
    assert [done.removed for done in prune([item])] == [True]

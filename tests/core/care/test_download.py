"""A cache that is filled ahead opens every kind of model on a machine without a network, wherever it was copied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from onnxembed import M3Embedding, describe, open_model
from onnxembed.care.download import download_model
from onnxembed.errors import IntegrityError, ModelNotFoundError
from tests.fixtures.hub_server import Fault, HubServer, hub_server
from tests.fixtures.hub_shapes import contents, publish_kinds
from tests.fixtures.model_rows import ROWS, read_row, write_row

__all__ = ["hub_server"]

NAME = "someone/some-model"
KINDS = {
    "dense": "bert-mean",
    "sparse": "splade-bert-router",
    "late_interaction": "late-bert-pylate",
    "rerank": "rerank-bert-folder",
    "image": "clip-both-vision",
}


@pytest.fixture
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
    monkeypatch.delenv("ONNXEMBED_CACHE", raising=False)
    return hub_server


def publish(hub: HubServer, row: str, folder: Path) -> None:
    written = contents(write_row(read_row(ROWS / f"{row}.json"), folder))
    hub.add_repo(NAME, {**written, "README.md": b"# a model", "onnx/model_q4.onnx": b"unused", "a.bin": b"unused"})


CHILD = """
import socket, sys

def refuse(*_, **__):
    raise RuntimeError("a request")

socket.socket.connect = socket.getaddrinfo = refuse
import onnxembed
model = getattr(onnxembed, sys.argv[1])(sys.argv[2], cache_dir=sys.argv[3], **({"threads": 1}))
assert "huggingface_hub" not in sys.modules
print(getattr(model, "fingerprint", "none"))
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("links", [True, False])
def test_opens_where_it_was_copied(hub: HubServer, kind: str, links: bool, tmp_path: Path) -> None:
    publish(hub, KINDS[kind], tmp_path / "published")
    found = download_model(NAME, kind, cache_dir=tmp_path / "cache", compiled=links)
    fingerprint = getattr(open_model(NAME, kind, cache_dir=tmp_path / "cache", lazy_load=True), "fingerprint", "none")
    assert found.revision is not None
    assert found.in_cache
    assert {file.name for file in found.files}.isdisjoint({"README.md", "onnx/model_q4.onnx", "a.bin"})
    assert (tmp_path / "cache" / "onnxembed" / "compiled").is_dir() == links
    shutil.copytree(tmp_path / "cache", tmp_path / "elsewhere", symlinks=links)
    shutil.rmtree(tmp_path / "cache")
    opened = subprocess.run(
        [sys.executable, "-c", CHILD, found.model_class, NAME, str(tmp_path / "elsewhere")],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (opened.returncode, opened.stdout.strip()) == (0, fingerprint), opened.stderr


def test_exactly_the_files_that_opening_needs(hub: HubServer, tmp_path: Path) -> None:
    publish(hub, "bert-mean", tmp_path / "published")
    found = download_model(NAME, cache_dir=tmp_path / "cache")
    assert found.folder is not None
    needed = {file.name for file in describe(NAME, cache_dir=tmp_path / "cache").files}
    assert {file.name for file in found.files} == needed
    assert found.size == sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())


def test_models_of_the_catalogue(hub: HubServer, tmp_path: Path) -> None:
    names = publish_kinds
    assert callable(names)
    row = write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path / "published")
    hub.add_repo(NAME, contents(row))
    found = download_model(NAME, "m3", cache_dir=tmp_path / "cache")
    assert found.model_class == "M3Embedding"
    assert {"sparse_linear.pt", "colbert_linear.pt"} <= {file.name for file in found.files}
    hub.forget_requests()
    M3Embedding(NAME, cache_dir=tmp_path / "cache", local_files_only=True)
    assert hub.requests == []


def test_without_files(tmp_path: Path) -> None:
    found = download_model("Qdrant/bm25", cache_dir=tmp_path / "cache")
    assert (found.folder, found.files, found.size) == (None, (), 0)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_copy_is_named(hub: HubServer, tmp_path: Path) -> None:
    publish(hub, "bert-mean", tmp_path / "published")
    found = download_model(NAME, cache_dir=tmp_path / "cache")
    weights = next(file.path for file in found.files if file.name == "model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.resolve().write_bytes(content)
    with pytest.raises(IntegrityError, match=r"model.safetensors is not the published file: the content has the"):
        download_model(NAME, cache_dir=tmp_path / "cache")


def test_a_server_that_fails(hub: HubServer, tmp_path: Path) -> None:
    publish(hub, "bert-mean", tmp_path / "published")
    hub.fail("*/resolve/*/model.safetensors", Fault(status=404))
    with pytest.raises(ModelNotFoundError, match=r"model.safetensors"):
        download_model(NAME, cache_dir=tmp_path / "cache")

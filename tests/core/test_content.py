"""A file is its content: what is loaded, kept and named follows the bytes, never paths, sizes and times."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import OnnxEmbedError
from onnxembed.hub import content
from onnxembed.hub.content import content_digest, sha256_of, sha256_of_large
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_tokenizers import TokenizerForm, write_tokenizer
from tests.fixtures.small_models import write_bert_folder

TEXTS = ["hello world", "fox"]


def write_exported(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    write_tokenizer(folder, TokenizerForm())
    write_graph(folder / "model.onnx", GraphForm(external=True, seed=seed))
    (folder / "modules.json").write_text("[]")


def write_weights(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    write_bert_folder(folder, seed=seed)


WRITERS = (write_exported, write_weights)


def vectors(folder: Path, cache: Path) -> np.ndarray:
    return TextEmbedding(folder, cache_dir=cache, pooling="MEAN").embed_to_array(TEXTS)


def in_a_fresh_process(folder: Path, cache: Path) -> np.ndarray:
    code = (
        "import sys, json; from onnxembed import TextEmbedding; "
        "m = TextEmbedding(sys.argv[1], cache_dir=sys.argv[2], pooling='MEAN'); "
        f"print(json.dumps(m.embed_to_array({TEXTS!r}).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(cache)], capture_output=True, check=True)
    return np.array(json.loads(done.stdout), dtype=np.float32)


@pytest.mark.parametrize("write", WRITERS)
def test_other_weights_under_the_same_path_size_and_time(write: Callable[[Path, int], None], tmp_path: Path) -> None:
    """As image builds with fixed times and a kept cache have them; the first object still lives."""
    folder, cache = tmp_path / "model", tmp_path / "cache"
    write(folder, 1)
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    first = TextEmbedding(folder, cache_dir=cache, pooling="MEAN")
    before = first.embed_to_array(TEXTS)
    write(tmp_path / "other", 2)
    for path in sorted((tmp_path / "other").rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(tmp_path / "other")
            target.unlink()  # as tools that unpack or copy do; a live session may have mapped the old file
            target.write_bytes(path.read_bytes())
            os.utime(target, (0, 0))
    second = TextEmbedding(folder, cache_dir=cache, pooling="MEAN")
    after = second.embed_to_array(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    assert np.array_equal(after, in_a_fresh_process(folder, tmp_path / "empty"))
    assert second.fingerprint != first.fingerprint
    assert np.array_equal(first.embed_to_array(TEXTS), before)


@pytest.mark.parametrize("write", WRITERS)
def test_any_byte_of_any_file_changes_the_fingerprint(write: Callable[[Path, int], None], tmp_path: Path) -> None:
    folder, cache = tmp_path / "model", tmp_path / "cache"
    write(folder, 1)
    untouched = TextEmbedding(folder, cache_dir=cache).fingerprint
    random = np.random.default_rng(7)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) >= 4
    for path in files:
        whole = path.read_bytes()
        for position in {0, len(whole) - 1, *random.integers(len(whole), size=4).tolist()}:
            changed = bytearray(whole)
            changed[position] ^= 1
            path.write_bytes(changed)
            with contextlib.suppress(OnnxEmbedError):  # refused as damaged, which is no silence either
                assert TextEmbedding(folder, cache_dir=cache, lazy_load=True).fingerprint != untouched, path
        path.write_bytes(whole)
    assert TextEmbedding(folder, cache_dir=cache).fingerprint == untouched


def test_a_small_change_of_large_weights_changes_the_fingerprint(tmp_path: Path) -> None:
    """One layer of many, as fine-tuning changes it: samples would not see it."""
    write_weights(tmp_path / "a", 1)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    weights = tmp_path / "b" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[len(changed) // 3] ^= 64
    weights.write_bytes(changed)
    a, b = (TextEmbedding(tmp_path / name, cache_dir=tmp_path / "cache", lazy_load=True) for name in "ab")
    assert a.fingerprint != b.fingerprint


def test_a_repaired_file_is_read_again(tmp_path: Path) -> None:
    """As in a notebook, where the traceback of the failure keeps its objects alive."""
    folder, cache = tmp_path / "model", tmp_path / "cache"
    write_weights(folder, 1)
    config = folder / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"bert"', '"unheard of"'))
    with pytest.raises(OnnxEmbedError) as failure:
        vectors(folder, cache)
    config.write_text(whole)
    assert vectors(folder, cache).shape == (2, 32)
    assert "unheard of" in str(failure.value)


@pytest.mark.parametrize("damage", ["truncate", "swap", "record"])
def test_a_damaged_kept_graph_is_made_again(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, cache = tmp_path / "model", tmp_path / "cache"
    write_weights(folder, 1)
    expected = vectors(folder, cache)
    gc.collect()  # no engine that has loaded the graph lives on
    (graph,) = cache.rglob("model.onnx")
    data = graph.with_name("model.onnx.data")
    if damage == "truncate":
        os.truncate(data, data.stat().st_size // 2)
    elif damage == "swap":
        data.write_bytes(bytes(data.stat().st_size))
    else:
        graph.with_name("files.json").unlink()
    assert np.array_equal(vectors(folder, cache), expected)
    assert "made again" in caplog.text
    assert np.array_equal(in_a_fresh_process(folder, cache), expected)


class TestMemoryOfDigests:
    @pytest.fixture
    def large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(content, "_SMALL_BYTES", 3)
        path = tmp_path / "large"
        path.write_bytes(b"content")
        return path

    @pytest.fixture
    def hashed(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        read: list[Path] = []
        original = content.sha256_of

        def counted(path: Path) -> str:
            read.append(path)
            return original(path)

        monkeypatch.setattr(content, "sha256_of", counted)
        return read

    def test_settled_files_are_hashed_once(
        self, large: Path, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 10_000_000_000)
        first = content_digest(large, tmp_path / "memory")
        assert content_digest(large, tmp_path / "memory") == first
        monkeypatch.setattr(content, "_remembered", {})  # as in another process
        assert content_digest(large, tmp_path / "memory") == first
        assert hashed == [large]

    def test_what_changed_just_now_is_hashed_each_time(self, large: Path, tmp_path: Path, hashed: list[Path]) -> None:
        assert content_digest(large, tmp_path / "memory") == content_digest(large, tmp_path / "memory")
        assert hashed == [large, large]
        assert not (tmp_path / "memory").exists()

    def test_a_memory_that_cannot_be_written_costs_nothing_else(self, large: Path, tmp_path: Path) -> None:
        (tmp_path / "memory").write_text("in the way")
        assert len(content_digest(large, tmp_path / "memory")) == 64


@pytest.mark.parametrize("size", [0, 1, (1 << 27) + 5])
def test_large_files_have_the_same_digest(size: int, tmp_path: Path) -> None:
    """They are mapped piece by piece; files with holes take no time to write."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
        if size:
            file.seek(size - 1)
            file.write(b"x")
    assert sha256_of_large(path) == sha256_of(path)

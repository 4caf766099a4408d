"""Files that change under a living model: never a wrong vector, never the end of the process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextEmbedding
from onnxembed.errors import ModelError
from onnxembed.formats.outline import LEAST_BYTES
from onnxembed.runtime.mapped_file import MappedFile
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.dense_models import write_static
from tests.fixtures.dense_tokenizers import TokenizerForm, write_tokenizer
from tests.fixtures.public_calls import CALLS, MODELS
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.sparse_models import write_masked_language_model, write_minicoil

CHANGED = "changed while the model was in use; open the model again"
SHIPPED = ("text", "sparse", "late", "rerank", "image", "multimodal")
ITEMS = {
    name: next(call for call in CALLS if call.model == name and call.method in ("embed", "embed_image", "rerank"))
    for name in SHIPPED
}


def _shortened(path: Path) -> None:
    os.truncate(path, 100)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.write(np.random.default_rng(3).standard_normal(size // 4 + 1).astype(np.float32).tobytes()[:size])


def _overwritten_with_its_old_time(path: Path) -> None:
    before = path.stat()
    _overwritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


def _touched(path: Path) -> None:
    os.utime(path)


def _given_another_name(path: Path) -> None:
    os.link(path, path.with_name("another name"))


INTO_THE_FILE = (_shortened, _emptied, _grown, _overwritten, _overwritten_with_its_old_time)
HARMLESS = (Path.unlink, _replaced, _touched, _given_another_name)
Damage = Callable[[Path], object]


@dataclass(frozen=True)
class Open:
    """An open model: what it gives for some items, and the file that its graph keeps weights in."""

    embed: Callable[[], Any]
    data: Path


def flat(results: Any) -> np.ndarray:
    """All numbers of some results, in their order."""
    rows = []
    for result in results:
        if hasattr(result, "indices"):
            rows += [result.indices.astype(np.float64), result.values]
        else:
            rows.append(np.ravel(np.asarray(getattr(result, "score", result), dtype=np.float64)))
    return np.concatenate(rows)


def shipped(name: str, folder: Path, cache: Path) -> Open:
    """A model whose graph comes with weights in a file beside it."""
    options: dict[str, Any] = {"cache_dir": cache}
    if name == "text":
        folder.mkdir()
        write_tokenizer(folder, TokenizerForm())
        write_graph(folder / "model.onnx", GraphForm())
    else:
        MODELS[name](folder, lazy_load=True)
    (graph,) = folder.rglob("*.onnx")
    data = graph.with_name("weights.bin")
    data.unlink(missing_ok=True)
    model = onnx.load(graph)
    onnx.save_model(model, graph, save_as_external_data=True, location=data.name, size_threshold=200)
    opened, call = MODELS[name](folder, **options), ITEMS[name]
    return Open(lambda: flat(call.call(opened, list(call.items(5)))), data)


def in_one_file(folder: Path, cache: Path) -> Open:
    """A model whose graph holds its weights itself, enough of them to be mapped there."""
    folder.mkdir()
    write_tokenizer(folder, TokenizerForm())
    write_graph(folder / "model.onnx", GraphForm(vocabulary=LEAST_BYTES // 4 // HIDDEN))
    opened, call = MODELS["text"](folder, cache_dir=cache), ITEMS["text"]
    return Open(lambda: flat(call.call(opened, list(call.items(5)))), folder / "model.onnx")


def compiled(name: str, folder: Path, cache: Path) -> Open:
    """A model whose graph is made from weights and kept in the cache."""
    opened: Any
    if name == "sparse":
        folder.mkdir()
        write_masked_language_model(folder)
        opened = SparseTextEmbedding(folder, cache_dir=cache)
    else:
        write_bert_folder(folder)
        opened = (
            TextEmbedding(folder, pooling="mean", cache_dir=cache)
            if name == "text"
            else LateInteractionTextEmbedding(folder, dense=True, cache_dir=cache)
        )
    (data,) = cache.rglob("*.onnx.data")
    return Open(lambda: flat(opened.embed(["hello world", "the quick fox", "a"], batch_size=1)), data)


@pytest.mark.parametrize("damage", [*INTO_THE_FILE, *HARMLESS])
@pytest.mark.parametrize("name", ["text", "sparse", "late"])
def test_a_graph_that_was_made_here_is_made_again(
    name: str, damage: Damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = compiled(name, tmp_path / "model", tmp_path / "cache")
    before = model.embed()
    for _ in range(2):
        damage(model.data)
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(model.embed(), before)
        if damage in INTO_THE_FILE:
            assert "changed while the model was in use; the graph is loaded again" in caplog.text
        if not model.data.exists() or damage is _given_another_name:
            break
        caplog.clear()


@pytest.mark.parametrize("damage", INTO_THE_FILE)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_of_the_user_that_changed_is_refused(name: str, damage: Damage, tmp_path: Path) -> None:
    model = shipped(name, tmp_path / "model", tmp_path / "cache")
    before, content = model.embed(), model.data.read_bytes()
    damage(model.data)
    for _ in range(2):
        with pytest.raises(ModelError, match=CHANGED):
            model.embed()
    with model.data.open("r+b") as file:  # into the same file, as before
        file.write(content)
        file.truncate()
    assert np.array_equal(model.embed(), before)


@pytest.mark.parametrize("damage", HARMLESS)
@pytest.mark.parametrize("name", SHIPPED)
def test_what_leaves_the_content_changes_nothing(name: str, damage: Damage, tmp_path: Path) -> None:
    model = shipped(name, tmp_path / "model", tmp_path / "cache")
    before = model.embed()
    damage(model.data)
    for _ in range(2):
        assert np.array_equal(model.embed(), before)


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be replaced there, so that none is mapped")
def test_weights_inside_the_graph_are_watched_alike(tmp_path: Path) -> None:
    model = in_one_file(tmp_path / "model", tmp_path / "cache")
    before, content = model.embed(), model.data.read_bytes()
    for damage in (_touched, _given_another_name):
        damage(model.data)
        assert np.array_equal(model.embed(), before)
    for damage in (_shortened, _overwritten_with_its_old_time):
        damage(model.data)
        with pytest.raises(ModelError, match=CHANGED):
            model.embed()
        with model.data.open("r+b") as file:
            file.write(content)
            file.truncate()
        assert np.array_equal(model.embed(), before)
    _replaced(model.data)
    assert np.array_equal(model.embed(), before)


@pytest.mark.parametrize("options", [{}, {"session_options": {"optimized_model_filepath": "optimized.onnx"}}])
def test_a_link_to_a_graph_with_its_weights_is_loaded(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = in_one_file(tmp_path / "model", tmp_path / "cache")
    (tmp_path / "blobs").mkdir()
    model.data.rename(tmp_path / "blobs" / "0f3a")
    model.data.symlink_to(Path("..", "blobs", "0f3a"))
    opened, call = MODELS["text"](tmp_path / "model", cache_dir=tmp_path / "cache", **options), ITEMS["text"]
    assert np.array_equal(flat(call.call(opened, list(call.items(5)))), model.embed())


def test_other_weights_are_no_content_to_make_the_graph_of(tmp_path: Path) -> None:
    model = compiled("text", tmp_path / "model", tmp_path / "cache")
    model.embed()
    write_bert_folder(tmp_path / "model", seed=9)
    _shortened(model.data)
    with pytest.raises(ModelError, match=CHANGED):
        model.embed()


def test_many_threads_load_it_again_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = compiled("text", tmp_path / "model", tmp_path / "cache")
    before = model.embed()
    _shortened(model.data)
    begin = threading.Barrier(8)

    def embed(_: int) -> np.ndarray:
        begin.wait()
        return np.asarray(model.embed())

    with ThreadPoolExecutor(8) as pool:
        assert all(np.array_equal(found, before) for found in pool.map(embed, range(8)))
    assert caplog.text.count("the graph is loaded again") == 1


@pytest.mark.parametrize("damage", [*INTO_THE_FILE, *HARMLESS])
def test_tables_are_files_too(damage: Damage, tmp_path: Path) -> None:
    """The table of a static model and MiniCOIL's matrices are mapped as well."""
    (tmp_path / "static").mkdir()
    write_static(tmp_path / "static", "unigrams")
    write_minicoil(tmp_path / "minicoil")
    static = TextEmbedding("minishlab/potion-base-8M", specific_model_path=tmp_path / "static")
    words = SparseTextEmbedding("Qdrant/minicoil-v1", specific_model_path=tmp_path / "minicoil", avg_len=5)
    for model, name in ((static, "static/model.safetensors"), (words, "minicoil/minicoil.triplet.model.npy")):
        before = flat(model.embed(["hello world", "the quick fox"]))
        damage(tmp_path / name)
        if damage in HARMLESS:
            assert np.array_equal(flat(model.embed(["hello world", "the quick fox"])), before)
        else:
            with pytest.raises(ModelError, match=CHANGED):
                list(model.embed(["hello world", "the quick fox"]))


class TestMappedFile:
    def test_a_change_while_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        file = MappedFile(path)
        assert file.holds()
        assert file.has_name()
        _replaced(path)
        assert file.holds()
        assert not file.has_name()
        path.unlink()
        assert not file.has_name()

    def test_without_a_digest_every_change_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        file = MappedFile(path)
        os.utime(path, (1, 1))
        with pytest.raises(ModelError, match=CHANGED):
            file.check()

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"file cannot be read \(No such file or directory\); get the model again"):
            MappedFile(tmp_path / "file")

    def test_descriptors_are_closed(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        first = os.open(path, os.O_RDONLY)
        os.close(first)
        for _ in range(3):
            MappedFile(path)
        last = os.open(path, os.O_RDONLY)
        os.close(last)
        assert last == first

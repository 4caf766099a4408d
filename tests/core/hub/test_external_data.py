"""Graphs with external data in a cache of links: ONNX Runtime itself says whether they load."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from onnxembed.errors import ModelNotFoundError, UnsafeModelError
from onnxembed.hub.external_data import loadable_model_path
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from tests.core.hub.small import MODEL, REPOSITORY, content, files, graph, graph_with_data, leftovers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.hub_server import HubServer

EXTERNAL = ("model.onnx_data",)


def outcome(path: Path) -> list[float]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.ones((1, 2), dtype=np.float32)})
    assert isinstance(result, np.ndarray)
    return list(map(float, result[0]))


@pytest.fixture
def snapshot_graph(hub: HubServer, settings: StoreSettings) -> Path:
    """The graph in a snapshot, a link as its data is."""
    model, data = graph_with_data()
    hub.add_repo(REPOSITORY, {**files(), "onnx/model.onnx": model, "onnx/model.onnx_data": data})
    return locate(MODEL, settings).path / "onnx" / "model.onnx"


def test_a_snapshot_of_links_loads(snapshot_graph: Path, settings: StoreSettings, cache: Path) -> None:
    assert snapshot_graph.is_symlink()

    path = loadable_model_path(snapshot_graph, EXTERNAL, settings)

    assert outcome(path) == [3.0, 3.0]
    assert path.is_relative_to(cache / "onnxembed" / "linked")
    assert content(path.parent) == dict(zip(("model.onnx", "model.onnx_data"), graph_with_data(), strict=True))
    assert leftovers(cache) == []


def test_nothing_is_stored_twice(snapshot_graph: Path, settings: StoreSettings) -> None:
    path = loadable_model_path(snapshot_graph, EXTERNAL, settings)

    assert path.samefile(snapshot_graph)
    assert not path.is_symlink()
    assert (path.parent / EXTERNAL[0]).samefile(snapshot_graph.parent / EXTERNAL[0])


def test_the_same_files_have_the_same_place(snapshot_graph: Path, settings: StoreSettings, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: loadable_model_path(snapshot_graph, EXTERNAL, settings), range(16)))

    assert len(paths) == 1
    assert leftovers(cache) == []


def share_blob(snapshot_graph: Path, cache: Path) -> None:
    """Some contents are kept once for all repositories: a repository's blob is then a link itself."""
    blob = (snapshot_graph.parent / EXTERNAL[0]).resolve()
    shared = cache / "blobs" / "ab" / "shared"
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)


def block(cache: Path) -> None:
    """A file in the way stops every account from writing."""
    shutil.rmtree(cache / "onnxembed")
    (cache / "onnxembed").write_text("in the way")


def test_a_store_of_blobs_shared_by_repositories_loads(
    snapshot_graph: Path, settings: StoreSettings, cache: Path
) -> None:
    share_blob(snapshot_graph, cache)

    assert outcome(loadable_model_path(snapshot_graph, EXTERNAL, settings)) == [3.0, 3.0]


def test_the_cache_of_another_root_loads(snapshot_graph: Path, tmp_path: Path) -> None:
    other = StoreSettings(cache_dir=str(tmp_path / "other"))

    path = loadable_model_path(snapshot_graph, EXTERNAL, other)

    assert outcome(path) == [3.0, 3.0]
    assert path.is_relative_to(tmp_path / "other" / "onnxembed")


def test_a_cache_that_cannot_be_written_is_used_as_it_is(
    snapshot_graph: Path, settings: StoreSettings, cache: Path, tmp_path: Path
) -> None:
    block(cache)

    assert loadable_model_path(snapshot_graph, EXTERNAL, settings) == snapshot_graph
    assert not (tmp_path / "home").exists()


def test_a_shared_blob_in_a_cache_that_cannot_be_written_is_linked_in_the_users_folder(
    snapshot_graph: Path, settings: StoreSettings, cache: Path, tmp_path: Path
) -> None:
    share_blob(snapshot_graph, cache)
    block(cache)

    path = loadable_model_path(snapshot_graph, EXTERNAL, settings)

    assert path.is_relative_to(tmp_path / "home" / ".cache" / "onnxembed" / "linked")
    assert outcome(path) == [3.0, 3.0]


def test_no_place_for_links_is_told(snapshot_graph: Path, settings: StoreSettings, cache: Path, tmp_path: Path) -> None:
    share_blob(snapshot_graph, cache)
    block(cache)
    (tmp_path / "home").write_text("in the way")

    with pytest.raises(ModelNotFoundError, match=f"the cache cannot be written at {cache / 'onnxembed' / 'linked'}"):
        loadable_model_path(snapshot_graph, EXTERNAL, settings)


def test_where_hard_links_are_not_to_be_had_files_are_copied(
    snapshot_graph: Path, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)

    path = loadable_model_path(snapshot_graph, EXTERNAL, settings)

    assert outcome(path) == [3.0, 3.0]
    assert not path.samefile(snapshot_graph)


def test_real_files_are_used_where_they_are(settings: StoreSettings, cache: Path, tmp_path: Path) -> None:
    for name, data in zip(("model.onnx", "model.onnx_data"), graph_with_data(), strict=True):
        (tmp_path / name).write_bytes(data)

    path = loadable_model_path(tmp_path / "model.onnx", EXTERNAL, settings)

    assert path == tmp_path / "model.onnx"
    assert outcome(path) == [3.0, 3.0]
    assert not cache.exists()


def test_a_graph_without_external_data_is_used_where_it_is(
    settings: StoreSettings, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())

    assert loadable_model_path(tmp_path / "model.onnx", (), settings) == tmp_path / "model.onnx"
    assert not cache.exists()


def test_a_link_out_of_the_folder_and_the_cache_is_refused(settings: StoreSettings, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(graph_with_data()[1])
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph_with_data()[0])
    (folder / "model.onnx_data").symlink_to(secret)

    with pytest.raises(UnsafeModelError, match="outside the model's folder and the cache"):
        loadable_model_path(folder / "model.onnx", EXTERNAL, settings)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_a_name_outside_the_folder_is_refused(settings: StoreSettings, tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())

    with pytest.raises(UnsafeModelError, match="does not name a file inside the model's folder"):
        loadable_model_path(tmp_path / "model.onnx", (name,), settings)


def test_missing_data_is_told(snapshot_graph: Path, settings: StoreSettings) -> None:
    (snapshot_graph.parent / EXTERNAL[0]).unlink()

    with pytest.raises(ModelNotFoundError, match=r"model\.onnx_data is missing; get the model again"):
        loadable_model_path(snapshot_graph, EXTERNAL, settings)

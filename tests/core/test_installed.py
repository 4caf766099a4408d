"""Distributions found by their names on disk: the same ones that ``importlib.metadata`` finds."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from onnxembed.installed import all_unpacked, unpacked
from onnxembed.runtime.provider_packages import is_installed


@pytest.fixture(params=["some_thing-2.5.dist-info", "Some.Thing-2.5.dist-info", "some_thing-2.5-py3.11.egg-info"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / ("METADATA" if request.param.endswith("dist-info") else "PKG-INFO")).write_text(
        "Metadata-Version: 2.1\nName: some-thing\nVersion: 2.5\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_distribution_is_found_by_any_spelling(place: Path) -> None:
    found = unpacked("some-thing")
    assert found is not None
    assert found[0] == place
    assert metadata.version("some-thing") == "2.5"
    assert is_installed("Some_Thing")
    assert not is_installed("some-thin")
    assert not is_installed("some-thing-2")


def test_every_known_runtime_is_seen_alike() -> None:
    names = {str(found.name) for found in metadata.distributions() if found.name}
    for name in sorted(names)[:40]:
        assert is_installed(name), name


def test_an_archive_may_hold_what_no_folder_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_unpacked()
    archive = tmp_path / "all.zip"
    archive.write_bytes(b"PK")
    monkeypatch.setattr(sys, "path", [*sys.path, str(archive)])
    assert not all_unpacked()
    assert not is_installed("no-such-distribution")

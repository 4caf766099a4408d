"""Wheels without modules: what they say, what they keep away, and when they are refused."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest

from onnxembed.care.stand_in import runtime_stand_in, write_stand_in
from onnxembed.cli.main import main
from onnxembed.errors import ProviderError
from onnxembed.runtime import provider_packages
from onnxembed.runtime.provider_packages import installed_runtimes


def _installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(provider_packages, "unpacked", lambda name: (Path(), names[name]) if name in names else None)


def test_it_requires_the_build_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, onnxruntime_gpu="1.31.1")
    wheel = runtime_stand_in(tmp_path / "new")
    assert wheel == tmp_path / "new" / "onnxruntime-1.31.1+onnxembed-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert all(".dist-info/" in name for name in archive.namelist())
        said = message_from_bytes(archive.read("onnxruntime-1.31.1+onnxembed.dist-info/METADATA"))
    assert (said["Name"], said["Version"], said["Requires-Dist"]) == (
        "onnxruntime",
        "1.31.1+onnxembed",
        "onnxruntime-gpu",
    )
    first = wheel.read_bytes()
    assert runtime_stand_in(tmp_path / "new").read_bytes() == first


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({}, "no build of ONNX Runtime installed"),
        ({"onnxruntime": "1.32.0"}, "^onnxruntime installed"),
        ({"onnxruntime": "1.32.0", "onnxruntime_gpu": "1.31.1"}, "onnxruntime and onnxruntime-gpu installed"),
        ({"onnxruntime_qnn": "1.2", "onnxruntime_gpu": "1.31.1"}, "onnxruntime-gpu and onnxruntime-qnn installed"),
    ],
)
def test_refused(versions: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, **versions)
    with pytest.raises(ProviderError, match=said):
        runtime_stand_in(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stand_in_is_no_second_build(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, onnxruntime="1.31.1+onnxembed", onnxruntime_gpu="1.31.1")
    assert installed_runtimes() == {"onnxruntime-gpu"}
    assert not provider_packages.overwritten("onnxruntime-gpu")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _installed(monkeypatch, onnxruntime_gpu="1.31.1")
    assert main(["wheel", str(tmp_path)]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()
    _installed(monkeypatch)
    assert main(["wheel", str(tmp_path)]) == 1
    assert "pip uninstall -y onnxruntime" in capsys.readouterr().err


INSTALLERS = ["pip", *(["uv"] if find_spec("uv") else [])]


@pytest.mark.parametrize("tool", INSTALLERS)
def test_installers_take_it_for_onnxruntime(tool: str, tmp_path: Path) -> None:
    """A package that requires onnxruntime is installed without it, from a folder of wheels and without an index."""
    shelf = tmp_path / "shelf"
    write_stand_in(shelf, "onnxruntime_gpu", "1.31.1", "pip", "A build")
    write_stand_in(shelf, "onnxruntime", "1.32.0", "pip", "The other build")
    write_stand_in(shelf, "needs_runtime", "1.0", "onnxruntime>=1.20", "An adapter")
    stand_in = write_stand_in(tmp_path / "own", "onnxruntime", "1.31.1+onnxembed", "onnxruntime-gpu", "Stands in")
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"

    def run(*words: str | Path) -> str:
        command = [str(python), "-m", "pip"] if tool == "pip" else [sys.executable, "-m", "uv", "pip"]
        into = [] if tool == "pip" else ["--python", str(python)]
        whole = [*command, str(words[0]), *into, *map(str, words[1:])]
        return subprocess.run(whole, check=True, capture_output=True, text=True).stdout

    offline = ["--no-index", "--find-links", str(shelf)]
    run("install", *offline, "onnxruntime-gpu")
    run("install", *offline, stand_in)
    run("install", *offline, "needs-runtime")
    assert "1.31.1+onnxembed" in run("show", "onnxruntime")
    run("check")

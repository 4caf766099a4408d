"""One folder ``fastembed`` and several distributions that may own it; the wheel that stands in for the name."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from fastembed import __version__
from fastembed.stand_in import build

from onnxembed.runtime.fastembed_packages import fastembed_fault, real_fastembed

OURS = "onnxembed-fastembed"


def install(place: Path, name: str, version: str, *files: str) -> None:
    """Lay out what pip leaves of a distribution."""
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text("")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own for the metadata."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(entry for entry in sys.path if "site-packages" not in entry)])
    return tmp_path


def test_nothing_is_wrong_without_the_real_one(place: Path) -> None:
    assert (real_fastembed(), fastembed_fault()) == (None, None)
    install(place, OURS, "0.1.0", "fastembed/__init__.py")
    install(place, "fastembed", __version__)
    assert (real_fastembed(), fastembed_fault()) == (None, None)


@pytest.mark.parametrize(("name", "version"), [("fastembed", "0.9.1"), ("fastembed-gpu", "0.8.0")])
def test_both_at_once_are_told_apart_in_either_order(place: Path, name: str, version: str) -> None:
    install(place, name, version, "fastembed/__init__.py")
    assert real_fastembed() == f"{name} {version}"
    assert fastembed_fault() is None  # ours is not there
    install(place, OURS, "0.1.0", "fastembed/text/__init__.py")
    fault = fastembed_fault()
    assert fault is not None
    assert fault.problem.startswith(f"{name} {version} and {OURS} are installed together")
    assert fault.mend == f"pip uninstall -y {name} {OURS} && pip install {OURS}"


def test_files_that_went_with_the_real_one_are_missed(place: Path) -> None:
    install(place, OURS, "0.1.0", "fastembed/__init__.py", "fastembed/image/__init__.py")
    (place / "fastembed" / "__init__.py").unlink()
    fault = fastembed_fault()
    assert fault is not None
    assert fault.problem.startswith("fastembed/__init__.py of onnxembed-fastembed is gone")
    assert fault.mend == "pip install --force-reinstall --no-deps onnxembed-fastembed"


def test_importing_over_the_real_one_is_an_error(tmp_path: Path) -> None:
    install(tmp_path, "fastembed", "0.9.1")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", "import fastembed"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: fastembed 0.9.1 and onnxembed-fastembed are installed together")


def test_the_wheel_has_a_name_and_a_requirement(tmp_path: Path) -> None:
    wheel = build(tmp_path / "wheels")
    assert wheel.name == "fastembed-0.9.1+onnxembed-py3-none-any.whl"
    first = wheel.read_bytes()
    assert build(tmp_path / "wheels").read_bytes() == first
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
        record = archive.read("fastembed-0.9.1+onnxembed.dist-info/RECORD").decode().splitlines()
        for line in record:
            name, digest, size = line.split(",")
            names.remove(name)
            if digest:
                content = archive.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={expected}", len(content))
    assert not names
    (found,) = metadata.distributions(path=[str(tmp_path / "site")])
    assert (found.name, found.version, found.requires) == ("fastembed", __version__, [OURS])


def test_the_wheel_is_built_by_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastembed.stand_in", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / 'fastembed-0.9.1+onnxembed-py3-none-any.whl'}\n"

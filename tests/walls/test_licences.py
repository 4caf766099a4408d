"""What the distributions say of their licences, and that the texts travel with them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.walls.copies import CACHES, ROOT

STOP_WORDS = "onnxembed/sparse/stop_words/LICENSE"
DISTRIBUTIONS = {
    "core": ("Apache-2.0 AND MIT AND BSD-3-Clause", ["LICENSE", "NOTICE", STOP_WORDS]),
    "integrations/fastembed": ("Apache-2.0", ["LICENSE"]),
    "integrations/langchain": ("Apache-2.0", ["LICENSE"]),
    "integrations/llamaindex": ("Apache-2.0", ["LICENSE"]),
    **{
        path.parent.relative_to(ROOT).as_posix(): ("Apache-2.0", ["LICENSE"])
        for path in (ROOT / "integrations" / "llamaindex" / "distributions").glob("*/pyproject.toml")
    },
}


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_declared(folder: str) -> None:
    expression, files = DISTRIBUTIONS[folder]
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == expression
    assert project["license-files"] == files
    for name in files:
        assert (ROOT / folder / name).is_file()
    assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_every_third_party_text_is_declared() -> None:
    there = {path.relative_to(ROOT / "core").as_posix() for path in (ROOT / "core" / "onnxembed").rglob("LICEN[CS]E*")}
    assert there == {STOP_WORDS}
    text = (ROOT / "core" / STOP_WORDS).read_text(encoding="utf-8")
    assert "The MIT License" in text
    assert "Neither the name of the Snowball project" in text  # the third clause of BSD-3-Clause


def test_the_notice_names_the_holders() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert (ROOT / "core" / "NOTICE").read_text(encoding="utf-8") == notice
    for holder in ("Jerry Liu", "Dr Martin Porter", "Richard Boulton", "Yoshiki Shibukawa", "Olly Betts"):
        assert holder in notice
        assert holder in (ROOT / "core" / STOP_WORDS).read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheels, is not installed")
@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_wheels_carry_the_texts(folder: str, tmp_path: Path) -> None:
    expression, files = DISTRIBUTIONS[folder]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    source = tmp_path / "source"
    shutil.copytree(ROOT / folder, source, ignore=CACHES)
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = message_from_bytes(archive.read(metadata))
        assert fields["License-Expression"] == expression
        assert fields.get_all("License-File") == files
        for name in files:
            stored = archive.read(metadata.replace("METADATA", f"licenses/{name}"))
            assert stored == (ROOT / folder / name).read_bytes()
        if folder == "core":
            assert archive.read(STOP_WORDS) == (ROOT / folder / STOP_WORDS).read_bytes()
            assert "onnxembed/sparse/stop_words/README.md" in archive.namelist()

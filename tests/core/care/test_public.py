"""`onnxembed.care` gives its public names, and loads what a name needs when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from onnxembed import care
from onnxembed.care.doctor import examine
from onnxembed.care.download import DownloadedModel, download_model
from onnxembed.care.finding import Finding
from onnxembed.care.verify import CheckedFile
from tests.fixtures.small_models import write_bert_folder


def test_names() -> None:
    assert (care.download_model, care.examine) == (download_model, examine)
    assert (care.DownloadedModel, care.CheckedFile, care.Finding) == (DownloadedModel, CheckedFile, Finding)
    assert (
        set(care.__all__)
        == {"CheckedFile", "DownloadedModel", "Finding", "download_model", "examine"}
        == set(dir(care))
    )
    with pytest.raises(AttributeError, match=r"module 'onnxembed.care' has no attribute 'prune_all'"):
        _ = care.prune_all


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, onnxembed.care; print([name for name in sys.modules if name.startswith('onnxembed.care.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_folder_is_examined_as_it_lies_there(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model")
    found = care.download_model(tmp_path / "model", cache_dir=tmp_path / "cache")
    assert (found.in_cache, found.folder, found.revision) == (False, tmp_path / "model", None)
    assert {file.problem for file in found.files} == {""}
    assert {finding.area for finding in care.examine(tmp_path)} >= {"packages", "runtime", "processor", "cache"}

"""The name of a model's files, by their content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from onnxembed.hub.fingerprint import folder_fingerprint
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_models import write_static
from tests.fixtures.dense_tokenizers import write_tokenizer
from tests.fixtures.small_models import write_bert_folder

FILE = "onnx/model.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    write_tokenizer(path)
    write_graph(path / FILE, GraphForm(external=True))
    return path


def fingerprint(folder: Path, name: str = FILE, *additional: str) -> str:
    return folder_fingerprint(folder, name, additional)


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_equal_files_have_equal_names_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    name = fingerprint(folder)
    assert len(name) == 64
    assert int(name, 16)
    assert fingerprint(tmp_path / "copy") == name


@pytest.mark.parametrize(
    "name",
    ["onnx/model.onnx_data", "tokenizer.json", "tokenizer_config.json", "config.json", "special_tokens_map.json"],
)
def test_every_file_counts(name: str, folder: Path) -> None:
    before = fingerprint(folder)
    flip(folder / name, 40)
    assert fingerprint(folder) != before
    flip(folder / name, 40)
    assert fingerprint(folder) == before


def test_graph_counts_wherever_it_was_found(folder: Path) -> None:
    """The described place may be empty, and the graph in another usual one."""
    described = fingerprint(folder, "model_optimized.onnx")
    write_graph(folder / FILE, GraphForm(external=True, seed=1))
    assert fingerprint(folder, "model_optimized.onnx") != described


def test_weights_to_be_compiled_count(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, seed=1)
    before = fingerprint(tmp_path)
    flip(tmp_path / "model.safetensors")
    assert fingerprint(tmp_path) != before


def test_static_tables_count_and_graphs_beside_them_do_not(tmp_path: Path) -> None:
    write_static(tmp_path, "words")
    before = fingerprint(tmp_path, "model.safetensors")
    write_graph(tmp_path / FILE, GraphForm())
    assert fingerprint(tmp_path, "model.safetensors") == before
    flip(tmp_path / "model.safetensors")
    assert fingerprint(tmp_path, "model.safetensors") != before


def test_additional_files_count(folder: Path) -> None:
    plain = fingerprint(folder)
    assert fingerprint(folder, FILE, "missing.bin") == plain
    (folder / "more.bin").write_bytes(b"1")
    assert fingerprint(folder) == plain
    more = fingerprint(folder, FILE, "more.bin")
    assert more != plain
    (folder / "more.bin").write_bytes(b"2")
    assert fingerprint(folder, FILE, "more.bin") not in (plain, more)


def test_large_files_are_sampled_and_their_size_counts(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    weights = tmp_path / "model.safetensors"
    seen = set()
    for content in (b"\0" * 6_000_000, b"\0" * 6_000_001, b"\1" + b"\0" * 5_999_999, b"\0" * 5_999_999 + b"\1"):
        weights.write_bytes(content)
        seen.add(fingerprint(tmp_path, "model.safetensors"))
    assert len(seen) == 4

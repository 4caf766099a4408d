"""Each sentence of SECURITY.md has a test: named here where it stands elsewhere, else written here."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import ModelNotFoundError, OnnxEmbedError
from onnxembed.sparse.statistics import Bm25Statistics
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_tokenizers import TokenizerForm, write_tokenizer
from tests.fixtures.small_models import write_bert_folder

ROOT = Path(__file__).parents[2]
HERE = "tests/attacks/test_security.py"

TESTS = {
    "graphs with operators of unknown domains": ("tests/attacks/test_onnx_files.py", "test_refused"),
    "external data outside the model's folder": ("tests/attacks/test_onnx_files.py", "test_refused"),
    "safetensors whose header lies": ("tests/attacks/test_safetensors_files.py", "test_refused"),
    "archives with absolute names": ("tests/core/hub/test_archive.py", "test_it_is_refused_and_leaves_nothing"),
    "more content than their bound": ("tests/core/hub/test_archive.py", "test_a_bomb_of_content"),
    "Their size is read from the header": (
        "tests/core/image/test_loading_refusals.py",
        "test_a_bomb_is_refused_by_its_header",
    ),
    "no interpreter (PostScript, SVG) is reached": (
        "tests/core/image/test_formats.py",
        "test_programs_and_other_readers_of_pillow_are_not_reached",
    ),
    "Pillow's global settings stay": (
        "tests/core/image/test_loading.py",
        "test_pillows_globals_are_not_set_or_relied_on",
    ),
    "URLs are fetched only with": (
        "tests/core/image/test_loading_refusals.py",
        "test_urls_are_not_fetched_unless_asked",
    ),
    "over http and https": ("tests/core/image/test_urls.py", "test_a_redirect_to_another_scheme_is_refused"),
    "with bounds on size and time": ("tests/core/image/test_urls.py", "test_time_is_bounded_in_all"),
    "the host is resolved once": (
        "tests/core/image/test_urls.py",
        "test_a_name_is_resolved_once_and_the_checked_address_used",
    ),
    "addresses that are not on the public internet are refused": (
        "tests/core/image/test_addresses.py",
        "test_special_blocks",
    ),
    "every redirect is checked": ("tests/core/image/test_urls.py", "test_a_redirect_into_this_machine_is_refused"),
    "No pickle is run": (HERE, "test_no_pickle_is_read"),
    "refuses every other name by name": ("tests/core/formats/test_torch_file.py", "test_refuses_what_is_no_tensor"),
    "no `auto_map` followed": (HERE, "test_no_code_of_a_model_runs"),
    "no custom operator library loaded": (HERE, "test_no_library_of_operators_is_loaded"),
    "Downloads are compared with the hashes": (
        "tests/core/hub/test_bring.py",
        "test_wrong_bytes_always_are_an_error_and_are_not_kept",
    ),
    "looked at before each batch": (
        "tests/core/test_changed_files.py",
        "test_a_file_of_the_user_that_changed_is_refused",
    ),
    "is made or fetched again": ("tests/core/test_changed_files.py", "test_a_graph_that_was_made_here_is_made_again"),
    "Files are written to the cache folder alone": (HERE, "test_nothing_is_written_outside_the_cache"),
    "temporary folder while it is loaded": (
        "tests/core/api/test_graph_file.py",
        "test_without_a_place_to_keep_them_they_are_made_anew",
    ),
    "hard links to external data in the user's own cache folder": (
        "tests/core/hub/test_external_data.py",
        "test_a_shared_blob_in_a_cache_that_cannot_be_written_is_linked_in_the_users_folder",
    ),
    "Nothing is sent anywhere but": (
        "tests/core/hub/test_bring.py",
        "test_only_the_needed_files_are_fetched_once_each",
    ),
}
"""A part of each sentence, and where its test stands."""


@pytest.mark.parametrize("part", TESTS)
def test_the_sentence_and_its_test_exist(part: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert part in text
    file, name = TESTS[part]
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


class Exploit:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.onnx", "model.safetensors", "tokenizer.json"])
def test_no_pickle_is_read(name: str, tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    folder.mkdir()
    write_bert_folder(folder)
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Exploit(mark)))
    with pytest.raises(OnnxEmbedError):
        TextEmbedding(folder, cache_dir=tmp_path / "cache", pooling="MEAN").embed_to_array(["a"])
    np.save(tmp_path / "statistics.npz", np.array([Exploit(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(OnnxEmbedError):
        Bm25Statistics.load(tmp_path / "statistics.npz.npy")
    assert not mark.exists()


def test_no_code_of_a_model_runs(tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    folder.mkdir()
    write_bert_folder(folder)
    code = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"
    for name in ("modeling_bert.py", "custom_st.py", "tokenization.py", "__init__.py", "sitecustomize.py"):
        (folder / name).write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_bert.Model", "AutoConfig": "modeling_bert.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    model = TextEmbedding(folder, cache_dir=tmp_path / "cache", pooling="MEAN")
    assert np.isfinite(model.embed_to_array(["hello"])).all()
    assert not mark.exists()


def test_no_library_of_operators_is_loaded(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, TokenizerForm())
    write_graph(tmp_path / "model.onnx", GraphForm())
    (tmp_path / "libcustom_ops.so").write_bytes(b"\x7fELF")
    options = {"session.custom_ops_library": str(tmp_path / "libcustom_ops.so")}
    model = TextEmbedding(tmp_path, cache_dir=tmp_path / "cache", pooling="MEAN", session_options=options)
    assert np.isfinite(model.embed_to_array(["hello"])).all()
    with pytest.raises(OnnxEmbedError, match="register_custom_ops_library"):
        TextEmbedding(tmp_path, pooling="MEAN", session_options={"register_custom_ops_library": "x"})


def test_nothing_is_written_outside_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, work, folder, cache = (tmp_path / name for name in ("home", "work", "model", "cache"))
    for path in (home, work, folder):
        path.mkdir()
    write_bert_folder(folder)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    before = sorted(folder.rglob("*"))
    TextEmbedding(folder, cache_dir=cache, pooling="MEAN").embed_to_array(["hello", "world"])
    with pytest.raises(ModelNotFoundError):
        TextEmbedding("BAAI/bge-small-en-v1.5", cache_dir=cache, local_files_only=True)
    assert sorted(folder.rglob("*")) == before
    assert list(home.iterdir()) == []
    assert list(work.iterdir()) == []
    assert {path.name for path in cache.iterdir()} == {"onnxembed"}

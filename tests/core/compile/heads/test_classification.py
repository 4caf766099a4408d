from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.compile import compile_model
from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.spec import GraphHead
from tests.fixtures.bert_reference import bert_hidden_states
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.small_models import bert_config, bert_weights


def classifier(folder: Path, labels: int, settings: dict[str, Any]) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    config = bert_config() | {"architectures": ["BertForSequenceClassification"]} | settings
    random = np.random.default_rng(6)
    shapes = {"pooler.dense.weight": (32, 32), "pooler.dense.bias": (32,)}
    shapes |= {"classifier.weight": (labels, 32), "classifier.bias": (labels,)}
    weights: dict[str, Any] = {**bert_weights(config, seed=2)}
    weights |= {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    published = {name if name.startswith("classifier") else f"bert.{name}": value for name, value in weights.items()}
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", published)
    return folder, config, weights


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (1, {"id2label": {"0": "LABEL_0"}}),
        (2, {}),
        (3, {"id2label": {"0": "no", "1": "perhaps", "2": "yes"}, "label2id": {"no": 0, "perhaps": 1, "yes": 2}}),
        (5, {"num_labels": 5}),
        (4, {"_num_labels": 4}),
    ],
    ids=str,
)
def test_logits_of_any_number_of_labels(tmp_path: Path, labels: int, settings: dict[str, Any]) -> None:
    folder, config, weights = classifier(tmp_path, labels, settings)
    compile_model(folder, tmp_path / "out.onnx", head=GraphHead.CLASSIFICATION)
    assert [(one.name, one.shape) for one in inspect_graph(tmp_path / "out.onnx").outputs] == [
        ("logits", ("batch", labels))
    ]
    feed = token_batch([7, 1, 12], vocab=98)
    hidden = bert_hidden_states(weights, config, feed["input_ids"], feed["attention_mask"], feed["token_type_ids"])
    vector = np.tanh(hidden[:, 0] @ weights["pooler.dense.weight"].T + weights["pooler.dense.bias"])
    expected = vector @ weights["classifier.weight"].T + weights["classifier.bias"]
    np.testing.assert_allclose(run_graph(tmp_path / "out.onnx", feed)["logits"], expected, atol=1e-5)


def test_labels_that_the_weights_do_not_have(tmp_path: Path) -> None:
    folder, _, _ = classifier(tmp_path, 3, {})
    with pytest.raises(ModelError, match=r"classifier\.weight \(3, 32\) instead of \(2, 32\)"):
        compile_model(folder, tmp_path / "out.onnx", head=GraphHead.CLASSIFICATION)


def test_a_model_without_the_head(tmp_path: Path) -> None:
    config = bert_config()
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_safetensors(tmp_path / "model.safetensors", dict(bert_weights(config)))
    with pytest.raises(ModelError, match=r"missing: pooler\.dense\.weight, .*classifier\.bias"):
        compile_model(tmp_path, tmp_path / "out.onnx", head=GraphHead.CLASSIFICATION)

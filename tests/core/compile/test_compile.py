"""What every architecture goes through: the configuration read to its last key, weights in any form, refusals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.compile import compile_model, refusal
from onnxembed.compile.architectures import ARCHITECTURES
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from onnxembed.spec import GraphHead
from tests.fixtures.dense_models import write_safetensors
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.small_models import bert_config, bert_weights


def write(folder: Path, config: dict[str, Any], weights: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / WEIGHTS_FILE, weights)
    return folder


def hidden_states(folder: Path) -> Any:
    compile_model(folder, folder / "out.onnx")
    return run_graph(folder / "out.onnx", token_batch([5, 8], vocab=90))["last_hidden_state"]


@pytest.mark.parametrize("key", ["attn_logit_softcapping", "partial_rotary_factor", "new_in_next_version"])
def test_a_key_that_nobody_reads_is_refused_before_the_weights_are_fetched(tmp_path: Path, key: str) -> None:
    config = bert_config() | {key: 0.5}
    told = rf"config\.json: the key '{key}' \(value 0\.5\) is not known here"
    error = refusal(Facts(config, "config.json"))
    assert error is not None
    with pytest.raises(UnsupportedModelError, match=told):
        raise error
    with pytest.raises(UnsupportedModelError, match=told):
        compile_model(write(tmp_path / "m", config, dict(bert_weights(config))), tmp_path / "out.onnx")


def test_a_key_that_is_accepted_is_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = bert_config() | {"new_in_next_version": 0.5}
    folder = write(tmp_path / "m", config, dict(bert_weights(config)))
    with caplog.at_level(logging.WARNING, logger="onnxembed.models"):
        compile_model(folder, tmp_path / "out.onnx", accepted=("new_in_next_version",))
    assert "new_in_next_version is not known here and is passed over" in caplog.text


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"model_type": "gpt9"}, "'gpt9' cannot be compiled"),
        ({"architectures": ["BertForTokenClassification"]}, "BertForTokenClassification"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder is True"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
    ],
    ids=str,
)
def test_refusals_that_the_configuration_alone_shows(setting: dict[str, Any], told: str) -> None:
    assert told in str(refusal(Facts(bert_config() | setting, "config.json")))


@pytest.mark.parametrize("head", list(GraphHead)[:5])
def test_a_bert_is_not_refused(head: GraphHead) -> None:
    assert refusal(Facts(bert_config(), "config.json"), head=head) is None


def test_a_head_that_the_family_does_not_have() -> None:
    config = bert_config() | {"model_type": "mpnet", "architectures": ["MPNetModel"]}
    del config["type_vocab_size"]
    assert refusal(Facts(config, "config.json")) is None
    told = str(refusal(Facts(config, "config.json"), head=GraphHead.CLS_ATTENTION))
    assert "this architecture has no head 'cls_attention' that can be compiled" in told


def test_no_two_families_serve_one_class() -> None:
    served = [
        (kind, name, family.reads_pictures, family.setting)
        for family in ARCHITECTURES
        for kind in family.model_types
        for name in family.classes
    ]
    assert len(set(served)) == len(served)


def test_weights_in_several_files_give_the_same(tmp_path: Path) -> None:
    config = bert_config()
    weights = dict(bert_weights(config))
    whole = hidden_states(write(tmp_path / "whole", config, weights))
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    places: dict[str, str] = {}
    for number in range(3):
        part = {name: weights[name] for name in list(weights)[number::3]}
        places |= dict.fromkeys(part, f"part-{number}.safetensors")
        write_safetensors(folder / f"part-{number}.safetensors", part)
    (folder / INDEX_FILE).write_text(json.dumps({"weight_map": places}))
    np.testing.assert_array_equal(hidden_states(folder), whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_finite_numbers(tmp_path: Path, value: float) -> None:
    config = bert_config()
    weights = dict(bert_weights(config))
    weights["encoder.layer.1.output.dense.weight"][3, 4] = value
    folder = write(tmp_path / "m", config, weights)
    with pytest.raises(ModelError, match=r"encoder\.layer\.1\.output\.dense\.weight holds numbers that are not finite"):
        compile_model(folder, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_decoder_that_shares_nothing_and_is_not_there(tmp_path: Path) -> None:
    config = bert_config() | {"tie_word_embeddings": False}
    folder = write(tmp_path / "m", config, dict(bert_weights(config)))
    with pytest.raises(ModelError, match=r"missing: .*cls\.predictions\.decoder\.weight"):
        compile_model(folder, tmp_path / "out.onnx", head=GraphHead.VOCABULARY_MAXIMUM)

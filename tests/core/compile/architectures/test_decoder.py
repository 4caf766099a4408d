from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.compile import compile_model, refusal
from onnxembed.compile.checkpoint import read_config
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.spec import GraphHead, PoolingType
from tests.fixtures.graph_runs import Feed, run_graph, token_batch
from tests.fixtures.model_rows import ROWS, read_row, write_row

LENGTHS = (5, 1, 0, 12)
VOCABULARY = 320


def folder_of(row: str, folder: Path, **changes: Any) -> Path:
    """Write a row's model with some keys of its configuration changed; ``...`` takes a key out."""
    write_row(read_row(ROWS / f"decoder-{row}.json"), folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tokens() -> Feed:
    feed = token_batch(LENGTHS, vocab=VOCABULARY)
    del feed["token_type_ids"]
    return feed


def vectors(folder: Path, feed: Feed) -> Any:
    compile_model(folder, folder / "graph.onnx", pooling=PoolingType.MEAN)
    return run_graph(folder / "graph.onnx", feed)


@pytest.mark.parametrize("row", ["qwen3", "qwen2", "qwen2-both-ways", "gemma3", "gemma3-embedding-mean", "llama"])
def test_padding_moves_no_text(tmp_path: Path, row: str) -> None:
    feed = tokens()
    batch = vectors(folder_of(row, tmp_path / "model"), feed)
    assert all(np.isfinite(values).all() for values in batch.values())
    for text, length in enumerate(LENGTHS):
        if length:
            alone = run_graph(tmp_path / "model/graph.onnx", {k: v[[text], :length] for k, v in feed.items()})
            np.testing.assert_allclose(batch["pooled"][text], alone["pooled"][0], atol=1e-6)


def test_causal_layers_see_no_later_token(tmp_path: Path) -> None:
    feed = tokens()
    changed = {**feed, "input_ids": feed["input_ids"].copy()}
    changed["input_ids"][3, 9:] = 7
    values = vectors(folder_of("qwen3", tmp_path / "model"), feed)["last_hidden_state"]
    others = run_graph(tmp_path / "model/graph.onnx", changed)["last_hidden_state"]
    np.testing.assert_allclose(values[3, :9], others[3, :9], atol=1e-6)
    assert np.abs(values[3, 9:] - others[3, 9:]).max() > 0.1


def test_a_window_as_wide_as_the_text_is_none(tmp_path: Path) -> None:
    feed = tokens()
    wide = vectors(folder_of("mistral", tmp_path / "wide", sliding_window=12), feed)
    full = vectors(folder_of("mistral", tmp_path / "full", sliding_window=None), feed)
    narrow = vectors(folder_of("mistral", tmp_path / "narrow", sliding_window=11), feed)
    np.testing.assert_allclose(wide["last_hidden_state"], full["last_hidden_state"], atol=1e-6)
    assert np.abs(narrow["last_hidden_state"][3, 11] - full["last_hidden_state"][3, 11]).max() > 1e-3


@pytest.mark.parametrize(
    ("row", "layer_types"),
    [
        ("qwen2", ["full_attention", "sliding_attention", "sliding_attention"]),
        ("gemma3", ["sliding_attention", "full_attention", "sliding_attention"]),
        ("mistral", ["sliding_attention"] * 3),
    ],
)
def test_older_files_mean_the_layer_types_that_newer_ones_spell_out(
    tmp_path: Path, row: str, layer_types: list[str]
) -> None:
    feed = tokens()
    older = vectors(folder_of(row, tmp_path / "older", layer_types=...), feed)
    newer = vectors(folder_of(row, tmp_path / "newer", layer_types=layer_types), feed)
    np.testing.assert_array_equal(older["pooled"], newer["pooled"])


def test_a_window_that_is_not_stated_is_that_of_the_library(tmp_path: Path) -> None:
    stated = vectors(folder_of("mistral", tmp_path / "stated", sliding_window=4096), tokens())
    missing = vectors(folder_of("mistral", tmp_path / "missing", sliding_window=...), tokens())
    np.testing.assert_array_equal(stated["pooled"], missing["pooled"])


def test_a_classifier_passes_over_the_id_of_padding(tmp_path: Path) -> None:
    feed = tokens()
    feed["input_ids"][0, 3:5] = 0
    feed["input_ids"][1, 0] = 0
    folder = folder_of("qwen3-classification", tmp_path / "model", pad_token_id=0)
    states = vectors(folder, feed)["last_hidden_state"]
    compile_model(folder, folder / "logits.onnx", head=GraphHead.CLASSIFICATION)
    logits = run_graph(folder / "logits.onnx", feed)["logits"]
    weights = read_weight(folder, "score.weight")
    last = [2, 0, 0, max(np.flatnonzero(feed["input_ids"][3]))]
    np.testing.assert_allclose(logits, states[np.arange(4), last] @ weights.T, atol=1e-5)


def test_a_classifier_without_padding_takes_the_last_token(tmp_path: Path) -> None:
    feed = tokens()
    feed["input_ids"][0, 4] = 0
    folder = folder_of("qwen3-classification", tmp_path / "model", pad_token_id=None)
    states = vectors(folder, feed)["last_hidden_state"]
    compile_model(folder, folder / "logits.onnx", head=GraphHead.CLASSIFICATION)
    logits = run_graph(folder / "logits.onnx", feed)["logits"]
    rows = [0, 1, 3]
    expected = states[rows, [4, 0, 11]] @ read_weight(folder, "score.weight").T
    np.testing.assert_allclose(logits[rows], expected, atol=1e-5)


def read_weight(folder: Path, name: str) -> Any:
    from onnxembed.formats.safetensors import SafetensorsFile

    with SafetensorsFile(folder / "model.safetensors") as weights:
        return np.array(weights.tensor(name))


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        ("gemma3", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0; known here: None"),
        ("gemma3", {"final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0"),
        ("gemma3", {"is_causal": False}, "is_causal is False; known here: True"),
        ("gemma", {"hidden_act": "silu"}, "hidden_act is 'silu'"),
        ("qwen3", {"hidden_act": "xielu"}, "hidden_act is 'xielu'"),
        ("qwen3", {"rope_scaling": {"rope_type": "longrope"}}, "rope_type 'longrope'"),
        ("qwen3", {"no_rope_layers": [1, 0, 1]}, "the key 'no_rope_layers'"),
        ("qwen2", {"attention_bias": False}, "the key 'attention_bias'"),
        ("qwen3", {"use_bidirectional_attention": True}, "the key 'use_bidirectional_attention'"),
        ("mistral", {"layer_types": ["full_attention"] * 3}, "layer_types is"),
        ("qwen3", {"architectures": ["Qwen3ForTokenClassification"]}, "the architecture 'Qwen3ForTokenClassification'"),
        ("eurobert-classification-late", {"classifier_pooling": "max"}, "classifier_pooling is 'max'"),
    ],
)
def test_what_would_change_the_vectors_is_refused_by_name(
    tmp_path: Path, row: str, changes: dict[str, Any], message: str
) -> None:
    error = refusal(read_config(folder_of(row, tmp_path, **changes)))
    assert isinstance(error, UnsupportedModelError)
    assert message in str(error)
    assert str(tmp_path / "config.json") in str(error)


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        ("qwen3", {"num_key_value_heads": 3}, "num_key_value_heads is 3, expected a divisor of num_attention_heads, 4"),
        ("qwen3", {"head_dim": 15}, "head_dim is 15, expected an even number"),
        ("qwen3", {"head_dim": 10**12}, "head_dim is 1000000000000, expected an even number up to 4096"),
        ("qwen2", {"layer_types": ["full_attention"]}, "layer_types is ['full_attention'], expected 3 of"),
        ("qwen2", {"layer_types": ["chunked_attention"] * 3}, "expected 3 of 'full_attention' and 'sliding_attention'"),
        (
            "qwen2",
            {"layer_types": ["sliding_attention"] * 3, "use_sliding_window": False},
            "use_sliding_window and sliding_window give no window",
        ),
        ("gemma3", {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is 0, expected a number above 0"),
        ("qwen3", {"rms_norm_eps": "tiny"}, "rms_norm_eps is 'tiny'"),
    ],
)
def test_what_contradicts_itself_is_an_error(tmp_path: Path, row: str, changes: dict[str, Any], message: str) -> None:
    error = refusal(read_config(folder_of(row, tmp_path, **changes)))
    assert isinstance(error, ModelError)
    assert message in str(error)


def test_a_decoder_has_no_attentions_to_give(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="no head 'attentions'"):
        compile_model(folder_of("qwen3", tmp_path), tmp_path / "graph.onnx", head=GraphHead.ATTENTIONS)


_PUBLISHED = {
    "Qwen3-Embedding-0.6B": {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151643, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
        "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 32768,
        "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.51.3", "use_cache": True, "use_sliding_window": False, "vocab_size": 151669,
    },
    "e5-mistral-7b-instruct": {
        "_name_or_path": "mistralai/Mistral-7B-v0.1", "architectures": ["MistralModel"], "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pad_token_id": 2,
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": False,
        "torch_dtype": "float16", "transformers_version": "4.34.0", "use_cache": False, "vocab_size": 32000,
    },
    "embeddinggemma-300m": {
        "_sliding_window_pattern": 6, "architectures": ["Gemma3TextModel"], "attention_bias": False,
        "attention_dropout": 0.0, "attn_logit_softcapping": None, "bos_token_id": 2, "dtype": "float32",
        "eos_token_id": 1, "final_logit_softcapping": None, "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 768, "initializer_range": 0.02,
        "intermediate_size": 1152, "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
        "max_position_embeddings": 2048, "model_type": "gemma3_text", "num_attention_heads": 3,
        "num_hidden_layers": 24, "num_key_value_heads": 1, "pad_token_id": 0, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0,
        "sliding_window": 512, "transformers_version": "4.57.0.dev0", "use_bidirectional_attention": True,
        "use_cache": True, "vocab_size": 262144,
    },
    "Llama-3.2-1B": {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
        "initializer_range": 0.02, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3",
        },
        "rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.45.0.dev0", "use_cache": True, "vocab_size": 128256,
    },
    "gemma-2b": {
        "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2,
        "eos_token_id": 1, "head_dim": 256, "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 16384,
        "max_position_embeddings": 8192, "model_type": "gemma", "num_attention_heads": 8, "num_hidden_layers": 18,
        "num_key_value_heads": 1, "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": None,
        "rope_theta": 10000.0, "torch_dtype": "float32", "transformers_version": "4.38.1", "use_cache": True,
        "vocab_size": 256000,
    },
    "EuroBERT-210m": {
        "architectures": ["EuroBertForMaskedLM"], "attention_bias": False, "attention_dropout": 0.0,
        "auto_map": {"AutoModel": "modeling_eurobert.EuroBertModel"}, "bos_token": "<|begin_of_text|>",
        "bos_token_id": 128000, "clf_pooling": "late", "eos_token": "<|end_of_text|>", "eos_token_id": 128001,
        "head_dim": 64, "hidden_act": "silu", "hidden_dropout": 0.0, "hidden_size": 768,
        "initializer_range": 0.02, "intermediate_size": 3072, "mask_token": "<|mask|>", "mask_token_id": 128002,
        "max_position_embeddings": 8192, "mlp_bias": False, "model_type": "eurobert", "num_attention_heads": 12,
        "num_hidden_layers": 12, "num_key_value_heads": 12, "pad_token": "<|end_of_text|>", "pad_token_id": 128001,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 250000,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.40.0.dev0",
        "use_cache": False, "vocab_size": 128256,
    },
}  # fmt: skip
"""What ``config.json`` of well-known repositories has, by their names."""


@pytest.mark.parametrize("name", _PUBLISHED)
def test_every_key_of_published_models_is_known(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_PUBLISHED[name]))
    assert refusal(read_config(tmp_path)) is None


def test_code_of_a_model_s_own_must_say_which_way_tokens_look(tmp_path: Path) -> None:
    own_code = {"auto_map": {"AutoModel": "modeling_qwen.Qwen2Model", "AutoConfig": "configuration_qwen.Qwen2Config"}}
    unsaid = refusal(read_config(folder_of("qwen2", tmp_path, **own_code)))
    assert isinstance(unsaid, UnsupportedModelError)
    assert 'add "is_causal": false to the file if it does' in str(unsaid)
    for direction in (True, False):
        assert refusal(read_config(folder_of("qwen2", tmp_path, **own_code, is_causal=direction))) is None
    tokenizer_only = {"auto_map": {"AutoTokenizer": ["tokenization_qwen.Qwen2Tokenizer", None]}}
    assert refusal(read_config(folder_of("qwen2", tmp_path, **tokenizer_only))) is None

"""Encoders with rotary or distance-biased attention: padding, windows, spellings, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from onnxembed.compile import compile_model, refusal
from onnxembed.compile.checkpoint import read_config
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.spec import PoolingType
from tests.fixtures.graph_runs import Feed, run_graph, token_batch
from tests.fixtures.model_rows import ROWS, read_row, write_row

LENGTHS = (9, 1, 0, 30)
FAMILIES = (
    "modernbert-mean",
    "modernbert-cls-before",
    "nomic-bert-mean",
    "nomic-bert-before",
    "nomic-bert-stretched",
    "gte-cls",
    "gte-before",
    "jina-bert-mean",
    "jina-bert-code",
    "jina-v3-mean",
    "jina-v3-task",
)


def folder_of(row: str, folder: Path, **changes: Any) -> Path:
    """Write a row's model with some keys of its configuration changed; ``...`` takes a key out."""
    write_row(read_row(ROWS / f"{row}.json"), folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def vectors(folder: Path, *, row: slice = slice(None), length: int | None = None) -> dict[str, Any]:
    """Compile a model once and run it on the same tokens, or some of them."""
    graph = folder / "graph.onnx"
    if not graph.exists():
        compile_model(folder, graph, pooling=PoolingType.MEAN)
    declared = {value.name for value in onnx.load(graph, load_external_data=False).graph.input}
    feed: Feed = {name: value[row, :length] for name, value in token_batch(LENGTHS, vocab=170).items()}
    feed["task_id"] = np.array(1)
    return run_graph(graph, {name: value for name, value in feed.items() if name in declared})


@pytest.mark.parametrize("row", FAMILIES)
def test_padding_moves_no_text(tmp_path: Path, row: str) -> None:
    folder = folder_of(row, tmp_path / "model")
    batch = vectors(folder)
    assert all(np.isfinite(values).all() for values in batch.values())
    for text, length in enumerate(LENGTHS):
        if length:
            alone = vectors(folder, row=slice(text, text + 1), length=length)
            np.testing.assert_allclose(batch["pooled"][text], alone["pooled"][0], atol=1e-6)


@pytest.mark.parametrize("row", FAMILIES)
def test_the_optimizer_joins_no_addition_and_normalization(tmp_path: Path, row: str) -> None:
    """The kernel for both takes four times as long as the two; see `token_inputs`."""
    folder = folder_of(row, tmp_path / "model")
    compile_model(folder, tmp_path / "out.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "out.onnx"), options, providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert "MultiHeadAttention" in operators
    assert not {name for name in operators if name.startswith("Skip")}


def test_a_window_as_wide_as_the_text_is_none(tmp_path: Path) -> None:
    """The 30 tokens are 29 places apart at most; ``local_attention`` counts both sides."""
    token = 29
    full = vectors(folder_of("modernbert-mean", tmp_path / "full", local_attention=1000))["last_hidden_state"]
    wide = vectors(folder_of("modernbert-mean", tmp_path / "wide", local_attention=58))["last_hidden_state"]
    narrow = vectors(folder_of("modernbert-mean", tmp_path / "narrow", local_attention=57))["last_hidden_state"]
    np.testing.assert_allclose(wide, full, atol=1e-6)
    assert np.abs(narrow[3, token] - full[3, token]).max() > 1e-5


def test_a_modernbert_of_before_means_what_layer_types_and_rope_parameters_say(tmp_path: Path) -> None:
    older = vectors(folder_of("modernbert-cls-before", tmp_path / "older"))
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    newer = vectors(
        folder_of(
            "modernbert-cls-before",
            tmp_path / "newer",
            global_attn_every_n_layers=...,
            global_rope_theta=...,
            local_rope_theta=...,
            layer_types=kinds,
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 900.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
            },
        )
    )
    np.testing.assert_array_equal(older["pooled"], newer["pooled"])


def test_local_turns_that_are_null_are_those_of_global_layers(tmp_path: Path) -> None:
    null = vectors(folder_of("modernbert-cls-before", tmp_path / "null", local_rope_theta=None))
    equal = vectors(folder_of("modernbert-cls-before", tmp_path / "equal", local_rope_theta=900.0))
    stated = vectors(folder_of("modernbert-cls-before", tmp_path / "stated"))
    np.testing.assert_array_equal(null["pooled"], equal["pooled"])
    assert np.abs(null["pooled"] - stated["pooled"]).max() > 1e-3


@pytest.mark.parametrize("size", [dict.fromkeys(("n_embd", "hidden_size"), 32), {"num_attention_heads": 4}])
def test_settings_under_both_names_may_agree(tmp_path: Path, size: dict[str, int]) -> None:
    assert refusal(read_config(folder_of("nomic-bert-before", tmp_path, **size))) is None


@pytest.mark.parametrize("changes", [{"rotary_emb_fraction": 0.5}, {"rotary_emb_interleaved": True}])
def test_turns_of_part_of_a_head_and_of_neighbours(tmp_path: Path, changes: dict[str, Any]) -> None:
    usual = vectors(folder_of("nomic-bert-before", tmp_path / "usual"))["pooled"]
    other = vectors(folder_of("nomic-bert-before", tmp_path / "other", **changes))["pooled"]
    np.testing.assert_allclose(usual[1], other[1], atol=1e-6)  # one token is turned by nothing
    assert np.abs(usual[3] - other[3]).max() > 1e-3


@pytest.mark.parametrize(
    ("row", "changes", "error", "told"),
    [
        ("nomic-bert-before", {"prenorm": True}, UnsupportedModelError, "prenorm is True"),
        ("nomic-bert-before", {"causal": True}, UnsupportedModelError, "causal is True"),
        ("nomic-bert-before", {"use_rms_norm": True}, UnsupportedModelError, "use_rms_norm is True"),
        ("nomic-bert-before", {"rotary_emb_scale_base": 512}, UnsupportedModelError, "rotary_emb_scale_base is 512"),
        ("nomic-bert-before", {"rotary_emb_fraction": 0.0}, UnsupportedModelError, "rotary_emb_fraction is 0"),
        ("nomic-bert-before", {"moe_every_n_layers": 2}, UnsupportedModelError, "moe_every_n_layers is 2"),
        ("nomic-bert-before", {"hidden_size": 64}, UnsupportedModelError, "hidden_size is 64 and n_embd is 32"),
        ("nomic-bert-before", {"activation_function": "mish"}, UnsupportedModelError, "activation_function is 'mish'"),
        ("nomic-bert-before", {"rope_parameters": {"rope_type": "default"}}, UnsupportedModelError, "rope_parameters"),
        ("nomic-bert-before", {"softcap": 3.0}, UnsupportedModelError, "the key 'softcap'"),
        ("nomic-bert-stretched", {"max_trained_positions": None}, ModelError, "rotary_scaling_factor"),
        ("gte-before", {"logn_attention_scale": True}, UnsupportedModelError, "logn_attention_scale is True"),
        ("gte-before", {"layer_norm_type": "rms_norm"}, UnsupportedModelError, "layer_norm_type is 'rms_norm'"),
        ("gte-before", {"position_embedding_type": "absolute"}, UnsupportedModelError, "known here: 'rope'"),
        ("gte-before", {"rope_scaling": {"type": "su", "factor": 2.0}}, UnsupportedModelError, "rope_type 'su'"),
        ("jina-bert-mean", {"feed_forward_type": "original"}, UnsupportedModelError, "feed_forward_type is 'original'"),
        ("jina-bert-mean", {"num_attention_heads": 5}, ModelError, "a multiple of num_attention_heads, 5"),
        ("jina-v3-task", {"use_reg_tokens": True}, UnsupportedModelError, "use_reg_tokens is True"),
        ("jina-v3-task", {"truncate_dim": 16}, UnsupportedModelError, "truncate_dim is 16"),
        ("modernbert-mean", {"layer_types": ["full_attention"] * 2}, ModelError, "expected 3 of 'full_attention'"),
        ("modernbert-mean", {"classifier_pooling": "max"}, UnsupportedModelError, "classifier_pooling is 'max'"),
        ("modernbert-mean", {"num_attention_heads": 32}, ModelError, "a multiple of twice num_attention_heads, 32"),
    ],
)
def test_what_is_refused(tmp_path: Path, row: str, changes: dict[str, Any], error: type[ModelError], told: str) -> None:
    given = refusal(read_config(folder_of(row, tmp_path, **changes)))
    assert isinstance(given, error)
    assert told in str(given)


def test_weights_that_do_not_fit_are_named_in_the_present_spelling(tmp_path: Path) -> None:
    folder = folder_of("gte-before", tmp_path, intermediate_size=64)
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.up_gate_proj\.weight \(96, 32\) instead of \(128, 32\)"):
        compile_model(folder, tmp_path / "graph.onnx")

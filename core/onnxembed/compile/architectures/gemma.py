"""Gemma, Gemma 2, and Gemma 3's text model, causal or looking both ways, as EmbeddingGemma does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.compile.architectures.decoder import (
    Decoder,
    LayerKind,
    decoder_body,
    decoder_family,
    read_attention,
    usual_classes,
)
from onnxembed.compile.architectures.llama import FULL, SLIDING, read_layer_types
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.rotary import Rotary, read_rotary, scaled_rotary
from onnxembed.errors import ModelError

if TYPE_CHECKING:
    from onnxembed.compile.body import Body
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.layers.grouped_attention import GroupedAttention
    from onnxembed.formats.facts import Facts

_THETA, _SLIDING_THETA = 1_000_000.0, 10_000.0
_ACTIVATION = "gelu_pytorch_tanh"
_HEAD_SIZE, _WINDOW = 256, 4096


def _gemma(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a first Gemma."""
    config = checkpoint.config
    # Both names of the activation mean the same, and so does "gelu", which older files say.
    for key in ("hidden_act", "hidden_activation"):
        config.expect(key, ("gelu", _ACTIVATION), _ACTIVATION)
    _require_causal(config)
    attention = read_attention(config, head_size=_HEAD_SIZE, causal=True)
    kind = LayerKind(read_rotary(config, attention.head_size, theta=_SLIDING_THETA))
    facts = _facts(config, attention, (kind,) * checkpoint.layers("num_hidden_layers"), _ACTIVATION)
    return _body(checkpoint, facts)


def _gemma2(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a Gemma 2: norms before and after, capped scores, a window in every other layer."""
    config = checkpoint.config
    _require_causal(config)
    cap, last_cap = _cap(config, "attn_logit_softcapping", 50), _cap(config, "final_logit_softcapping", 30)
    attention = replace(_scaled_attention(config, causal=True), score_cap=cap)
    rotary = read_rotary(config, attention.head_size, theta=_SLIDING_THETA)
    farthest = config.whole("sliding_window", _WINDOW) - 1
    kinds = _layer_types(config, checkpoint.layers("num_hidden_layers"), pattern=2)
    layers = tuple(LayerKind(rotary, farthest if kind == SLIDING else None) for kind in kinds)
    body = _body(checkpoint, replace(_facts(config, attention, layers, _activation(config)), norms_after=True))
    # Capped logits are no products of a matrix; none of a few tokens are made here.
    return body if last_cap is None else replace(body, vocabulary_head=None)


def _gemma3(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a Gemma 3 text model: norms of heads as well, and turns of its own for windows."""
    config = checkpoint.config
    config.expect("is_causal", (True,), True)  # `use_bidirectional_attention` is Gemma's own word for it
    config.expect("attn_logit_softcapping", (None,), None)
    config.expect("final_logit_softcapping", (None,), None)
    both_ways = config.flag("use_bidirectional_attention")
    attention = _scaled_attention(config, causal=not both_ways)
    window = config.whole("sliding_window", _WINDOW)
    # A window that looks both ways is split, half of it before the token and half after.
    farthest = window // 2 if both_ways else window - 1
    full, sliding = _rotaries(config, attention.head_size)
    config.value("_sliding_window_pattern")  # transformers writes it, and reads the key without the dash
    pattern = config.whole("sliding_window_pattern", 6)
    kinds = _layer_types(config, checkpoint.layers("num_hidden_layers"), pattern=pattern)
    layers = tuple(LayerKind(sliding, farthest) if kind == SLIDING else LayerKind(full) for kind in kinds)
    facts = _facts(config, attention, layers, _activation(config))
    return _body(checkpoint, replace(facts, head_norms=True, norms_after=True))


def _facts(config: Facts, attention: GroupedAttention, layers: tuple[LayerKind, ...], activation: str) -> Decoder:
    """What all have in common: norms around 1, and scaled word vectors."""
    hidden, biased = config.whole("hidden_size"), config.flag("attention_bias")
    return Decoder(
        hidden=hidden,
        intermediate=config.whole("intermediate_size"),
        vocabulary=config.whole("vocab_size"),
        epsilon=config.number("rms_norm_eps", 1e-6, above=0),
        activation=activation,
        attention=attention,
        layers=layers,
        projection_bias=biased,
        output_bias=biased,
        norm_offset=1.0,
        word_scale=math.sqrt(hidden),
    )


def _body(checkpoint: Checkpoint, facts: Decoder) -> Body:
    return decoder_body(checkpoint, facts, tied=True, padding_id=0)


def _require_causal(config: Facts) -> None:
    config.expect("is_causal", (True,), True)
    config.expect("use_bidirectional_attention", (False,), False)


def _activation(config: Facts) -> str:
    config.expect("hidden_activation", tuple(ACTIVATIONS), _ACTIVATION)
    return config.text("hidden_activation", _ACTIVATION)


def _scaled_attention(config: Facts, *, causal: bool) -> GroupedAttention:
    scale = config.number("query_pre_attn_scalar", _HEAD_SIZE, above=0) ** -0.5
    return read_attention(config, head_size=_HEAD_SIZE, scale=scale, causal=causal)


def _cap(config: Facts, key: str, default: float) -> float | None:
    """Read a cap; where the key is missing it is the default of the library's class, ``null`` is none."""
    stated = key in set(config.keys())
    return config.number(key, default, above=0) if config.has(key) or not stated else config.value(key)


def _layer_types(config: Facts, layers: int, *, pattern: int) -> tuple[str, ...]:
    """The kind of each layer: those that are listed, or a window for all but every so many."""
    usual = tuple(SLIDING if (layer + 1) % pattern else FULL for layer in range(layers))
    return read_layer_types(config, layers) or usual


def _rotaries(config: Facts, head_size: int) -> tuple[Rotary, Rotary]:
    """The turns of full and of sliding layers: one object each, or keys of their own (transformers 4)."""
    theta = config.number("rope_theta", _THETA, above=1)
    sliding_theta = config.number("rope_local_base_freq", _SLIDING_THETA, above=1)
    positions = config.whole("max_position_embeddings", 131_072)
    scaling, parameters = config.section("rope_scaling"), config.section("rope_parameters")
    sections = {FULL: parameters.section(FULL), SLIDING: parameters.section(SLIDING)}
    if scaling.keys() and parameters.keys():
        raise ModelError(f"{config.where}: rope_scaling and rope_parameters say the same thing twice; keep one of them")
    if scaling.keys():
        sections[FULL] = scaling
    turns = {
        part: scaled_rotary(
            section, head_size, theta=section.number("rope_theta", default, above=1), positions=positions
        )
        for (part, section), default in zip(sections.items(), (theta, sliding_theta), strict=True)
    }
    return turns[FULL], turns[SLIDING]


ARCHITECTURES = (
    decoder_family("gemma", usual_classes("Gemma"), _gemma),
    decoder_family("gemma2", usual_classes("Gemma2"), _gemma2),
    decoder_family(
        "gemma3_text", ("Gemma3TextModel", "Gemma3ForCausalLM", "Gemma3TextForSequenceClassification"), _gemma3
    ),
)
"""The first two Gemmas, and the third's text model; ``model_type`` "gemma3" is the one that reads pictures, too."""

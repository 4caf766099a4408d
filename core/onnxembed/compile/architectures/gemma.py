"""Gemma, and Gemma 3's text model, causal or looking both ways, as EmbeddingGemma does."""

from __future__ import annotations

import math
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
    from onnxembed.formats.facts import Facts

_THETA, _SLIDING_THETA = 1_000_000.0, 10_000.0
_ACTIVATION = "gelu_pytorch_tanh"


def _gemma3(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a Gemma 3 text model."""
    config = checkpoint.config
    config.expect("hidden_activation", tuple(ACTIVATIONS), _ACTIVATION)
    config.expect("is_causal", (True,), True)  # `use_bidirectional_attention` is Gemma's own word for it
    config.expect("attn_logit_softcapping", (None,), None)
    config.expect("final_logit_softcapping", (None,), None)
    both_ways = config.flag("use_bidirectional_attention")
    scale = config.number("query_pre_attn_scalar", 256, above=0) ** -0.5
    attention = read_attention(config, head_size=256, scale=scale, causal=not both_ways)
    hidden, biased = config.whole("hidden_size"), config.flag("attention_bias")
    facts = Decoder(
        hidden=hidden,
        intermediate=config.whole("intermediate_size"),
        vocabulary=config.whole("vocab_size"),
        epsilon=config.number("rms_norm_eps", 1e-6, above=0),
        activation=config.text("hidden_activation", _ACTIVATION),
        attention=attention,
        layers=_layers(config, checkpoint.layers("num_hidden_layers"), attention.head_size, both_ways),
        projection_bias=biased,
        output_bias=biased,
        head_norms=True,
        norm_offset=1.0,
        norms_after=True,
        word_scale=math.sqrt(hidden),
    )
    return decoder_body(checkpoint, facts, tied=True, padding_id=0)


def _gemma(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a first Gemma."""
    config = checkpoint.config
    # Both names of the activation mean the same, and so does "gelu", which older files say.
    for key in ("hidden_act", "hidden_activation"):
        config.expect(key, ("gelu", _ACTIVATION), _ACTIVATION)
    config.expect("is_causal", (True,), True)
    config.expect("use_bidirectional_attention", (False,), False)
    attention = read_attention(config, head_size=256, causal=True)
    hidden, biased = config.whole("hidden_size"), config.flag("attention_bias")
    rotary = read_rotary(config, attention.head_size, theta=_SLIDING_THETA)
    facts = Decoder(
        hidden=hidden,
        intermediate=config.whole("intermediate_size"),
        vocabulary=config.whole("vocab_size"),
        epsilon=config.number("rms_norm_eps", 1e-6, above=0),
        activation=_ACTIVATION,
        attention=attention,
        layers=(LayerKind(rotary),) * checkpoint.layers("num_hidden_layers"),
        projection_bias=biased,
        output_bias=biased,
        norm_offset=1.0,
        word_scale=math.sqrt(hidden),
    )
    return decoder_body(checkpoint, facts, tied=True, padding_id=0)


def _layers(config: Facts, layers: int, head_size: int, both_ways: bool) -> tuple[LayerKind, ...]:
    """The kind of each layer: all but every sixth see a window only, with turns of their own."""
    config.value("_sliding_window_pattern")  # transformers writes it, and reads the key below
    pattern = config.whole("sliding_window_pattern", 6)
    kinds = read_layer_types(config, layers) or tuple(
        SLIDING if (layer + 1) % pattern else FULL for layer in range(layers)
    )
    window = config.whole("sliding_window", 4096)
    # A window that looks both ways is split, half of it before the token and half after.
    farthest = window // 2 if both_ways else window - 1
    full, sliding = _rotaries(config, head_size)
    return tuple(LayerKind(sliding, farthest) if kind == SLIDING else LayerKind(full) for kind in kinds)


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
            section, head_size, theta=section.number("rope_theta", default, above=1), fraction=1, positions=positions
        )
        for (part, section), default in zip(sections.items(), (theta, sliding_theta), strict=True)
    }
    return turns[FULL], turns[SLIDING]


ARCHITECTURES = (
    decoder_family("gemma", usual_classes("Gemma"), _gemma),
    decoder_family(
        "gemma3_text", ("Gemma3TextModel", "Gemma3ForCausalLM", "Gemma3TextForSequenceClassification"), _gemma3
    ),
)
"""The first Gemma, and the third's text model; ``model_type`` "gemma3" is the one that reads pictures, too."""

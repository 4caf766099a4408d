"""GTE (mGTE, arXiv:2407.19669): BERT's layers with rotary positions and a gated feed-forward.

transformers 5 calls it ``gte``; files of Alibaba-NLP say ``new``, those of Snowflake ``gte`` in the older spelling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.encoder import Positions
from onnxembed.compile.architectures.rotary_bert import (
    NAMES,
    WORDS,
    RotaryBert,
    pooled_head,
    read_head_size,
    rotary_bert_body,
)
from onnxembed.compile.body import Activation, Body, Linear, Norm, VocabularyHead
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.rotary import read_rotary

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint

# How the model's own code computes, and keeps its weights; the names of the weights say the latter.
_WAYS = ("pack_qkv", "unpad_inputs", "use_memory_efficient_attention", "logn_attention_clip1", "matryoshka_dimensions")


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    config.expect("hidden_act", tuple(ACTIVATIONS), "gelu")
    config.expect("position_embedding_type", ("rope",), "rope")
    config.expect("layer_norm_type", ("layer_norm",), "layer_norm")
    config.expect("logn_attention_scale", (False,), False)
    for way in _WAYS:
        config.value(way)
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    head_size = read_head_size(config, hidden, heads)
    own_code = config.text("model_type", "") == "new"
    facts = RotaryBert(
        hidden=hidden,
        inner=config.whole("intermediate_size"),
        heads=heads,
        head_size=head_size,
        layers=checkpoint.layers("num_hidden_layers"),
        vocabulary=config.whole("vocab_size"),
        token_types=config.whole("type_vocab_size", 1, least=0),
        epsilon=config.number("layer_norm_eps", 1e-12, above=0),
        positions=Positions(read_rotary(config, head_size, theta=10_000 if own_code else 160_000)),
        activation=config.text("hidden_act", "gelu"),
        gated=True,
        attention_bias=True,
        up_bias=False,
        down_bias=True,
    )
    steps = (
        Linear("lm_head.dense", hidden, hidden),
        # That of the layers in the model's own code, always this one in transformers.
        Activation(facts.activation if own_code else "gelu"),
        Norm("lm_head.layer_norm", hidden, facts.epsilon),
    )
    words = VocabularyHead(steps, "lm_head.decoder.weight", hidden, WORDS, ("lm_head.decoder.bias",))
    return rotary_bert_body(
        checkpoint, facts, words, pooled_head(hidden, "pooler.dense", "classifier", label_count(config))
    )


ARCHITECTURES = (
    Architecture(
        ("gte", "new"),
        tuple(
            f"{name}{end}" for name in ("Gte", "New") for end in ("Model", "ForMaskedLM", "ForSequenceClassification")
        ),
        NAMES,
        _prepare,
    ),
)
"""GTE by itself."""

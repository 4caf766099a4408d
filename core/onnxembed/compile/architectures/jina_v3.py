"""Jina embeddings v3 (arXiv:2409.10173): XLM-RoBERTa with rotary positions, and adapters for tasks.

transformers 5 calls it ``jina_embeddings_v3`` and keeps the adapters in files of their own. The file on the Hub, which
the model's own code wrote, calls it XLM-RoBERTa and holds them all: there the graph has the input ``task_id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.bert_heads import classes
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
from onnxembed.compile.layers.adapters import Adapters
from onnxembed.compile.layers.rotary import plain_rotary, read_rotary

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_THETA = 20_000
# How its own code computes and trains, and what other readers take.
_ELSEWHERE = (
    "use_flash_attn", "load_trained_adapters", "lora_main_params_trainable", "lora_dropout_p", "emb_pooler",
    "matryoshka_dimensions", "task_instructions",
)  # fmt: skip


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    config.expect("hidden_act", tuple(ACTIVATIONS), "gelu")
    config.expect("use_reg_tokens", (False,), False)
    config.expect("truncate_dim", (None,), None)
    for key in _ELSEWHERE:
        config.value(key)
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    head_size = read_head_size(config, hidden, heads)
    facts = RotaryBert(
        hidden=hidden,
        inner=config.whole("intermediate_size"),
        heads=heads,
        head_size=head_size,
        layers=checkpoint.layers("num_hidden_layers"),
        vocabulary=config.whole("vocab_size"),
        token_types=config.whole("type_vocab_size", 1),
        epsilon=config.number("layer_norm_eps", 1e-5, above=0),
        positions=_positions(config, head_size),
        activation=config.text("hidden_act", "gelu"),
        gated=False,
        attention_bias=True,
        up_bias=True,
        down_bias=True,
        adapters=_adapters(config),
    )
    steps = (
        Linear("lm_head.dense", hidden, hidden),
        Activation("gelu"),
        Norm("lm_head.layer_norm", hidden, facts.epsilon),
    )
    biases = ("lm_head.bias", "lm_head.decoder.bias")
    words = VocabularyHead(steps, "lm_head.decoder.weight", hidden, WORDS, biases)
    classification = pooled_head(hidden, "classifier.dense", "classifier.out_proj", label_count(config))
    return rotary_bert_body(checkpoint, facts, words, classification)


def _positions(config: Facts, head_size: int) -> Positions:
    """Read the rotary positions, in either spelling."""
    if not config.has("rotary_emb_base"):
        return Positions(read_rotary(config, head_size, theta=_THETA))
    config.expect("rope_parameters", (None,), None)
    config.value("max_position_embeddings")  # the text's limit; there is no table
    return Positions(plain_rotary(config.number("rotary_emb_base", above=1), head_size))


def _adapters(config: Facts) -> Adapters | None:
    tasks = config.texts("lora_adaptations")
    rank, alpha = config.whole("lora_rank", 4), config.number("lora_alpha", 1)
    return Adapters(len(tasks), rank, alpha / rank) if tasks else None


ARCHITECTURES = (
    Architecture(("jina_embeddings_v3",), classes("JinaEmbeddingsV3"), NAMES, _prepare),
    Architecture(
        ("xlm-roberta",),
        (*classes("XLMRoberta"), "XLMRobertaLoRA"),
        NAMES,
        _prepare,
        setting=("position_embedding_type", "rotary"),
    ),
)
"""Jina embeddings v3, by both of its names."""

"""NomicBERT (arXiv:2402.01613): BERT's layers with rotary positions and a gated feed-forward, almost without biases.

transformers 5 spells its configuration like BERT's. The files on the Hub were written by the model's own code, which
spells it like GPT-2's and has many settings more.
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
from onnxembed.compile.layers.rotary import plain_rotary, read_rotary
from onnxembed.compile.layers.stretched_rotary import Stretch
from onnxembed.compile.spelling import spelled
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_GATED = {"swiglu": "silu", "geglu": "gelu", "glu": "sigmoid"}
"""Activations of the model's own code that stand for a gated feed-forward, and what opens the gate."""
_KERNELS = (
    "use_flash_attn", "fused_bias_fc", "fused_dropout_add_ln", "fused_mlp", "use_xentropy", "dense_seq_output",
    "reorder_and_upcast_attn", "rotary_emb_pos_idx_in_fp32", "mlp_checkpoint_lvl", "matryoshka_dimensions",
)  # fmt: skip
_REFUSED: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("prenorm", (False,)),
    ("causal", (False,)),
    ("parallel_block", (False,)),
    ("parallel_block_tied_norm", (False,)),
    ("use_rms_norm", (False,)),
    ("scale_attn_by_inverse_layer_idx", (False,)),
    ("scale_attn_weights", (True,)),
    ("rotary_emb_scale_base", (None,)),
    ("moe_every_n_layers", (0, -1)),
    ("num_experts", (0,)),
)
"""Settings of the model's own code, and the values for which the layers are those that are known here."""
_INNER_MULTIPLE = 256  # its code rounds a gated feed-forward's length up to a multiple of this


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    own_code = config.has("n_embd")
    for key in _KERNELS:
        config.value(key)
    for key, values in _REFUSED:
        config.expect(key, values, values[0])
    hidden = config.whole(spelled(config, "hidden_size", "n_embd"))
    heads = config.whole(spelled(config, "num_attention_heads", "n_head"))
    activation, gated = _activation(config, own_code=own_code)
    head_size = read_head_size(config, hidden, heads)
    epsilon = spelled(config, "layer_norm_eps", "layer_norm_epsilon")
    facts = RotaryBert(
        hidden=hidden,
        inner=_inner(config, hidden, gated),
        heads=heads,
        head_size=head_size,
        layers=checkpoint.layers(spelled(config, "num_hidden_layers", "n_layer")),
        vocabulary=_vocabulary(config),
        token_types=config.whole("type_vocab_size", 0 if own_code else 2, least=0),
        epsilon=config.number(epsilon, 1e-5 if own_code else 1e-12, above=0),
        positions=_positions(config, head_size, own_code=own_code),
        activation=activation,
        gated=gated,
        attention_bias=config.flag("qkv_proj_bias", own_code),
        up_bias=config.flag("mlp_fc1_bias", own_code),
        down_bias=config.flag("mlp_fc2_bias", own_code),
    )
    transform = "cls.predictions.transform"
    steps = (
        Linear(f"{transform}.dense", hidden, hidden),
        Activation(activation),
        Norm(f"{transform}.layer_norm", hidden, facts.epsilon),
    )
    biases = ("cls.predictions.bias", "cls.predictions.decoder.bias")
    words = VocabularyHead(steps, "cls.predictions.decoder.weight", hidden, WORDS, biases)
    return rotary_bert_body(
        checkpoint, facts, words, pooled_head(hidden, "pooler.dense", "classifier", label_count(config))
    )


def _activation(config: Facts, *, own_code: bool) -> tuple[str, bool]:
    """Read the activation, and whether the feed-forward is gated; in transformers it always is."""
    if not own_code:
        config.expect("hidden_act", tuple(ACTIVATIONS), "silu")
        return config.text("hidden_act", "silu"), True
    name = config.text("activation_function", "gelu_new")
    config.expect("activation_function", (*_GATED, "gelu"), "gelu_new")
    activation = _GATED.get(name, name)
    config.expect("hidden_act", (activation,), activation)
    return activation, name in _GATED


def _inner(config: Facts, hidden: int, gated: bool) -> int:
    """Read the length of the feed-forward's inner vectors; that of the model's own code is rounded up."""
    if config.has("intermediate_size"):
        return config.whole(spelled(config, "intermediate_size", "n_inner"))
    inner = config.whole("n_inner", 8 * hidden // 3 if gated else 4 * hidden)
    return -(-inner // _INNER_MULTIPLE) * _INNER_MULTIPLE if gated else inner


def _vocabulary(config: Facts) -> int:
    """Read the number of entries, which the model's own code rounds up."""
    multiple = config.whole("pad_vocab_size_multiple", 1)
    return -(-config.whole("vocab_size") // multiple) * multiple


def _positions(config: Facts, head_size: int, *, own_code: bool) -> Positions:
    """Read the rotary positions, in either spelling."""
    config.value("n_positions")  # the text's limit, not the layers'
    trained = config.optional_whole("max_trained_positions")
    if not own_code:
        return Positions(read_rotary(config, head_size, theta=1000))
    if config.has("rope_parameters"):
        raise UnsupportedModelError(
            f"{config.where}: both rope_parameters and the settings of the model's own code (n_embd ...) are there; "
            "remove those of one kind"
        )
    fraction = config.number("rotary_emb_fraction", 0)
    size = int(head_size * fraction)
    if not 2 <= size <= head_size or size % 2:
        raise UnsupportedModelError(
            f"{config.where}: rotary_emb_fraction is {fraction:g}; known here: a fraction above 0 and up to 1 that "
            f"makes pairs of the {head_size} numbers of a head"
        )
    turns = plain_rotary(
        config.number("rotary_emb_base", 10_000, above=1),
        head_size,
        size=size,
        interleaved=config.flag("rotary_emb_interleaved"),
    )
    factor = config.number("rotary_scaling_factor", 0)
    if not factor:
        return Positions(turns)
    if factor < 1 or trained is None or size < 4:
        raise config.wrong("rotary_scaling_factor", factor, "at least 1, with max_trained_positions beside it")
    return Positions(turns, stretch=Stretch(factor, trained))


ARCHITECTURES = (
    Architecture(
        ("nomic_bert",),
        tuple(f"NomicBert{end}" for end in ("Model", "ForPreTraining", "ForMaskedLM", "ForSequenceClassification")),
        NAMES,
        _prepare,
    ),
)
"""NomicBERT by itself."""

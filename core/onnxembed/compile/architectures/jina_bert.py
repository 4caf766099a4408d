"""JinaBERT, of Jina embeddings v2 (arXiv:2310.19923): BERT with distance-biased attention and gated feed-forwards.

It comes in two forms. That of the models for code normalizes queries and keys, normalizes after attention twice, each
time with the layer's input added, and names its feed-forward otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.bert_heads import HEADS, HeadSizes, bert_heads, classes
from onnxembed.compile.architectures.encoder import Encoder, EncoderLayers, Layer, Positions
from onnxembed.compile.body import Body
from onnxembed.compile.graph_builder import GraphBuilder
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.glu import FeedForward
from onnxembed.compile.layers.part import Part
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint

_GATES = {"geglu": "gelu", "reglu": "relu"}
# What sentence vectors are made by in the model's own code, which sentence-transformers does not use; the tokenizer's.
_ELSEWHERE = ("emb_pooler", "model_max_length")


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    config.expect("hidden_act", tuple(ACTIVATIONS), "gelu")
    config.expect("feed_forward_type", tuple(_GATES), "original")
    config.whole("max_position_embeddings", 512)  # the text's limit; there is no table
    for key in _ELSEWHERE:
        config.value(key)
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    if hidden % heads:
        raise config.wrong("hidden_size", hidden, f"a multiple of num_attention_heads, {heads}")
    inner, gate = config.whole("intermediate_size"), _GATES[config.text("feed_forward_type", "")]
    layers = checkpoint.layers("num_hidden_layers")
    facts = Encoder(
        hidden=hidden,
        heads=heads,
        vocabulary=config.whole("vocab_size"),
        token_types=config.whole("type_vocab_size", 2),
        epsilon=config.number("layer_norm_eps", 1e-12, above=0),
        layers=tuple(_layer(checkpoint, f"encoder.layer.{number}", hidden, inner, gate) for number in range(layers)),
    )
    into = WeightedGraph(GraphBuilder("jina_bert"), checkpoint)
    sizes = HeadSizes(hidden, hidden, label_count(config), config.text("hidden_act", "gelu"), facts.epsilon)
    words, classification = bert_heads(sizes)
    return Body(
        into=into,
        hidden=hidden,
        layers=layers,
        vocabulary=facts.vocabulary,
        weights=facts.weights,
        unused=HEADS,
        add_all=EncoderLayers(into, facts).add_all,
        vocabulary_head=words,
        classification_head=classification,
    )


def _layer(checkpoint: Checkpoint, name: str, hidden: int, inner: int, gate: str) -> Layer:
    query, key, value = (Part(f"{name}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value"))
    attended, attended_norm = (f"{name}.attention.output.{part}" for part in ("dense", "LayerNorm"))
    for_code = checkpoint.has_weight(f"{name}.mlp.up_gated_layer.weight")
    wide, narrow = ("up_gated_layer", "down_layer") if for_code else ("gated_layers", "wo")
    first, second = (Part(f"{name}.mlp.{wide}", hidden, inner, bias=False, place=n, of=2) for n in range(2))
    gated, up = (second, first) if for_code else (first, second)
    return Layer(
        query=query,
        key=key,
        value=value,
        attended=Part(attended, hidden, hidden),
        feed=FeedForward(up, Part(f"{name}.mlp.{narrow}", inner, hidden), gate, gated),
        positions=Positions(rotary=None),
        after_attention=(attended_norm, f"{name}.layer_norm_1") if for_code else (attended_norm,),
        after_feed=f"{name}.layer_norm_2" if for_code else f"{name}.mlp.layernorm",
        query_norm=f"{name}.attention.self.layer_norm_q" if for_code else "",
        key_norm=f"{name}.attention.self.layer_norm_k" if for_code else "",
    )


ARCHITECTURES = (
    Architecture(
        ("bert",),
        (*classes("JinaBert"), *classes("Bert")),
        WeightNames(prefixes=("bert.", "model.")),
        _prepare,
        setting=("position_embedding_type", "alibi"),
    ),
)
"""JinaBERT, whose files call it BERT."""

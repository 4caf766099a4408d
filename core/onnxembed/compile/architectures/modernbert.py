"""ModernBERT: norms before their layers, most layers see a window only, and each kind has its rotary positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.encoder import Encoder, EncoderLayers, Layer, Positions
from onnxembed.compile.body import Activation, Body, ClassificationHead, Linear, Norm, VocabularyHead
from onnxembed.compile.graph_builder import GraphBuilder
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.glu import FeedForward
from onnxembed.compile.layers.part import Part
from onnxembed.compile.layers.rotary import read_rotary
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_WORDS = "embeddings.tok_embeddings.weight"
_POOLINGS = {"cls": PoolingType.CLS, "mean": PoolingType.MEAN}


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    if hidden % (2 * heads):
        raise config.wrong("hidden_size", hidden, f"a multiple of twice num_attention_heads, {heads}")
    config.expect("hidden_activation", tuple(ACTIVATIONS), "gelu")
    config.expect("classifier_activation", tuple(ACTIVATIONS), "gelu")
    config.expect("classifier_pooling", tuple(_POOLINGS), "cls")
    config.expect("position_embedding_type", ("absolute",), "absolute")  # first files say so; no code has read it
    config.value("layer_norm_eps")  # the same: the norms' is norm_eps
    kinds = _kinds(config, checkpoint.layers("num_hidden_layers"))
    positions = _positions(config, hidden // heads)
    norm_bias, epsilon = config.flag("norm_bias"), config.number("norm_eps", 1e-5, above=0)
    facts = Encoder(
        hidden=hidden,
        heads=heads,
        vocabulary=config.whole("vocab_size"),
        token_types=0,
        epsilon=epsilon,
        layers=tuple(_layer(config, number, hidden, positions[kind]) for number, kind in enumerate(kinds)),
        words=_WORDS,
        first_norm="embeddings.norm",
        last_norm="final_norm",
        norm_bias=norm_bias,
    )
    steps = (
        Linear("head.dense", hidden, hidden, bias=config.flag("classifier_bias")),
        Activation(config.text("classifier_activation", "gelu")),
        Norm("head.norm", hidden, epsilon, bias=norm_bias),
    )
    biases = ("decoder.bias",) if config.flag("decoder_bias", True) else ()
    into = WeightedGraph(GraphBuilder("modernbert"), checkpoint)
    return Body(
        into=into,
        hidden=hidden,
        layers=len(kinds),
        vocabulary=facts.vocabulary,
        weights=facts.weights,
        unused=("head.", "decoder.", "classifier."),
        add_all=EncoderLayers(into, facts).add_all,
        vocabulary_head=VocabularyHead(steps, "decoder.weight", hidden, _WORDS, biases),
        classification_head=ClassificationHead(
            _POOLINGS[config.text("classifier_pooling", "cls")],
            (*steps, Linear("classifier", hidden, label_count(config))),
        ),
    )


def _kinds(config: Facts, layers: int) -> tuple[str, ...]:
    """Read the kind of each layer: stated one by one, or by how many layers lie from one global layer to the next."""
    every = config.whole("global_attn_every_n_layers", 3)
    stated = config.texts("layer_types")
    if not stated:
        return tuple(_LOCAL if layer % every else _GLOBAL for layer in range(layers))
    if len(stated) != layers or not {*stated} <= {_GLOBAL, _LOCAL}:
        raise config.wrong("layer_types", list(stated), f"{layers} of {_GLOBAL!r} and {_LOCAL!r}")
    return stated


def _positions(config: Facts, head_size: int) -> dict[str, Positions]:
    """Read window and rotary positions, as transformers 4 and 5 spell them."""
    window = config.whole("local_attention", 128)
    everywhere = config.number("global_rope_theta", 160_000, above=1)
    # Present and null, it is that of global layers.
    nearby = config.number("local_rope_theta", everywhere if "local_rope_theta" in config.keys() else 10_000, above=1)  # noqa: SIM118  # it is no mapping
    return {
        kind: Positions(read_rotary(config, head_size, theta=theta, part=kind), farthest)
        for kind, theta, farthest in ((_GLOBAL, everywhere, None), (_LOCAL, nearby, window // 2))
    }


def _layer(config: Facts, number: int, hidden: int, positions: Positions) -> Layer:
    name, inner = f"layers.{number}", config.whole("intermediate_size")
    attention_bias, inner_bias = config.flag("attention_bias"), config.flag("mlp_bias")
    query, key, value = (Part(f"{name}.attn.Wqkv", hidden, hidden, attention_bias, place=n, of=3) for n in range(3))
    gate, up = (Part(f"{name}.mlp.Wi", hidden, inner, inner_bias, place=n, of=2) for n in range(2))
    return Layer(
        query=query,
        key=key,
        value=value,
        attended=Part(f"{name}.attn.Wo", hidden, hidden, attention_bias),
        feed=FeedForward(
            up, Part(f"{name}.mlp.Wo", inner, hidden, inner_bias), config.text("hidden_activation", "gelu"), gate
        ),
        positions=positions,
        before_attention=f"{name}.attn_norm" if number else "",  # the embeddings are normalized already
        before_feed=f"{name}.mlp_norm",
    )


ARCHITECTURES = (
    Architecture(
        ("modernbert",),
        ("ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"),
        WeightNames(prefixes=("model.",)),
        _prepare,
    ),
)

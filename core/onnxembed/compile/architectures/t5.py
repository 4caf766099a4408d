"""The encoders of T5, mT5 and UMT5: distances between tokens alone say where a token stands.

Each layer is attention over all tokens, then a feed-forward part; each takes its input normalized by root mean square,
and what it makes is added to the input. The products of queries and keys are not scaled (Raffel et al., 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.body import ATTENTION_MASK, Body
from onnxembed.compile.graph_builder import INT32, INT64, GraphBuilder
from onnxembed.compile.layers.activation import ACTIVATIONS, activation
from onnxembed.compile.layers.grouped_attention import GroupedAttention, grouped_attention
from onnxembed.compile.layers.linear import linear, product
from onnxembed.compile.layers.normalization import rms_norm
from onnxembed.compile.layers.relative_bias import BUCKETS, LARGEST_DISTANCE, relative_bias
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_WORDS = "shared.weight"
_ENCODERS_WORDS = "encoder.embed_tokens.weight"
_GATE = "gated-"
_MOST_DISTANCE = 1_000_000
_MOST_BUCKETS = 10_000
_FEWEST_BUCKETS = 4  # a quarter of them holds one distance each


@dataclass(frozen=True, slots=True)
class _Settings:
    """The numbers that make a model of these families."""

    hidden: int
    layers: int
    heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    epsilon: float
    activation: str
    gated: bool
    buckets: int
    largest: int

    @classmethod
    def read(cls, checkpoint: Checkpoint, feed_forward: str) -> _Settings:
        """Read them; ``feed_forward`` is what a family has where the configuration names none."""
        config = checkpoint.config
        config.flag("is_encoder_decoder")  # the encoder is the same either way
        config.expect("is_decoder", (False,), False)
        for unused in ("num_decoder_layers", "n_positions", "scale_decoder_outputs", "scalable_attention"):
            config.value(unused)
        kind, gated = _feed_forward(config, feed_forward)
        buckets = config.whole("relative_attention_num_buckets", BUCKETS, least=_FEWEST_BUCKETS)
        if buckets > _MOST_BUCKETS:
            raise config.wrong("relative_attention_num_buckets", buckets, f"at most {_MOST_BUCKETS}")
        largest = config.whole("relative_attention_max_distance", LARGEST_DISTANCE, least=buckets // 4 + 1)
        if largest > _MOST_DISTANCE:
            raise config.wrong("relative_attention_max_distance", largest, f"at most {_MOST_DISTANCE}")
        return cls(
            hidden=config.whole("d_model"),
            layers=checkpoint.layers("num_layers"),
            heads=config.whole("num_heads"),
            head_size=config.whole("d_kv"),
            intermediate=config.whole("d_ff"),
            vocabulary=config.whole("vocab_size"),
            epsilon=config.number("layer_norm_epsilon", 1e-6, above=0),
            activation=kind,
            gated=gated,
            buckets=buckets,
            largest=largest,
        )


def _feed_forward(config: Facts, default: str) -> tuple[str, bool]:
    """Read the activation and whether it gates; two more keys repeat what the first says."""
    key = "feed_forward_proj"
    config.expect(key, tuple(ACTIVATIONS) + tuple(f"{_GATE}{kind}" for kind in ACTIVATIONS), default)
    said = config.text(key, default)
    gated, kind = said.startswith(_GATE), said.removeprefix(_GATE)
    if said == f"{_GATE}gelu":  # T5 1.1 was published before there was a name for the approximation that it uses
        kind = "gelu_new"
    config.expect("is_gated_act", (gated,), gated)
    config.expect("dense_act_fn", (kind,), kind)
    return kind, gated


def _body(feed_forward: str, bias_per_layer: bool, checkpoint: Checkpoint) -> Body:
    """Read the configuration of a model and describe its encoder."""
    settings = _Settings.read(checkpoint, feed_forward)
    words = _WORDS if checkpoint.has_weight(_WORDS) or not checkpoint.has_weight(_ENCODERS_WORDS) else _ENCODERS_WORDS
    encoder = _Encoder(WeightedGraph(GraphBuilder("t5"), checkpoint), settings, words, bias_per_layer)
    return Body(
        into=encoder.into,
        hidden=settings.hidden,
        layers=settings.layers,
        vocabulary=settings.vocabulary,
        weights=encoder.weights(),
        unused=("decoder.", "lm_head.", "classification_head.", "classifier.", _ENCODERS_WORDS),
        add_all=encoder.add_all,
    )


@dataclass(frozen=True, slots=True)
class _Encoder:
    """Adds an encoder to a graph."""

    into: WeightedGraph
    settings: _Settings
    words: str
    bias_per_layer: bool

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight."""
        settings = self.settings
        hidden, heads = settings.hidden, settings.heads * settings.head_size
        shapes: dict[str, tuple[int, ...]] = {
            self.words: (settings.vocabulary, hidden),
            "encoder.final_layer_norm.weight": (hidden,),
        }
        for layer in range(settings.layers):
            attention, feed_forward = _parts(layer)
            for part in (attention, feed_forward):
                shapes[f"{part}.layer_norm.weight"] = (hidden,)
            for name in ("q", "k", "v"):
                shapes[f"{attention}.SelfAttention.{name}.weight"] = (heads, hidden)
            shapes[f"{attention}.SelfAttention.o.weight"] = (hidden, heads)
            if self.bias_per_layer or layer == 0:
                shapes[self._table(layer)] = (settings.buckets, settings.heads)
            for name in ("wi_0", "wi_1") if settings.gated else ("wi",):
                shapes[f"{feed_forward}.DenseReluDense.{name}.weight"] = (settings.intermediate, hidden)
            shapes[f"{feed_forward}.DenseReluDense.wo.weight"] = (hidden, settings.intermediate)
        return shapes

    def add_all(self) -> str:
        graph, settings = self.into.graph, self.settings
        input_ids, attention_mask = (
            graph.input(name, INT64, ["batch", "sequence"]) for name in ("input_ids", ATTENTION_MASK)
        )
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        hidden = graph.node("Gather", [self.into.weight(self.words), input_ids], "word_vectors")
        bias = ""
        for layer in range(settings.layers):
            if self.bias_per_layer or layer == 0:
                bias = relative_bias(
                    self.into, self._table(layer), input_ids, count=settings.buckets, largest=settings.largest
                )
            attention, feed_forward = _parts(layer)
            hidden = graph.node("Add", [self._attended(attention, hidden, mask, bias), hidden], f"{attention}.sum")
            hidden = graph.node("Add", [self._transformed(feed_forward, hidden), hidden], f"{feed_forward}.sum")
        return rms_norm(self.into, "encoder.final_layer_norm", hidden, "last_hidden_state", settings.epsilon)

    def _attended(self, name: str, hidden: str, mask: str, bias: str) -> str:
        into, settings = self.into, self.settings
        attention = GroupedAttention(settings.heads, settings.heads, settings.head_size, scale=1.0, causal=False)
        value = rms_norm(into, f"{name}.layer_norm", hidden, f"{name}.normalized", settings.epsilon)
        query, key, values = (product(into, f"{name}.SelfAttention.{part}", value) for part in ("q", "k", "v"))
        context = grouped_attention(
            into.graph, attention, (query, key, values), f"{name}.context", mask=mask, bias=bias
        )
        return linear(into, f"{name}.SelfAttention.o", context, bias=False)

    def _transformed(self, name: str, hidden: str) -> str:
        into, settings, dense = self.into, self.settings, f"{name}.DenseReluDense"
        value = rms_norm(into, f"{name}.layer_norm", hidden, f"{name}.normalized", settings.epsilon)
        first = product(into, f"{dense}.wi_0" if settings.gated else f"{dense}.wi", value)
        inner = activation(into.graph, settings.activation, first, f"{dense}.activated")
        if settings.gated:
            inner = into.graph.node("Mul", [inner, product(into, f"{dense}.wi_1", value)], f"{dense}.gated")
        return linear(into, f"{dense}.wo", inner, bias=False)

    def _table(self, layer: int) -> str:
        return f"{_parts(layer)[0]}.SelfAttention.relative_attention_bias.weight"


def _parts(layer: int) -> tuple[str, str]:
    """Names of the two parts of a layer."""
    return f"encoder.block.{layer}.layer.0", f"encoder.block.{layer}.layer.1"


ARCHITECTURES = tuple(
    Architecture(
        (model_type,),
        tuple(f"{name}{end}" for end in ("EncoderModel", "Model", "ForConditionalGeneration")),
        WeightNames(("transformer.",)),
        partial(_body, feed_forward, bias_per_layer),
    )
    for model_type, name, feed_forward, bias_per_layer in (
        ("t5", "T5", "relu", False),
        ("mt5", "MT5", "gated-gelu", False),
        ("umt5", "UMT5", "gated-gelu", True),
    )
)

"""BERT and its kin: one body, and a table per family of how weights and settings are named.

Each layer is attention over all tokens, then two linear layers; what each makes is added to its input and normalized.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.bert_heads import (
    HEADS,
    HeadMaker,
    HeadSizes,
    albert_heads,
    bert_heads,
    classes,
    distilbert_heads,
    electra_heads,
    roberta_heads,
)
from onnxembed.compile.body import Body
from onnxembed.compile.graph_builder import INT32, INT64, GraphBuilder
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.attention import SelfAttention, fused_attention
from onnxembed.compile.layers.inputs import token_inputs
from onnxembed.compile.layers.linear import activated, linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.relative_bias import BUCKETS, relative_bias
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_RELATIVE_BIAS = "encoder.relative_attention_bias.weight"


@dataclass(frozen=True, slots=True)
class _Layer:
    """What a family calls the parts of a layer, after the layer's own name."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attended: str = "attention.output.dense"
    attended_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    down_norm: str = "output.LayerNorm"


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a family calls its settings; ``epsilon`` is ``None`` where it is fixed."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    intermediate: str = "intermediate_size"
    activation: str = "hidden_act"
    epsilon: str | None = "layer_norm_eps"


@dataclass(frozen=True, slots=True)
class _Family:
    """How a family differs from BERT.

    Attributes:
        layer: Names of the parts of a layer.
        keys: Names of the settings.
        layer_names: Gives the names of the layers, in the order that they are run; names may come twice.
        token_types: Whether there are vectors of token types.
        padding_id: Reads the token id that positions count from; ``None`` where they count from 0.
        activation: Where the configuration gives none.
        embedding_size: Reads the length of the word vectors; ``None`` where it is that of all vectors.
        projection: Name of the linear layer from word vectors to layers, where their lengths may differ.
        always_projects: Whether it is there even where the lengths are equal.
        relative: Whether attention has a bias by distance.
    """

    layer: _Layer = _Layer()
    keys: _Keys = _Keys()
    layer_names: Callable[[Facts, int], Sequence[str]] = lambda _, count: [f"encoder.layer.{at}" for at in range(count)]
    token_types: bool = True
    padding_id: Callable[[Facts], int] | None = None
    activation: str = "gelu"
    embedding_size: Callable[[Facts], int] | None = None
    projection: str = ""
    always_projects: bool = False
    relative: bool = False


@dataclass(frozen=True, slots=True)
class _Settings:
    """The numbers that make a model of these families."""

    hidden: int
    layer_names: Sequence[str]
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    padding_id: int | None
    embedding_size: int
    epsilon: float
    activation: str

    @classmethod
    def read(cls, checkpoint: Checkpoint, family: _Family) -> _Settings:
        config, keys = checkpoint.config, family.keys
        config.expect("position_embedding_type", ("absolute",), "absolute")
        config.expect(keys.activation, tuple(ACTIVATIONS), family.activation)
        layers = checkpoint.layers(keys.layers)
        hidden, heads = config.whole(keys.hidden), config.whole(keys.heads)
        if hidden % heads:
            raise ModelError(
                f"{config.where}: {keys.hidden} {hidden} is not a multiple of {keys.heads} {heads}; "
                "fetch the file again"
            )
        return cls(
            hidden=hidden,
            layer_names=family.layer_names(config, layers),
            heads=heads,
            intermediate=config.whole(keys.intermediate),
            vocabulary=config.whole("vocab_size"),
            positions=config.whole("max_position_embeddings"),
            token_types=config.whole("type_vocab_size", 2) if family.token_types else 0,
            padding_id=None if family.padding_id is None else family.padding_id(config),
            embedding_size=hidden if family.embedding_size is None else family.embedding_size(config),
            epsilon=1e-12 if keys.epsilon is None else config.number(keys.epsilon, 1e-12, above=0),
            activation=config.text(keys.activation, family.activation),
        )


def _weights(settings: _Settings, family: _Family) -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight."""
    hidden, size, names = settings.hidden, settings.embedding_size, family.layer
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (settings.vocabulary, size),
        "embeddings.position_embeddings.weight": (settings.positions, size),
        **_vectors("embeddings.LayerNorm", size),
    }
    if settings.token_types:
        shapes["embeddings.token_type_embeddings.weight"] = (settings.token_types, size)
    if size != hidden or family.always_projects:
        shapes |= {f"{family.projection}.weight": (hidden, size), f"{family.projection}.bias": (hidden,)}
    if family.relative:
        shapes[_RELATIVE_BIAS] = (BUCKETS, settings.heads)
    for layer in dict.fromkeys(settings.layer_names):
        for name, outputs, inputs in (
            (names.query, hidden, hidden),
            (names.key, hidden, hidden),
            (names.value, hidden, hidden),
            (names.attended, hidden, hidden),
            (names.up, settings.intermediate, hidden),
            (names.down, hidden, settings.intermediate),
        ):
            shapes[f"{layer}.{name}.weight"] = (outputs, inputs)
            shapes[f"{layer}.{name}.bias"] = (outputs,)
        for norm in (names.attended_norm, names.down_norm):
            shapes |= _vectors(f"{layer}.{norm}", hidden)
    return shapes


def _vectors(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _body(family: _Family, make_heads: HeadMaker, checkpoint: Checkpoint) -> Body:
    """Read the configuration of a model and describe its body."""
    settings = _Settings.read(checkpoint, family)
    into = WeightedGraph(GraphBuilder("bert"), checkpoint)
    layers = _Bert(into, settings, family)
    labels = label_count(checkpoint.config)
    heads = make_heads(
        HeadSizes(settings.hidden, settings.embedding_size, labels, settings.activation, settings.epsilon)
    )
    return Body(
        into=into,
        hidden=settings.hidden,
        layers=len(settings.layer_names),
        vocabulary=settings.vocabulary,
        weights=_weights(settings, family),
        unused=HEADS,
        add_all=layers.add_all,
        # Spelled out, the attention of the last layer has no bias by distance.
        add_all_but_last=None if family.relative else layers.add_all_but_last,
        vocabulary_head=heads[0],
        classification_head=heads[1],
    )


@dataclass(frozen=True, slots=True)
class _Bert:
    """Adds a model of these families to a graph."""

    into: WeightedGraph
    settings: _Settings
    family: _Family

    def add_all(self) -> str:
        hidden, mask, bias, last = self._add_first()
        return self._layer(last, hidden, mask, bias, "last_hidden_state")

    def add_all_but_last(self) -> tuple[str, SelfAttention]:
        hidden, _, _, last = self._add_first()
        return hidden, self._attention(last)

    def _add_first(self) -> tuple[str, str, str, str]:
        """All layers but the last: token vectors, the mask as int32, the bias by distance, the last layer's name."""
        graph = self.into.graph
        input_ids, attention_mask = token_inputs(graph)
        hidden = self._embeddings(input_ids)
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        bias = relative_bias(self.into, _RELATIVE_BIAS, input_ids) if self.family.relative else ""
        *first, last = self.settings.layer_names
        for name in first:
            hidden = self._layer(name, hidden, mask, bias)
        return hidden, mask, bias, last

    def _embeddings(self, input_ids: str) -> str:
        """Add the vectors of word, token type and position, normalize, and bring them to the length of the layers."""
        graph, settings = self.into.graph, self.settings
        vectors = graph.node(
            "Gather", [self.into.weight("embeddings.word_embeddings.weight"), input_ids], "word_vectors"
        )
        if settings.token_types > 1:
            types = graph.input("token_type_ids", INT64, ["batch", "sequence"])
            table = self.into.weight("embeddings.token_type_embeddings.weight")
            token_type = graph.node("Gather", [table, types], "token_type_vectors")
            vectors = graph.node("Add", [vectors, token_type], "typed_word_vectors")
        vectors = graph.node("Add", [vectors, self._position_vectors(input_ids)], "embeddings.sum")
        vectors = layer_norm(self.into, "embeddings.LayerNorm", vectors, "embeddings.output", settings.epsilon)
        if settings.embedding_size != settings.hidden or self.family.always_projects:
            vectors = linear(self.into, self.family.projection, vectors)
        return vectors

    def _position_vectors(self, input_ids: str) -> str:
        graph, settings, checkpoint = self.into.graph, self.settings, self.into.checkpoint
        table = "embeddings.position_embeddings.weight"
        if settings.token_types == 1:  # the one type's vector is part of every position's
            graph.later("typed_positions", (settings.positions, settings.embedding_size), partial(_typed, checkpoint))
            table = "typed_positions"
        else:
            self.into.weight(table)
        if settings.padding_id is None:
            zero = graph.integers("zero", [0])
            return graph.node("Slice", [table, zero, "sequence_length", zero], "position_vectors")
        # Padding has the padding id's position, other tokens count from the one after it.
        padding = graph.integers("padding_id", settings.padding_id)
        there = graph.node("Not", [graph.node("Equal", [input_ids, padding], "is_padding")], "is_no_padding")
        ones = graph.node("Cast", [there], "is_no_padding_int64", {"to": INT64})
        counted = graph.node("CumSum", [ones, graph.integers("position_axis", 1)], "counted_tokens")
        places = graph.node("Mul", [counted, ones], "places")
        positions = graph.node("Add", [places, padding], "positions")
        return graph.node("Gather", [table, positions], "position_vectors")

    def _layer(self, name: str, hidden: str, mask: str, bias: str, output: str | None = None) -> str:
        """Attention and feed-forward, each added to its input and normalized."""
        names = self.family.layer
        attention = self._attention(name)
        attended = fused_attention(
            self.into,
            attention,
            hidden,
            mask,
            bias=f"{name}.attention.biases",
            output=f"{name}.attention.context",
            attention_bias=bias,
        )
        hidden = self._add_and_norm(f"{name}.{names.attended}", f"{name}.{names.attended_norm}", attended, hidden)
        inner = activated(self.into, f"{name}.{names.up}", hidden, self.settings.activation)
        return self._add_and_norm(f"{name}.{names.down}", f"{name}.{names.down_norm}", inner, hidden, output)

    def _attention(self, layer: str) -> SelfAttention:
        names, heads = self.family.layer, self.settings.heads
        query, key, value = (f"{layer}.{name}" for name in (names.query, names.key, names.value))
        return SelfAttention(query, key, value, heads, self.settings.hidden // heads)

    def _add_and_norm(self, dense: str, norm: str, value: str, residual: str, output: str | None = None) -> str:
        """A linear layer, its input added, normalized."""
        total = self.into.graph.node("Add", [linear(self.into, dense, value), residual], f"{norm}.sum")
        return layer_norm(self.into, norm, total, output or f"{norm}.output", self.settings.epsilon)


def _typed(checkpoint: Checkpoint) -> NDArray[np.float32]:
    positions = checkpoint.weight("embeddings.position_embeddings.weight")
    typed: NDArray[np.float32] = positions + checkpoint.weight("embeddings.token_type_embeddings.weight")[0]
    return typed


def _padding_id(config: Facts) -> int:
    return config.whole("pad_token_id", 1, least=0)


def _albert_layers(config: Facts, layers: int) -> list[str]:
    """Layers of a group share their weights; a group may be several layers long."""
    groups, inner = config.whole("num_hidden_groups", 1), config.whole("inner_group_num", 1)
    if inner > layers:
        raise config.wrong("inner_group_num", inner, "no more than the layers")
    return [
        f"encoder.albert_layer_groups.{layer * groups // layers}.albert_layers.{part}"
        for layer in range(layers)
        for part in range(inner)
    ]


def _embedding_size(config: Facts) -> int:
    return config.whole("embedding_size", 128)


def _distilbert_layers(config: Facts, layers: int) -> list[str]:
    config.flag("sinusoidal_pos_embds")  # the table is among the weights either way
    return [f"transformer.layer.{layer}" for layer in range(layers)]


def _mpnet_padding_id(config: Facts) -> int:
    """MPNet counts positions from 1, whatever its padding id."""
    config.expect("relative_attention_num_buckets", (BUCKETS,), BUCKETS)
    return 1


_BERT = _Family()
_ELECTRA = _Family(embedding_size=_embedding_size, projection="embeddings_project")
_ROBERTA = _Family(padding_id=_padding_id)
_DISTILBERT = _Family(
    layer=_Layer(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attended="attention.out_lin",
        attended_norm="sa_layer_norm",
        up="ffn.lin1",
        down="ffn.lin2",
        down_norm="output_layer_norm",
    ),
    keys=_Keys(
        hidden="dim",
        layers="n_layers",
        heads="n_heads",
        intermediate="hidden_dim",
        activation="activation",
        epsilon=None,
    ),
    layer_names=_distilbert_layers,
    token_types=False,
)
_MPNET = _Family(
    layer=_Layer(
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attended="attention.attn.o",
        attended_norm="attention.LayerNorm",
    ),
    token_types=False,
    padding_id=_mpnet_padding_id,
    relative=True,
)
_ALBERT = _Family(
    layer=_Layer(
        query="attention.query",
        key="attention.key",
        value="attention.value",
        attended="attention.dense",
        attended_norm="attention.LayerNorm",
        up="ffn",
        down="ffn_output",
        down_norm="full_layer_layer_norm",
    ),
    layer_names=_albert_layers,
    activation="gelu_new",
    embedding_size=_embedding_size,
    projection="encoder.embedding_hidden_mapping_in",
    always_projects=True,
)

ARCHITECTURES = tuple(
    Architecture((model_type,), classes(name), WeightNames((f"{prefix}.", "model.")), partial(_body, family, heads))
    for model_type, name, prefix, family, heads in (
        ("bert", "Bert", "bert", _BERT, bert_heads),
        ("electra", "Electra", "electra", _ELECTRA, electra_heads),
        ("roberta", "Roberta", "roberta", _ROBERTA, roberta_heads),
        ("xlm-roberta", "XLMRoberta", "roberta", _ROBERTA, roberta_heads),
        ("camembert", "Camembert", "roberta", _ROBERTA, roberta_heads),
        ("distilbert", "DistilBert", "distilbert", _DISTILBERT, distilbert_heads),
        ("mpnet", "MPNet", "mpnet", _MPNET, roberta_heads),
        ("albert", "Albert", "albert", _ALBERT, albert_heads),
    )
)

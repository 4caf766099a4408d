"""The body of BERT and its kin; `bert_families` says where they differ.

Each layer is attention over all tokens, then two linear layers; what each makes is added to its input and normalized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.bert_families import (
    ALBERT,
    BERT,
    DISTILBERT,
    ELECTRA,
    ERNIE,
    MPNET,
    ROBERTA,
    Family,
)
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

_POSITIONS = "embeddings.position_embeddings.weight"
_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"  # noqa: S105  # a table, no password
_TASK_TYPES = "embeddings.task_type_embeddings.weight"
_RELATIVE_BIAS = "encoder.relative_attention_bias.weight"


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
    task_types: int
    padding_id: int | None
    embedding_size: int
    epsilon: float
    activation: str

    @classmethod
    def read(cls, checkpoint: Checkpoint, family: Family) -> _Settings:
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
            task_types=0 if family.task_types is None else family.task_types(config),
            padding_id=None if family.padding_id is None else family.padding_id(config),
            embedding_size=hidden if family.embedding_size is None else family.embedding_size(config),
            epsilon=1e-12 if keys.epsilon is None else config.number(keys.epsilon, 1e-12, above=0),
            activation=config.text(keys.activation, family.activation),
        )


def _weights(settings: _Settings, family: Family) -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight."""
    hidden, size, names = settings.hidden, settings.embedding_size, family.layer
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (settings.vocabulary, size),
        _POSITIONS: (settings.positions, size),
        **_vectors("embeddings.LayerNorm", size),
    }
    for name, count in ((_TOKEN_TYPES, settings.token_types), (_TASK_TYPES, settings.task_types)):
        shapes |= {name: (count, size)} if count else {}
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


def _body(family: Family, make_heads: HeadMaker, checkpoint: Checkpoint) -> Body:
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
    family: Family

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
            token_type = graph.node("Gather", [self.into.weight(_TOKEN_TYPES), types], "token_type_vectors")
            vectors = graph.node("Add", [vectors, token_type], "typed_word_vectors")
        vectors = graph.node("Add", [vectors, self._position_vectors(input_ids)], "embeddings.sum")
        vectors = layer_norm(self.into, "embeddings.LayerNorm", vectors, "embeddings.output", settings.epsilon)
        if settings.embedding_size != settings.hidden or self.family.always_projects:
            vectors = linear(self.into, self.family.projection, vectors)
        return vectors

    def _position_vectors(self, input_ids: str) -> str:
        graph, settings, checkpoint = self.into.graph, self.settings, self.into.checkpoint
        # Types that every token has are part of every position's vector.
        one_type, tasks = settings.token_types == 1, settings.task_types > 0
        added = [name for name, there in ((_TOKEN_TYPES, one_type), (_TASK_TYPES, tasks)) if there]
        if added:
            shape = (settings.positions, settings.embedding_size)
            table = graph.later("typed_positions", shape, partial(_typed, checkpoint, added))
        else:
            table = self.into.weight(_POSITIONS)
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


def _typed(checkpoint: Checkpoint, added: Sequence[str]) -> NDArray[np.float32]:
    vectors = checkpoint.weight(_POSITIONS)
    for name in added:
        vectors = vectors + checkpoint.weight(name)[0]
    return vectors


ARCHITECTURES = tuple(
    Architecture((model_type,), classes(name), WeightNames((f"{prefix}.", "model.")), partial(_body, family, heads))
    for model_type, name, prefix, family, heads in (
        ("bert", "Bert", "bert", BERT, bert_heads),
        ("ernie", "Ernie", "ernie", ERNIE, bert_heads),
        ("electra", "Electra", "electra", ELECTRA, electra_heads),
        ("roberta", "Roberta", "roberta", ROBERTA, roberta_heads),
        ("xlm-roberta", "XLMRoberta", "roberta", ROBERTA, roberta_heads),
        ("camembert", "Camembert", "roberta", ROBERTA, roberta_heads),
        ("data2vec-text", "Data2VecText", "data2vec_text", ROBERTA, roberta_heads),
        ("distilbert", "DistilBert", "distilbert", DISTILBERT, distilbert_heads),
        ("mpnet", "MPNet", "mpnet", MPNET, roberta_heads),
        ("albert", "Albert", "albert", ALBERT, albert_heads),
    )
)

"""Encoders with rotary or distance-biased attention and a gated feed-forward. What differs is data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.body import Shapes
from onnxembed.compile.graph_builder import INT32, INT64
from onnxembed.compile.layers.adapters import TASK_ID, Adapters, table_adaptation
from onnxembed.compile.layers.alibi import alibi_bias
from onnxembed.compile.layers.glu import FeedForward, feed_forward
from onnxembed.compile.layers.grouped_attention import GroupedAttention, grouped_attention
from onnxembed.compile.layers.inputs import token_inputs
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.part import Part, projected
from onnxembed.compile.layers.positions import token_positions, window_bias
from onnxembed.compile.layers.rotary import Angles, Rotary, add_angles, rotated
from onnxembed.compile.layers.stretched_rotary import Stretch, stretched_angles

if TYPE_CHECKING:
    from onnxembed.compile.layers.weighted_graph import WeightedGraph

_WEIGHT = ".weight"


@dataclass(frozen=True, slots=True)
class Positions:
    """How the layers of one kind see where tokens stand.

    Attributes:
        rotary: How positions turn queries and keys; ``None`` where scores fall with the distance (ALiBi).
        farthest: How far away the tokens are that a token sees; ``None`` for any distance.
        stretch: How the turns slow down in long texts; ``None`` where they do not.
    """

    rotary: Rotary | None
    farthest: int | None = None
    stretch: Stretch | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. Norms are known by their names; an empty one stands for none.

    Attributes:
        query: Makes the queries.
        key: Makes the keys.
        value: Makes the values.
        attended: What follows attention.
        feed: The feed-forward.
        positions: How it sees positions.
        before_attention: The norm of what attention takes.
        after_attention: Norms of what attention gives, each with the layer's input added before it. Without any the
            input is added all the same.
        before_feed: The norm of what the feed-forward takes.
        after_feed: The norm of what it gives, its input added.
        query_norm: The norm of the queries of all heads at once.
        key_norm: The same of the keys.
    """

    query: Part
    key: Part
    value: Part
    attended: Part
    feed: FeedForward
    positions: Positions
    before_attention: str = ""
    after_attention: tuple[str, ...] = ()
    before_feed: str = ""
    after_feed: str = ""
    query_norm: str = ""
    key_norm: str = ""

    @property
    def parts(self) -> Iterable[Part]:
        """All linear layers."""
        return (self.query, self.key, self.value, self.attended, *self.feed.parts)

    @property
    def norms(self) -> Iterable[str]:
        """The names of all norms."""
        norms = (self.before_attention, *self.after_attention, self.before_feed, self.after_feed)
        return filter(None, (*norms, self.query_norm, self.key_norm))


@dataclass(frozen=True, slots=True)
class Encoder:
    """The facts that make an encoder.

    Attributes:
        hidden: Length of a token's vector.
        heads: Number of attention heads.
        vocabulary: Entries of the vocabulary.
        token_types: Number of token types; with 0 there are no vectors of theirs, with 1 they are no input.
        epsilon: Of the norms.
        layers: The layers.
        words: Name of the word vectors.
        types: Name of the vectors of token types.
        first_norm: Name of the norm of the embeddings.
        last_norm: Name of the norm after the layers; empty for none.
        norm_bias: Whether the norms have a bias.
        adapters: What tasks add to the vectors of words and token types, if they do.
    """

    hidden: int
    heads: int
    vocabulary: int
    token_types: int
    epsilon: float
    layers: tuple[Layer, ...]
    words: str = "embeddings.word_embeddings.weight"
    types: str = "embeddings.token_type_embeddings.weight"
    first_norm: str = "embeddings.LayerNorm"
    last_norm: str = ""
    norm_bias: bool = True
    adapters: Adapters | None = None

    @property
    def weights(self) -> Shapes:
        """The name and shape of each weight."""
        shapes: dict[str, tuple[int, ...]] = {self.words: (self.vocabulary, self.hidden)}
        if self.token_types:
            shapes[self.types] = (self.token_types, self.hidden)
        if self.adapters is not None:
            for table, (rows, size) in tuple(shapes.items()):
                shapes |= self.adapters.of_table(table.removesuffix(_WEIGHT), rows, size)
        norms = [self.first_norm, *(norm for layer in self.layers for norm in layer.norms), self.last_norm]
        for norm in filter(None, norms):
            shapes[f"{norm}.weight"] = (self.hidden,)
            if self.norm_bias:
                shapes[f"{norm}.bias"] = (self.hidden,)
        for layer in self.layers:
            for part in layer.parts:
                shapes |= part.weights
        return shapes


@dataclass(frozen=True, slots=True)
class _Shared:
    """What layers of one kind share in a graph."""

    angles: Angles | None
    bias: str


@dataclass(frozen=True, slots=True)
class EncoderLayers:
    """Adds an encoder to a graph."""

    into: WeightedGraph
    facts: Encoder

    def add_all(self) -> str:
        """Add the inputs and all layers; return the name of the token vectors."""
        graph, facts = self.into.graph, self.facts
        ids, attention_mask = token_inputs(graph)
        hidden = self._embeddings(ids)
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        shared = self._shared(ids)
        for number, layer in enumerate(facts.layers):
            hidden = self._layer(f"layers.{number}", layer, hidden, mask, shared[layer.positions])
        if facts.last_norm:
            hidden = self._norm(facts.last_norm, hidden)
        return graph.node("Identity", [hidden], "last_hidden_state")

    def _embeddings(self, ids: str) -> str:
        """Add the vectors of word and token type, normalized."""
        graph, facts = self.into.graph, self.facts
        if facts.adapters is not None:
            graph.input(TASK_ID, INT64, [])
        hidden = self._vectors(facts.words, ids, "word_vectors")
        if facts.token_types == 1:
            types = graph.integers("only_type", 0)
        elif facts.token_types:
            types = graph.input("token_type_ids", INT64, ["batch", "sequence"])
        if facts.token_types:
            hidden = graph.node(
                "Add", [hidden, self._vectors(facts.types, types, "type_vectors")], "typed_word_vectors"
            )
        return self._norm(facts.first_norm, hidden)

    def _vectors(self, table: str, rows: str, output: str) -> str:
        """Look vectors up, with what the task adds to them."""
        graph, adapters = self.into.graph, self.facts.adapters
        vectors = graph.node("Gather", [self.into.weight(table), rows], output)
        if adapters is None:
            return vectors
        added = table_adaptation(self.into, adapters, table.removesuffix(_WEIGHT), rows)
        return graph.node("Add", [vectors, added], f"{output}.adapted")

    def _shared(self, ids: str) -> dict[Positions, _Shared]:
        graph, kinds = self.into.graph, tuple(dict.fromkeys(layer.positions for layer in self.facts.layers))
        positions = token_positions(graph, ids)
        turns = dict.fromkeys((kind.rotary, kind.stretch) for kind in kinds)
        angles = {turn: self._angles(*turn, positions, f"angles_{number}") for number, turn in enumerate(turns)}
        windows = dict.fromkeys(kind.farthest for kind in kinds if kind.farthest is not None)
        biases: dict[int | None, str] = {None: ""}
        biases |= {far: window_bias(graph, positions, f"window_{far}", farthest=far) for far in windows}
        falling = alibi_bias(graph, positions, self.facts.heads) if any(k.rotary is None for k in kinds) else ""
        return {
            kind: _Shared(angles[kind.rotary, kind.stretch], falling if kind.rotary is None else biases[kind.farthest])
            for kind in kinds
        }

    def _angles(self, rotary: Rotary | None, stretch: Stretch | None, positions: str, name: str) -> Angles | None:
        if rotary is None:
            return None
        if stretch is None:
            return add_angles(self.into.graph, rotary, positions, name)
        return stretched_angles(self.into.graph, rotary, stretch, positions, name)

    def _layer(self, name: str, layer: Layer, hidden: str, mask: str, shared: _Shared) -> str:
        graph = self.into.graph
        seen = self._norm(layer.before_attention, hidden) if layer.before_attention else hidden
        attended = self._attention(name, layer, seen, mask, shared)
        for norm in layer.after_attention:
            attended = self._norm(norm, graph.node("Add", [attended, hidden], f"{norm}.sum"))
        hidden = attended if layer.after_attention else graph.node("Add", [attended, hidden], f"{name}.attended")
        fed = feed_forward(
            self.into, layer.feed, self._norm(layer.before_feed, hidden) if layer.before_feed else hidden
        )
        total = graph.node("Add", [fed, hidden], f"{name}.sum")
        return self._norm(layer.after_feed, total) if layer.after_feed else total

    def _attention(self, name: str, layer: Layer, hidden: str, mask: str, shared: _Shared) -> str:
        graph, facts = self.into.graph, self.facts
        query, key, value = (projected(self.into, part, hidden) for part in (layer.query, layer.key, layer.value))
        query = self._norm(layer.query_norm, query) if layer.query_norm else query
        key = self._norm(layer.key_norm, key) if layer.key_norm else key
        if shared.angles is not None:
            query = rotated(graph, query, shared.angles, facts.heads, f"{name}.query")
            key = rotated(graph, key, shared.angles, facts.heads, f"{name}.key")
        size = layer.query.outputs // facts.heads
        attention = GroupedAttention(facts.heads, facts.heads, size, size**-0.5, causal=False)
        context = grouped_attention(
            graph, attention, (query, key, value), f"{name}.context", mask=mask, bias=shared.bias
        )
        return projected(self.into, layer.attended, context)

    def _norm(self, name: str, value: str) -> str:
        return layer_norm(self.into, name, value, f"{name}.output", self.facts.epsilon, bias=self.facts.norm_bias)

"""DeBERTa, DeBERTa v2 and v3: BERT's layers, whose attention also sees the distance between two tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.deberta_settings import Settings
from onnxembed.compile.body import ATTENTION_MASK, Activation, Body, ClassificationHead, Linear, Norm, VocabularyHead
from onnxembed.compile.graph_builder import FLOAT, INT32, INT64, GraphBuilder
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import activation
from onnxembed.compile.layers.disentangled_bias import Distances
from onnxembed.compile.layers.grouped_attention import GroupedAttention, grouped_attention
from onnxembed.compile.layers.linear import activated, linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.checkpoint import Checkpoint

_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_PROJECTION = "embeddings.embed_proj"
_DISTANCES = "encoder.rel_embeddings.weight"
_DISTANCE_NORM = "encoder.LayerNorm"
_CONVOLUTION = "encoder.conv"
_UNUSED = ("pooler.", "classifier.", "cls.", "lm_predictions.", "mask_predictions.", "qa_outputs.", _POSITIONS)


@dataclass(frozen=True, slots=True)
class _Projection:
    """A projection of the vectors of distances: names of its weights and, if it has one, its bias."""

    weight: str
    bias: str


@dataclass(frozen=True, slots=True)
class _Attention:
    """What the parts of a layer's attention are called, and which vectors of distances it has."""

    name: str
    first: bool
    shared: bool

    def weights(self, settings: Settings) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight."""
        hidden, heads, name = settings.hidden, settings.heads * settings.head_size, self.name
        if self.first:
            shapes = {f"{name}.in_proj.weight": (3 * heads, hidden), f"{name}.q_bias": (heads,)}
            shapes[f"{name}.v_bias"] = (heads,)
        else:
            shapes = {}
            for part in ("query_proj", "key_proj", "value_proj"):
                shapes |= {f"{name}.{part}.weight": (heads, hidden), f"{name}.{part}.bias": (heads,)}
        for projection in self.distances(settings).values():
            shapes[projection.weight] = (heads, hidden)
            shapes |= {projection.bias: (heads,)} if projection.bias else {}
        return shapes

    def distances(self, settings: Settings) -> dict[str, _Projection]:
        """The projections of the vectors of distances, by what `Settings.distances` calls the products."""
        names = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}
        if self.first:
            names = {"c2p": "pos_proj", "p2c": "pos_q_proj"}
        elif self.shared:
            names = {"c2p": "key_proj", "p2c": "query_proj"}
        without_bias = "c2p" if self.first else ""
        return {
            kind: _Projection(
                f"{self.name}.{names[kind]}.weight", "" if kind == without_bias else f"{self.name}.{names[kind]}.bias"
            )
            for kind in settings.distances
        }


@dataclass(frozen=True, slots=True)
class _Deberta:
    """Adds a model of these families to a graph."""

    into: WeightedGraph
    settings: Settings

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight."""
        settings, hidden = self.settings, self.settings.hidden
        shapes: dict[str, tuple[int, ...]] = {
            _WORDS: (settings.vocabulary, settings.embedding_size),
            **_vectors("embeddings.LayerNorm", hidden),
        }
        if settings.positions:
            shapes[_POSITIONS] = (settings.positions, settings.embedding_size)
        if settings.token_types:
            shapes[_TYPES] = (settings.token_types, settings.embedding_size)
        if settings.embedding_size != hidden:
            shapes[f"{_PROJECTION}.weight"] = (hidden, settings.embedding_size)
        if settings.relative:
            shapes[_DISTANCES] = (2 * settings.span, hidden)
        if settings.normalizes_distances:
            shapes |= _vectors(_DISTANCE_NORM, hidden)
        if settings.kernel:
            shapes[f"{_CONVOLUTION}.conv.weight"] = (hidden, hidden // settings.groups, settings.kernel)
            shapes[f"{_CONVOLUTION}.conv.bias"] = (hidden,)
            shapes |= _vectors(f"{_CONVOLUTION}.LayerNorm", hidden)
        for layer in range(settings.layers):
            name = f"encoder.layer.{layer}"
            shapes |= self._attention(name).weights(settings)
            for part, outputs, inputs in (
                ("attention.output.dense", hidden, settings.heads * settings.head_size),
                ("intermediate.dense", settings.intermediate, hidden),
                ("output.dense", hidden, settings.intermediate),
            ):
                shapes |= {f"{name}.{part}.weight": (outputs, inputs), f"{name}.{part}.bias": (outputs,)}
            for part in ("attention.output.LayerNorm", "output.LayerNorm"):
                shapes |= _vectors(f"{name}.{part}", hidden)
        return shapes

    def add_all(self) -> str:
        graph, settings = self.into.graph, self.settings
        input_ids, attention_mask = (
            graph.input(name, INT64, ["batch", "sequence"]) for name in ("input_ids", ATTENTION_MASK)
        )
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        embedded = hidden = self._embeddings(input_ids)
        distances = None
        if settings.distances:
            distances = Distances.add(graph, input_ids, settings.span, settings.largest, settings.buckets)
        for layer in range(settings.layers):
            last = layer == settings.layers - 1 and not (settings.kernel and layer == 0)
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask, distances, "last_hidden_state" if last else "")
            if layer == 0 and settings.kernel:
                hidden = self._convolved(embedded, hidden, "last_hidden_state" if settings.layers == 1 else "")
        return hidden

    def _embeddings(self, input_ids: str) -> str:
        graph, settings = self.into.graph, self.settings
        vectors = graph.node("Gather", [self.into.weight(_WORDS), input_ids], "word_vectors")
        if settings.positions:
            length = graph.node("Shape", [input_ids], "sequence_length", {"start": 1, "end": 2})
            zero = graph.integers("zero", [0])
            positions = graph.node("Slice", [self.into.weight(_POSITIONS), zero, length, zero], "position_vectors")
            vectors = graph.node("Add", [vectors, positions], "placed_word_vectors")
        if settings.token_types:
            table = self.into.weight(_TYPES)
            if settings.token_types > 1:
                types = graph.input("token_type_ids", INT64, ["batch", "sequence"])
                table = graph.node("Gather", [table, types], "token_type_vectors")
            vectors = graph.node("Add", [vectors, table], "typed_word_vectors")
        if settings.embedding_size != settings.hidden:
            vectors = linear(self.into, _PROJECTION, vectors, bias=False)
        return layer_norm(self.into, "embeddings.LayerNorm", vectors, "embeddings.output", settings.epsilon)

    def _layer(self, name: str, hidden: str, mask: str, distances: Distances | None, output: str) -> str:
        """Attention and feed-forward, each added to its input and normalized."""
        attended = self._attended(self._attention(f"{name}"), hidden, mask, distances)
        part = f"{name}.attention.output"
        hidden = self._add_and_norm(f"{part}.dense", f"{part}.LayerNorm", attended, hidden, "")
        inner = activated(self.into, f"{name}.intermediate.dense", hidden, self.settings.activation)
        return self._add_and_norm(f"{name}.output.dense", f"{name}.output.LayerNorm", inner, hidden, output)

    def _attention(self, layer: str) -> _Attention:
        return _Attention(f"{layer}.attention.self", self.settings.first, self.settings.shares_projections)

    def _attended(self, attention: _Attention, hidden: str, mask: str, distances: Distances | None) -> str:
        graph, settings, name = self.into.graph, self.settings, attention.name
        # One part for the products of contents, one for each kind with distances; their sum keeps its variance.
        scale = 1 / math.sqrt(settings.head_size * settings.parts)
        query, key, value = (self._projected(attention, part, hidden) for part in range(3))
        bias = ""
        if distances is not None:
            shape = "heads_shape"
            if not graph.has_tensor(shape):
                graph.integers(shape, [0, 0, settings.heads, settings.head_size])
            biases = []
            for kind, projection in attention.distances(settings).items():
                side, rows = (query, distances.falling) if kind == "c2p" else (key, distances.rising)
                split = graph.node("Reshape", [side, shape], f"{name}.{kind}.split")
                heads = graph.node("Transpose", [split], f"{name}.{kind}.heads", {"perm": [0, 2, 1, 3]})
                products = distances.products(heads, self._table(projection, name, kind, scale), rows, f"{name}.{kind}")
                if kind == "p2c":
                    products = graph.node("Transpose", [products], f"{name}.{kind}.by_query", {"perm": [0, 1, 3, 2]})
                biases.append(products)
            bias = graph.node("Add", biases, f"{name}.bias") if len(biases) > 1 else biases[0]
        kind_of = GroupedAttention(settings.heads, settings.heads, settings.head_size, scale=scale, causal=False)
        return grouped_attention(graph, kind_of, (query, key, value), f"{name}.context", mask=mask, bias=bias)

    def _projected(self, attention: _Attention, part: int, hidden: str) -> str:
        """Queries, keys or values, of which the first DeBERTa has one matrix, head by head, and no bias of keys."""
        graph, name = self.into.graph, attention.name
        if not attention.first:
            return linear(self.into, f"{name}.{('query_proj', 'key_proj', 'value_proj')[part]}", hidden)
        settings, checkpoint = self.settings, self.into.checkpoint
        heads = settings.heads * settings.head_size

        def make() -> NDArray[np.float32]:
            whole = checkpoint.weight(f"{name}.in_proj.weight")
            by_head = whole.reshape(settings.heads, 3, settings.head_size, settings.hidden)
            return by_head[:, part].reshape(heads, settings.hidden).T

        matrix = graph.later(f"{name}.in_proj.{part}", (settings.hidden, heads), make)
        made = graph.node("MatMul", [hidden, matrix], f"{name}.product.{part}")
        bias = ("q_bias", "", "v_bias")[part]
        return graph.node("Add", [made, self.into.weight(f"{name}.{bias}")], f"{name}.{bias}.sum") if bias else made

    def _table(self, projection: _Projection, name: str, kind: str, scale: float) -> str:
        """Add the vectors of distances as a layer projects them (2 span, heads, size), times the scale."""
        settings, checkpoint = self.settings, self.into.checkpoint

        def make() -> NDArray[np.float32]:
            import numpy as np

            table = _distance_vectors(checkpoint, settings) @ checkpoint.weight(projection.weight).T
            if projection.bias:
                table = table + checkpoint.weight(projection.bias)
            return np.asarray(table * np.float32(scale), np.float32).reshape(-1, settings.heads, settings.head_size)

        shape = (2 * settings.span, settings.heads, settings.head_size)
        return self.into.graph.later(f"{name}.{kind}.table", shape, make)

    def _convolved(self, embedded: str, hidden: str, output: str) -> str:
        """Neighbouring embeddings, mixed and activated, join what the first layer made."""
        graph, settings, name = self.into.graph, self.settings, _CONVOLUTION
        axis = graph.integers(f"{name}.vector_axis", [2])
        kept = graph.node("Cast", [ATTENTION_MASK], f"{name}.kept", {"to": FLOAT})
        column = graph.node("Unsqueeze", [kept, axis], f"{name}.kept_column")
        tokens = graph.node("Mul", [embedded, column], f"{name}.tokens")  # padding counts as what lies beyond the text
        turned = graph.node("Transpose", [tokens], f"{name}.channels", {"perm": [0, 2, 1]})
        beside = (settings.kernel - 1) // 2
        weights = [self.into.weight(f"{name}.conv.{part}") for part in ("weight", "bias")]
        mixed = graph.node(
            "Conv",
            [turned, *weights],
            f"{name}.mixed",
            {"kernel_shape": [settings.kernel], "pads": [beside, beside], "group": settings.groups},
        )
        back = graph.node("Transpose", [mixed], f"{name}.tokens_again", {"perm": [0, 2, 1]})
        activated_ = activation(graph, settings.convolution_activation, back, f"{name}.activated")
        total = graph.node("Add", [hidden, activated_], f"{name}.sum")
        return layer_norm(self.into, f"{name}.LayerNorm", total, output or f"{name}.output", settings.epsilon)

    def _add_and_norm(self, dense: str, norm: str, value: str, residual: str, output: str) -> str:
        total = self.into.graph.node("Add", [linear(self.into, dense, value), residual], f"{norm}.sum")
        return layer_norm(self.into, norm, total, output or f"{norm}.output", self.settings.epsilon)


def _vectors(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _distance_vectors(checkpoint: Checkpoint, settings: Settings) -> NDArray[np.float32]:
    import numpy as np

    table = checkpoint.weight(_DISTANCES)
    if not settings.normalizes_distances:
        return table
    centred = table - table.mean(1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(1, keepdims=True) + np.float32(settings.epsilon))
    scaled: NDArray[np.float32] = normal * checkpoint.weight(f"{_DISTANCE_NORM}.weight")
    return scaled + checkpoint.weight(f"{_DISTANCE_NORM}.bias")


def _body(first: bool, checkpoint: Checkpoint) -> Body:
    """Read the configuration of a model and describe its body."""
    settings = Settings.read(checkpoint, first=first)
    model = _Deberta(WeightedGraph(GraphBuilder("deberta"), checkpoint), settings)
    labels = label_count(checkpoint.config)
    return Body(
        into=model.into,
        hidden=settings.hidden,
        layers=settings.layers,
        vocabulary=settings.vocabulary,
        weights=model.weights(),
        unused=_UNUSED,
        add_all=model.add_all,
        vocabulary_head=_vocabulary_head(settings),
        classification_head=_classification_head(settings, labels),
    )


def _vocabulary_head(settings: Settings) -> VocabularyHead:
    """Legacy: the head that transformers made; else DeBERTa's own, which always multiplies by the word vectors."""
    dense = "cls.predictions.transform" if settings.legacy else "lm_predictions.lm_head"
    size = settings.embedding_size if settings.legacy else settings.hidden
    steps = (
        Linear(f"{dense}.dense", settings.hidden, size),
        Activation(settings.activation),
        Norm(f"{dense}.LayerNorm", size, settings.epsilon),
    )
    if settings.legacy:
        biases = ("cls.predictions.decoder.bias", "cls.predictions.bias")
        return VocabularyHead(steps, "cls.predictions.decoder.weight", size, _WORDS, biases)
    return VocabularyHead(steps, _WORDS, size, None, ("lm_predictions.lm_head.bias",))


def _classification_head(settings: Settings, labels: int) -> ClassificationHead:
    steps = (
        Linear("pooler.dense", settings.hidden, settings.hidden),
        Activation(settings.pooler_activation),
        Linear("classifier", settings.hidden, labels),
    )
    return ClassificationHead(PoolingType.CLS, steps)


ARCHITECTURES = tuple(
    Architecture(
        (model_type,),
        tuple(f"{name}{end}" for end in ("Model", "ForMaskedLM", "ForSequenceClassification")),
        WeightNames(("deberta.",)),
        partial(_body, first),
    )
    for model_type, name, first in (("deberta", "Deberta", True), ("deberta-v2", "DebertaV2", False))
)

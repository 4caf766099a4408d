"""BERT: `BertModel`, alone or saved as a part of a larger model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.body import ATTENTION_MASK, Body
from onnxembed.compile.graph_builder import INT32, INT64, GraphBuilder
from onnxembed.compile.layers.attention import SelfAttention, fused_attention
from onnxembed.compile.layers.linear import ACTIVATIONS, activated, linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.errors import ModelError, UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint

_ARCHITECTURES = ("", "BertModel", "BertForMaskedLM", "BertForPreTraining")
# Heads that a sentence vector does not pass through, and tables that merely count.
_UNUSED_WEIGHTS = ("pooler.", "cls.", "embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True, slots=True)
class _Settings:
    """The numbers that make a BERT."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    activation: str

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> _Settings:
        if checkpoint.architecture not in _ARCHITECTURES:
            raise UnsupportedModelError(
                f"{checkpoint.config_path}: the architecture {checkpoint.architecture!r} cannot be compiled; "
                f"known here: {', '.join(filter(None, _ARCHITECTURES))}. Use a model that comes with an ONNX file"
            )
        checkpoint.require("position_embedding_type", ("absolute", None), "absolute")
        checkpoint.require("is_decoder", (False,), False)
        checkpoint.require("add_cross_attention", (False,), False)
        checkpoint.require("hidden_act", tuple(ACTIVATIONS), "gelu")
        settings = cls(
            hidden=checkpoint.positive_integer("hidden_size"),
            layers=checkpoint.positive_integer("num_hidden_layers"),
            heads=checkpoint.positive_integer("num_attention_heads"),
            intermediate=checkpoint.positive_integer("intermediate_size"),
            vocabulary=checkpoint.positive_integer("vocab_size"),
            positions=checkpoint.positive_integer("max_position_embeddings"),
            token_types=checkpoint.positive_integer("type_vocab_size", 2),
            epsilon=checkpoint.positive_float("layer_norm_eps", 1e-12),
            activation=checkpoint.text("hidden_act", "gelu"),
        )
        if settings.hidden % settings.heads:
            raise ModelError(
                f"{checkpoint.config_path}: hidden_size {settings.hidden} is not a multiple of num_attention_heads "
                f"{settings.heads}; fetch the file again"
            )
        if settings.layers > checkpoint.weight_count:
            raise ModelError(
                f"{checkpoint.config_path}: num_hidden_layers is {settings.layers}, but there are "
                f"{checkpoint.weight_count} weights in all; fetch both files again, from the same model"
            )
        return settings

    def weights(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each weight."""
        hidden = self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocabulary, hidden),
            "embeddings.position_embeddings.weight": (self.positions, hidden),
            "embeddings.token_type_embeddings.weight": (self.token_types, hidden),
            **_vectors("embeddings.LayerNorm", hidden),
        }
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            for name, outputs, inputs in (
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", self.intermediate, hidden),
                ("output.dense", hidden, self.intermediate),
            ):
                shapes[f"{prefix}.{name}.weight"] = (outputs, inputs)
                shapes[f"{prefix}.{name}.bias"] = (outputs,)
            shapes |= _vectors(f"{prefix}.attention.output.LayerNorm", hidden)
            shapes |= _vectors(f"{prefix}.output.LayerNorm", hidden)
        return shapes


def _vectors(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def bert(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a BERT and prepare its body."""
    settings = _Settings.read(checkpoint)
    into = WeightedGraph(GraphBuilder("bert"), checkpoint)
    layers = _Bert(into, settings)
    return Body(
        into=into,
        hidden=settings.hidden,
        layers=settings.layers,
        vocabulary=settings.vocabulary,
        epsilon=settings.epsilon,
        activation=settings.activation,
        weights=settings.weights(),
        unused=_UNUSED_WEIGHTS,
        add_all=layers.add_all,
        add_all_but_last=layers.add_all_but_last,
    )


@dataclass(frozen=True, slots=True)
class _Bert:
    """Adds a BERT to a graph."""

    into: WeightedGraph
    settings: _Settings

    def add_all(self) -> str:
        hidden, mask, last = self._add_first()
        return self._layer(last, hidden, mask, "last_hidden_state")

    def add_all_but_last(self) -> tuple[str, SelfAttention]:
        hidden, _, last = self._add_first()
        return hidden, self._attention(last)

    def _add_first(self) -> tuple[str, str, str]:
        """All layers but the last: token vectors, the mask as int32, and the last layer's name."""
        graph = self.into.graph
        input_ids, attention_mask, token_type_ids = (
            graph.input(name, INT64, ["batch", "sequence"]) for name in ("input_ids", ATTENTION_MASK, "token_type_ids")
        )
        hidden = self._embeddings(input_ids, token_type_ids)
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        *first, last = (f"encoder.layer.{layer}" for layer in range(self.settings.layers))
        for name in first:
            hidden = self._layer(name, hidden, mask)
        return hidden, mask, last

    def _embeddings(self, input_ids: str, token_type_ids: str) -> str:
        """Add the vectors of word, token type and position, and normalize."""
        graph = self.into.graph
        words, positions, token_types = (
            self.into.weight(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position", "token_type")
        )
        length = graph.node("Shape", [input_ids], "sequence_length", {"start": 1, "end": 2})
        zero = graph.integers("zero", [0])
        position = graph.node("Slice", [positions, zero, length, zero], "position_vectors")
        word = graph.node("Gather", [words, input_ids], "word_vectors")
        token_type = graph.node("Gather", [token_types, token_type_ids], "token_type_vectors")
        typed = graph.node("Add", [word, token_type], "typed_word_vectors")
        total = graph.node("Add", [typed, position], "embeddings.sum")
        return layer_norm(self.into, "embeddings.LayerNorm", total, "embeddings.output", self.settings.epsilon)

    def _layer(self, name: str, hidden: str, mask: str, output: str | None = None) -> str:
        """Attention and feed-forward, each added to its input and normalized."""
        prefix = f"{name}.attention"
        attended = fused_attention(
            self.into, self._attention(name), hidden, mask, bias=f"{prefix}.self.bias", output=f"{prefix}.context"
        )
        hidden = self._add_and_norm(f"{prefix}.output", attended, hidden)
        inner = activated(self.into, f"{name}.intermediate.dense", hidden, self.settings.activation)
        return self._add_and_norm(f"{name}.output", inner, hidden, output)

    def _attention(self, layer: str) -> SelfAttention:
        query, key, value = (f"{layer}.attention.self.{role}" for role in ("query", "key", "value"))
        heads = self.settings.heads
        return SelfAttention(query, key, value, heads, self.settings.hidden // heads)

    def _add_and_norm(self, prefix: str, value: str, residual: str, output: str | None = None) -> str:
        """A linear layer, its input added, normalized."""
        dense = linear(self.into, f"{prefix}.dense", value)
        total = self.into.graph.node("Add", [dense, residual], f"{prefix}.sum")
        name = output or f"{prefix}.normalized"
        return layer_norm(self.into, f"{prefix}.LayerNorm", total, name, self.settings.epsilon)

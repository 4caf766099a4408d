"""BERT: the graph of ``BertModel``, and of the same encoder saved as a part of a larger model.

The graph is written the way ONNX Runtime's processor kernels are fastest, which was measured: attention as one fused
operator (a quarter less time at 512 tokens than spelled out), weights transposed beforehand, bias and activation fused,
but addition and layer normalisation apart, since the fused kernel for these two is the slower one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.models.compile.graph_builder import FLOAT, INT32, INT64, MICROSOFT, GraphBuilder
from onnxembed.models.compile.pooling import add_pooled_outputs

if TYPE_CHECKING:
    from onnxembed.models.compile.checkpoint import Checkpoint
    from onnxembed.models.spec import PoolingType

_ARCHITECTURES = ("", "BertModel", "BertForMaskedLM", "BertForPreTraining")
_ACTIVATIONS = {"gelu": "BiasGelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu", "relu": "Relu"}
"""Operators that add the bias and activate, by the names that configurations use; ``Relu`` has no fused form."""
_UNUSED_WEIGHTS = ("pooler.", "cls.", "embeddings.position_ids", "embeddings.token_type_ids")
"""Heads that a sentence vector does not pass through, and tables that merely count."""
_MASKED_SCORE = -1e30
"""Added to the scores of padding: it swallows any score, so padding weighs exactly 0; finite for lone padding."""


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
        checkpoint.require("hidden_act", tuple(_ACTIVATIONS), "gelu")
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


def build_bert(checkpoint: Checkpoint, pooling: PoolingType) -> GraphBuilder:
    """Build the graph of a BERT.

    Args:
        checkpoint: Its configuration and weights; it stays open until the graph is written.
        pooling: How token vectors become one vector.

    Returns:
        The graph.

    Raises:
        UnsupportedModelError: A setting is not known here.
        ModelError: The configuration is damaged or does not fit the weights.
    """
    settings = _Settings.read(checkpoint)
    checkpoint.check_weights(settings.weights(), _UNUSED_WEIGHTS)
    return _Bert(checkpoint, settings).build(pooling)


class _Bert:
    """The graph of a BERT under construction."""

    def __init__(self, checkpoint: Checkpoint, settings: _Settings) -> None:
        self._checkpoint = checkpoint
        self._settings = settings
        self._graph = GraphBuilder("bert")

    def build(self, pooling: PoolingType) -> GraphBuilder:
        graph, settings = self._graph, self._settings
        input_ids, attention_mask, token_type_ids = (
            graph.input(name, INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        )
        hidden = self._embeddings(input_ids, token_type_ids)
        mask = graph.node("Cast", [attention_mask], "attention_mask_int32", {"to": INT32})
        for layer in range(settings.layers):
            is_last = layer == settings.layers - 1
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask, "last_hidden_state" if is_last else None)
        graph.output("last_hidden_state", FLOAT, ["batch", "sequence", settings.hidden])
        add_pooled_outputs(graph, hidden, attention_mask, settings.hidden, pooling)
        return graph

    def _embeddings(self, input_ids: str, token_type_ids: str) -> str:
        """Add the vectors of word, token type and position, and normalise."""
        import numpy as np

        graph = self._graph
        words, positions, token_types = (
            self._weight(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position", "token_type")
        )
        length = graph.node("Shape", [input_ids], "sequence_length", {"start": 1, "end": 2})
        zero = graph.initializer("zero", np.zeros(1, np.int64))
        position = graph.node("Slice", [positions, zero, length, zero], "position_vectors")
        word = graph.node("Gather", [words, input_ids], "word_vectors")
        token_type = graph.node("Gather", [token_types, token_type_ids], "token_type_vectors")
        typed = graph.node("Add", [word, token_type], "typed_word_vectors")
        total = graph.node("Add", [typed, position], "embeddings.sum")
        return self._layer_norm("embeddings.LayerNorm", total, "embeddings.output")

    def _layer(self, prefix: str, hidden: str, mask: str, output: str | None) -> str:
        """Attention and feed-forward, each added to its input and normalised."""
        attended = self._attention(f"{prefix}.attention", hidden, mask)
        hidden = self._add_and_norm(f"{prefix}.attention.output", attended, hidden)
        inner = self._activated(f"{prefix}.intermediate.dense", hidden)
        return self._add_and_norm(f"{prefix}.output", inner, hidden, output)

    def _attention(self, prefix: str, hidden: str, mask: str) -> str:
        import numpy as np

        names = [f"{prefix}.self.{role}" for role in ("query", "key", "value")]
        projected = [self._product(name, hidden) for name in names]
        # The fused operator takes the three biases as one.
        bias = np.concatenate([self._checkpoint.weight(f"{name}.bias") for name in names])
        return self._graph.node(
            "MultiHeadAttention",
            [*projected, self._graph.initializer(f"{prefix}.self.bias", bias), mask],
            f"{prefix}.context",
            {"num_heads": self._settings.heads, "mask_filter_value": _MASKED_SCORE},
            domain=MICROSOFT,
        )

    def _activated(self, name: str, value: str) -> str:
        """A linear layer followed by the activation."""
        product, bias = self._product(name, value), self._weight(f"{name}.bias")
        operator = _ACTIVATIONS[self._settings.activation]
        if operator == "Relu":
            total = self._graph.node("Add", [product, bias], f"{name}.sum")
            return self._graph.node(operator, [total], f"{name}.output")
        return self._graph.node(operator, [product, bias], f"{name}.output", domain=MICROSOFT)

    def _add_and_norm(self, prefix: str, value: str, residual: str, output: str | None = None) -> str:
        """A linear layer, its input added, normalised."""
        name = f"{prefix}.dense"
        dense = self._graph.node("Add", [self._product(name, value), self._weight(f"{name}.bias")], f"{name}.output")
        total = self._graph.node("Add", [dense, residual], f"{prefix}.sum")
        return self._layer_norm(f"{prefix}.LayerNorm", total, output or f"{prefix}.normalized")

    def _layer_norm(self, name: str, value: str, output: str) -> str:
        inputs = [value, self._weight(f"{name}.weight"), self._weight(f"{name}.bias")]
        return self._graph.node("LayerNormalization", inputs, output, {"axis": -1, "epsilon": self._settings.epsilon})

    def _product(self, name: str, value: str) -> str:
        """Multiply by a layer's weights, which are stored the other way round."""
        weight = self._graph.initializer(f"{name}.weight", self._checkpoint.weight(f"{name}.weight").T)
        return self._graph.node("MatMul", [value, weight], f"{name}.product")

    def _weight(self, name: str) -> str:
        return self._graph.initializer(name, self._checkpoint.weight(name))

"""Decoders: RMS norms, rotary positions, grouped heads, a gated feed-forward. What differs is data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.body import Body, ClassificationHead, Linear, VocabularyHead
from onnxembed.compile.graph_builder import INT32, GraphBuilder
from onnxembed.compile.labels import label_count
from onnxembed.compile.layers.activation import activation
from onnxembed.compile.layers.grouped_attention import GroupedAttention, grouped_attention
from onnxembed.compile.layers.inputs import token_inputs
from onnxembed.compile.layers.linear import linear
from onnxembed.compile.layers.normalization import rms_norm
from onnxembed.compile.layers.positions import token_positions, window_bias
from onnxembed.compile.layers.rotary import Angles, Rotary, add_angles, rotated
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.errors import UnsupportedModelError
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

WORDS = "embed_tokens.weight"
LANGUAGE_HEAD = "lm_head.weight"
_BODIES = {"AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification"}
_LARGEST_HEAD = 4096  # several times that of any model; frequencies are made before the weights' shapes are compared


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What differs between the layers of one model.

    Attributes:
        rotary: How positions turn queries and keys.
        farthest: How far away the tokens are that a token sees; ``None`` for any distance.
    """

    rotary: Rotary
    farthest: int | None = None


@dataclass(frozen=True, slots=True)
class Decoder:
    """The facts that make a decoder.

    Attributes:
        hidden: Length of a token's vector.
        intermediate: Length of the feed-forward's inner vectors.
        vocabulary: Entries of the vocabulary.
        epsilon: Of the norms.
        activation: Of the feed-forward's gate, a key of ``ACTIVATIONS``.
        attention: Heads, groups, scale and direction.
        layers: The kind of each layer.
        projection_bias: Whether queries, keys and values have a bias.
        output_bias: Whether what attention gives has one.
        inner_bias: Whether the feed-forward's layers have one.
        head_norms: Whether each head's queries and keys are normalized.
        norm_offset: What is added to the weights of the norms.
        norms_after: Whether attention and feed-forward are normalized after their work, too.
        word_scale: What word vectors are multiplied by.
    """

    hidden: int
    intermediate: int
    vocabulary: int
    epsilon: float
    activation: str
    attention: GroupedAttention
    layers: tuple[LayerKind, ...]
    projection_bias: bool = False
    output_bias: bool = False
    inner_bias: bool = False
    head_norms: bool = False
    norm_offset: float = 0.0
    norms_after: bool = False
    word_scale: float | None = None


def decoder_family(model_type: str, classes: tuple[str, ...], prepare: Callable[[Checkpoint], Body]) -> Architecture:
    """Make the architecture of a family."""
    return Architecture((model_type,), classes, WeightNames(prefixes=("model.",)), prepare)


def usual_classes(name: str) -> tuple[str, ...]:
    """Name the classes of most families: the decoder alone, with a language model's head, with a classifier's."""
    return (f"{name}Model", f"{name}ForCausalLM", f"{name}ForSequenceClassification")


def read_direction(config: Facts) -> bool:
    """Tell whether tokens see only those before them, as ``is_causal`` says; they do by default.

    Code of a model's own often lets them see all (gte-Qwen2) and nothing else says so: a configuration that names such
    code has to state the direction.
    """
    own_code = config.value("auto_map")
    if isinstance(own_code, dict) and _BODIES & own_code.keys() and not config.has("is_causal"):
        raise UnsupportedModelError(
            f"{config.where}: auto_map names code of the model's own, which may let tokens see those after them; add "
            '"is_causal": false to the file if it does (gte-Qwen2 and its kin), "is_causal": true if it does not'
        )
    return config.flag("is_causal", True)


def read_attention(
    config: Facts, *, head_size: int | None, scale: float | None = None, causal: bool
) -> GroupedAttention:
    """Read heads and groups; ``head_size`` is that of models that state none, ``None`` for hidden size by heads."""
    heads = config.whole("num_attention_heads")
    groups = config.whole("num_key_value_heads", heads)
    size = config.whole("head_dim", head_size or max(1, config.whole("hidden_size") // heads))
    if heads % groups:
        raise config.wrong("num_key_value_heads", groups, f"a divisor of num_attention_heads, {heads}")
    if size % 2 or size > _LARGEST_HEAD:
        raise config.wrong("head_dim", size, f"an even number up to {_LARGEST_HEAD} (hidden_size by heads if missing)")
    return GroupedAttention(heads, groups, size, size**-0.5 if scale is None else scale, causal)


def decoder_body(checkpoint: Checkpoint, facts: Decoder, *, tied: bool = False, padding_id: int | None = None) -> Body:
    """Describe the body of a decoder.

    Args:
        checkpoint: The model.
        facts: What makes its body.
        tied: Whether word vectors give the language model's logits, where the configuration does not say.
        padding_id: The id of padding, where the configuration states none.

    Returns:
        The body.
    """
    config = checkpoint.config
    into = WeightedGraph(GraphBuilder("decoder"), checkpoint)
    score = Linear("score", facts.hidden, label_count(config), bias=False)
    tied = config.flag("tie_word_embeddings", tied)
    if "pad_token_id" in set(config.keys()):
        padding_id = config.optional_whole("pad_token_id", least=-1)
    return Body(
        into=into,
        hidden=facts.hidden,
        layers=len(facts.layers),
        vocabulary=facts.vocabulary,
        weights=_weights(facts),
        unused=(
            "lm_head.",
            "score.",
            "rotary_emb.",
            *(f"layers.{n}.self_attn.rotary_emb." for n in range(len(facts.layers))),
        ),
        add_all=_Layers(into, facts).add_all,
        vocabulary_head=VocabularyHead((), LANGUAGE_HEAD, facts.hidden, WORDS if tied else None, ()),
        classification_head=ClassificationHead(PoolingType.LAST_TOKEN, (score,), passed_over=padding_id),
    )


def _weights(facts: Decoder) -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight."""
    hidden, size = facts.hidden, facts.attention.head_size
    queries, keys = facts.attention.heads * size, facts.attention.groups * size
    matrices = (
        ("self_attn.q_proj", queries, hidden, facts.projection_bias),
        ("self_attn.k_proj", keys, hidden, facts.projection_bias),
        ("self_attn.v_proj", keys, hidden, facts.projection_bias),
        ("self_attn.o_proj", hidden, queries, facts.output_bias),
        ("mlp.gate_proj", facts.intermediate, hidden, facts.inner_bias),
        ("mlp.up_proj", facts.intermediate, hidden, facts.inner_bias),
        ("mlp.down_proj", hidden, facts.intermediate, facts.inner_bias),
    )
    norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
    if facts.norms_after:
        norms |= {"pre_feedforward_layernorm": hidden, "post_feedforward_layernorm": hidden}
    if facts.head_norms:
        norms |= {"self_attn.q_norm": size, "self_attn.k_norm": size}
    shapes: dict[str, tuple[int, ...]] = {WORDS: (facts.vocabulary, hidden), "norm.weight": (hidden,)}
    for layer in range(len(facts.layers)):
        for name, outputs, inputs, bias in matrices:
            shapes[f"layers.{layer}.{name}.weight"] = (outputs, inputs)
            if bias:
                shapes[f"layers.{layer}.{name}.bias"] = (outputs,)
        shapes |= {f"layers.{layer}.{name}.weight": (length,) for name, length in norms.items()}
    return shapes


@dataclass(frozen=True, slots=True)
class _Shared:
    """What layers of one kind share in a graph."""

    angles: Angles
    mask: str
    bias: str


@dataclass(frozen=True, slots=True)
class _Layers:
    """Adds a decoder to a graph."""

    into: WeightedGraph
    facts: Decoder

    def add_all(self) -> str:
        graph, facts = self.into.graph, self.facts
        input_ids, mask = token_inputs(graph)
        hidden = graph.node("Gather", [self.into.weight(WORDS), input_ids], "word_vectors")
        if facts.word_scale is not None:
            hidden = graph.node("Mul", [hidden, graph.floats("word_scale", facts.word_scale)], "scaled_word_vectors")
        mask = graph.node("Cast", [mask], "attention_mask_int32", {"to": INT32})
        shared = self._shared(input_ids, mask)
        for layer, kind in enumerate(facts.layers):
            hidden = self._layer(f"layers.{layer}", hidden, shared[kind])
        return self._norm("norm", hidden, "last_hidden_state")

    def _shared(self, input_ids: str, mask: str) -> dict[LayerKind, _Shared]:
        graph, kinds = self.into.graph, tuple(dict.fromkeys(self.facts.layers))
        positions = token_positions(graph, input_ids)
        rotaries = dict.fromkeys(kind.rotary for kind in kinds)
        angles = {rotary: add_angles(graph, rotary, positions, f"angles_{n}") for n, rotary in enumerate(rotaries)}
        spelled_out = self.facts.attention.score_cap is not None
        biases = {
            far: window_bias(graph, positions, f"window_{far}", farthest=far, causal=spelled_out)
            for far in dict.fromkeys(kind.farthest for kind in kinds)
            if far is not None or spelled_out
        }
        return {kind: _Shared(angles[kind.rotary], mask, biases.get(kind.farthest, "")) for kind in kinds}

    def _layer(self, name: str, hidden: str, shared: _Shared) -> str:
        """Attention and feed-forward, each on a normalized input and added to it."""
        graph, after = self.into.graph, self.facts.norms_after
        attended = self._attention(f"{name}.self_attn", self._norm(f"{name}.input_layernorm", hidden), shared)
        if after:
            attended = self._norm(f"{name}.post_attention_layernorm", attended)
        hidden = graph.node("Add", [hidden, attended], f"{name}.attended")
        before = "pre_feedforward_layernorm" if after else "post_attention_layernorm"
        fed = self._feed_forward(f"{name}.mlp", self._norm(f"{name}.{before}", hidden))
        if after:
            fed = self._norm(f"{name}.post_feedforward_layernorm", fed)
        return graph.node("Add", [hidden, fed], f"{name}.output")

    def _attention(self, name: str, hidden: str, shared: _Shared) -> str:
        graph, facts, attention = self.into.graph, self.facts, self.facts.attention
        biased = facts.projection_bias
        query, key, value = (linear(self.into, f"{name}.{part}_proj", hidden, bias=biased) for part in "qkv")
        if facts.head_norms:
            query, key = (self._head_norm(f"{name}.{part}_norm", item) for part, item in (("q", query), ("k", key)))
        query = rotated(graph, query, shared.angles, attention.heads, f"{name}.query")
        key = rotated(graph, key, shared.angles, attention.groups, f"{name}.key")
        context = grouped_attention(
            graph, attention, (query, key, value), f"{name}.context", mask=shared.mask, bias=shared.bias
        )
        return linear(self.into, f"{name}.o_proj", context, bias=facts.output_bias)

    def _head_norm(self, name: str, value: str) -> str:
        """Normalize the vectors of each head."""
        graph = self.into.graph
        by_head = graph.integers(f"{name}.by_head_shape", [0, 0, -1, self.facts.attention.head_size])
        flat = graph.integers(f"{name}.flat_shape", [0, 0, -1])
        split = graph.node("Reshape", [value, by_head], f"{name}.by_head")
        return graph.node("Reshape", [self._norm(name, split), flat], f"{name}.flat")

    def _feed_forward(self, name: str, hidden: str) -> str:
        graph, biased = self.into.graph, self.facts.inner_bias
        gate, up = (linear(self.into, f"{name}.{part}_proj", hidden, bias=biased) for part in ("gate", "up"))
        opened = activation(graph, self.facts.activation, gate, f"{name}.gate")
        inner = graph.node("Mul", [opened, up], f"{name}.inner")
        return linear(self.into, f"{name}.down_proj", inner, bias=biased)

    def _norm(self, name: str, value: str, output: str | None = None) -> str:
        facts = self.facts
        return rms_norm(self.into, name, value, output or f"{name}.normalized", facts.epsilon, offset=facts.norm_offset)

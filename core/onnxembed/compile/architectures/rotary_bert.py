"""What NomicBERT, GTE and Jina embeddings v3 have in common: BERT's layers with rotary positions.

Their weights are known by the names that transformers 5 gives them; the files on the Hub were written by each model's
own code, with names of its own, and keep queries, keys and values in one weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.architectures.encoder import Encoder, EncoderLayers, Layer, Positions
from onnxembed.compile.body import Activation, Body, ClassificationHead, Linear, VocabularyHead
from onnxembed.compile.graph_builder import GraphBuilder
from onnxembed.compile.layers.adapters import Adapters
from onnxembed.compile.layers.glu import FeedForward
from onnxembed.compile.layers.part import Part
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.body import Step
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

WORDS = "embeddings.word_embeddings.weight"
UNUSED = ("pooler.", "cls.", "lm_head.", "classifier.", "rotary_emb.", "embeddings.position_ids")
_PACKED = "self_attn.qkv_proj"
_PACKED_FEED = "up_gate_proj"

NAMES = WeightNames(
    prefixes=("nomic_bert.", "bert.", "new.", "gte.", "roberta."),
    replacements=(
        (r"^encoder\.layers?\.", "layers."),
        (r"^emb_ln\.", "embeddings.LayerNorm."),
        (r"\.(attn|mixer)\.Wqkv\.", f".{_PACKED}."),
        (r"\.(attn|mixer)\.out_proj\.", ".self_attn.o_proj."),
        (r"\.attention\.(qkv|q|k|v|o)_proj\.", r".self_attn.\1_proj."),
        (r"\.(norm1|attn_ln)\.", ".post_attention_layernorm."),
        (r"\.(norm2|mlp_ln)\.", ".post_mlp_layernorm."),
        (r"\.mlp\.(fc11|fc1)\.", ".mlp.up_proj."),
        (r"\.mlp\.fc12\.", ".mlp.gate_proj."),
        (r"\.mlp\.fc2\.", ".mlp.down_proj."),
        (r"^lm_head\.norm\.", "lm_head.layer_norm."),
        (r"\.parametrizations\.weight\.original$", ".weight"),
        (r"\.parametrizations\.weight\.0\.lora_([AB])$", r".lora_\1"),
    ),
)
"""All spellings: Nomic's ``encoder.layers.0.attn.Wqkv``, Jina's ``mixer``, GTE's ``encoder.layer.0.attention``."""


@dataclass(frozen=True, slots=True)
class RotaryBert:
    """The facts that make a model of these families.

    Attributes:
        hidden: Length of a token's vector.
        inner: Length of the feed-forward's inner vectors.
        heads: Number of attention heads.
        head_size: Length of a head's vectors.
        layers: Number of layers.
        vocabulary: Entries of the vocabulary.
        token_types: Number of token types.
        epsilon: Of the norms.
        positions: How layers see positions.
        activation: Of the feed-forward.
        gated: Whether the feed-forward has a gate.
        attention_bias: Whether queries, keys and values have a bias, and what follows attention.
        up_bias: Whether the feed-forward's first layers have one.
        down_bias: Whether its last one has.
        adapters: What tasks add to all of these, if they do.
    """

    hidden: int
    inner: int
    heads: int
    head_size: int
    layers: int
    vocabulary: int
    token_types: int
    epsilon: float
    positions: Positions
    activation: str
    gated: bool
    attention_bias: bool
    up_bias: bool
    down_bias: bool
    adapters: Adapters | None = None


def read_head_size(config: Facts, hidden: int, heads: int) -> int:
    """Read the length of a head's vectors, which is even; hidden size by heads where nothing says it."""
    size = config.whole("head_dim", max(1, hidden // heads))
    if size % 2 or (size * heads != hidden and not config.has("head_dim")):
        raise config.wrong("head_dim", size, f"an even number (here {hidden} / {heads} if missing)")
    return size


def rotary_bert_body(
    checkpoint: Checkpoint,
    facts: RotaryBert,
    vocabulary_head: VocabularyHead,
    classification_head: ClassificationHead,
) -> Body:
    """Describe the body."""
    into = WeightedGraph(GraphBuilder("rotary_bert"), checkpoint)
    encoder = Encoder(
        hidden=facts.hidden,
        heads=facts.heads,
        vocabulary=facts.vocabulary,
        token_types=facts.token_types,
        epsilon=facts.epsilon,
        layers=tuple(_layer(checkpoint, facts, f"layers.{number}") for number in range(facts.layers)),
        adapters=facts.adapters,
    )
    return Body(
        into=into,
        hidden=facts.hidden,
        layers=facts.layers,
        vocabulary=facts.vocabulary,
        weights=encoder.weights,
        unused=UNUSED,
        add_all=EncoderLayers(into, encoder).add_all,
        vocabulary_head=vocabulary_head,
        classification_head=classification_head,
    )


def pooled_head(hidden: int, dense: str, output: str, labels: int) -> ClassificationHead:
    """Two linear layers with tanh between, on the first token."""
    steps: tuple[Step, ...] = (Linear(dense, hidden, hidden), Activation("tanh"), Linear(output, hidden, labels))
    return ClassificationHead(PoolingType.CLS, steps)


def _layer(checkpoint: Checkpoint, facts: RotaryBert, name: str) -> Layer:
    wide, part = facts.heads * facts.head_size, partial(Part, adapters=facts.adapters)
    if checkpoint.has_weight(f"{name}.{_PACKED}.weight"):
        query, key, value = (
            part(f"{name}.{_PACKED}", facts.hidden, wide, facts.attention_bias, place=n, of=3) for n in range(3)
        )
    else:
        query, key, value = (
            part(f"{name}.self_attn.{letter}_proj", facts.hidden, wide, facts.attention_bias) for letter in "qkv"
        )
    return Layer(
        query=query,
        key=key,
        value=value,
        attended=part(f"{name}.self_attn.o_proj", wide, facts.hidden, facts.attention_bias),
        feed=_feed_forward(checkpoint, facts, f"{name}.mlp"),
        positions=facts.positions,
        after_attention=(f"{name}.post_attention_layernorm",),
        after_feed=f"{name}.post_mlp_layernorm",
    )


def _feed_forward(checkpoint: Checkpoint, facts: RotaryBert, name: str) -> FeedForward:
    part = partial(Part, adapters=facts.adapters)
    down = part(f"{name}.down_proj", facts.inner, facts.hidden, facts.down_bias)
    if facts.gated and checkpoint.has_weight(f"{name}.{_PACKED_FEED}.weight"):
        up, gate = (
            part(f"{name}.{_PACKED_FEED}", facts.hidden, facts.inner, facts.up_bias, place=n, of=2) for n in range(2)
        )
        return FeedForward(up, down, facts.activation, gate)
    up, gate = (part(f"{name}.{which}_proj", facts.hidden, facts.inner, facts.up_bias) for which in ("up", "gate"))
    return FeedForward(up, down, facts.activation, gate if facts.gated else None)

"""What the configurations of DeBERTa, v2 and v3 say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.errors import ModelError, UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_MOST_DISTANCE = 1_000_000
_FEWEST_BUCKETS = 4
_KINDS = ("c2p", "p2c")


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers that make a model of these families.

    Attributes:
        first: Whether it is the first DeBERTa, whose attention has other weights.
        hidden: Length of a token's vector.
        embedding_size: Length of a word's vector.
        layers: Number of layers.
        heads: Number of heads.
        head_size: Length of a head's vectors.
        intermediate: Length inside a feed-forward part.
        vocabulary: Entries of the vocabulary.
        positions: Rows of the table of positions; 0 where inputs have no positions.
        token_types: Rows of the table of token types; 0 where there is none.
        epsilon: Of all normalizations.
        activation: Of feed-forward parts and the masked-language-model head.
        relative: Whether there is a table of distances.
        distances: Products with distances: ``"c2p"``, of queries; ``"p2c"``, of keys. Empty where nothing is relative.
        parts: Kinds of products whose sum is scaled.
        span: Half of the rows of the table of distances.
        largest: The distance from which on all share a row.
        buckets: Rows per side where distances share rows by their logarithm; 0 where each has its own.
        normalizes_distances: Whether the table of distances is normalized.
        shares_projections: Whether queries and keys of distances are projected as those of tokens.
        kernel: Tokens that the convolution beside the first layer sees; 0 where there is none.
        groups: Groups of its channels.
        convolution_activation: After it.
        legacy: Whether the masked-language-model head is transformers' own.
        pooler_activation: Of the classification head.
    """

    first: bool
    hidden: int
    embedding_size: int
    layers: int
    heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    activation: str
    relative: bool
    distances: tuple[str, ...]
    parts: int
    span: int
    largest: int
    buckets: int
    normalizes_distances: bool
    shares_projections: bool
    kernel: int
    groups: int
    convolution_activation: str
    legacy: bool
    pooler_activation: str

    @classmethod
    def read(cls, checkpoint: Checkpoint, *, first: bool) -> Settings:
        """Read them from a configuration."""
        config = checkpoint.config
        for unused in ("padding_idx", "cls_dropout", "pooler_size", "summary_type"):
            config.value(unused)
        config.expect("z_steps", (0,), 0)
        config.expect("talking_head", (False,), False)
        config.expect("hidden_act", tuple(ACTIVATIONS), "gelu")
        config.expect("pooler_hidden_act", tuple(ACTIVATIONS), "gelu")
        hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        if hidden % heads:
            raise ModelError(
                f"{config.where}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}; "
                "fetch the file again"
            )
        config.expect("pooler_hidden_size", (hidden,), hidden)
        relative = config.flag("relative_attention")
        kinds = _kinds(config)
        positions = config.whole("max_position_embeddings", 512)
        largest = config.whole("max_relative_positions", -1, least=-1)
        largest = largest if largest > 0 else positions
        buckets = 0 if first else max(config.whole("position_buckets", -1, least=-1), 0)
        if relative:
            _check_distances(config, largest, buckets)
        kernel = 0 if first else config.whole("conv_kernel_size", 0, least=0)
        return cls(
            first=first,
            hidden=hidden,
            embedding_size=config.whole("embedding_size", hidden),
            layers=checkpoint.layers("num_hidden_layers"),
            heads=heads,
            head_size=hidden // heads if first else config.whole("attention_head_size", hidden // heads),
            intermediate=config.whole("intermediate_size"),
            vocabulary=config.whole("vocab_size"),
            positions=positions if config.flag("position_biased_input", True) else 0,
            token_types=config.whole("type_vocab_size", 0, least=0),
            epsilon=config.number("layer_norm_eps", 1e-7, above=0),
            activation=config.text("hidden_act", "gelu"),
            relative=relative,
            distances=kinds if relative else (),
            parts=1 + len(kinds),
            span=buckets or largest,
            largest=largest,
            buckets=buckets,
            normalizes_distances=_normalizes(config) and not first,
            shares_projections=not first and config.flag("share_att_key"),
            kernel=kernel,
            groups=_groups(config, hidden, kernel),
            convolution_activation=_convolution_activation(config, kernel),
            legacy=config.flag("legacy", True),
            pooler_activation=config.text("pooler_hidden_act", "gelu"),
        )


def _kinds(config: Facts) -> tuple[str, ...]:
    """Read the products with distances, a list or a text with bars between them."""
    said = config.value("pos_att_type")
    names = said.lower().split("|") if isinstance(said, str) else said or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise config.wrong("pos_att_type", said, "a list of texts")
    kinds = tuple(name.strip() for name in names)
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown or len(set(kinds)) != len(kinds):
        raise UnsupportedModelError(
            f"{config.where}: pos_att_type is {said!r}; known here: {', '.join(_KINDS)}, each once"
        )
    return kinds


def _check_distances(config: Facts, largest: int, buckets: int) -> None:
    if largest > _MOST_DISTANCE:
        raise config.wrong("max_relative_positions", largest, f"at most {_MOST_DISTANCE}")
    most = 2 * (largest - 2)  # fewer than half of them hold one distance each
    if buckets and (buckets % 2 or not _FEWEST_BUCKETS <= buckets <= most):
        expected = f"an even number from {_FEWEST_BUCKETS} to {most}, which max_relative_positions allows"
        raise config.wrong("position_buckets", buckets, expected)


def _normalizes(config: Facts) -> bool:
    kinds = [kind.strip() for kind in config.text("norm_rel_ebd", "none").lower().split("|")]
    if not set(kinds) <= {"none", "layer_norm"}:
        raise UnsupportedModelError(
            f"{config.where}: norm_rel_ebd is {'|'.join(kinds)!r}; known here: none, layer_norm"
        )
    return "layer_norm" in kinds


def _groups(config: Facts, hidden: int, kernel: int) -> int:
    """Check the convolution and read the groups of its channels."""
    groups = config.whole("conv_groups", 1)
    if kernel and kernel % 2 == 0:
        raise config.wrong("conv_kernel_size", kernel, "an odd number")
    if kernel and hidden % groups:
        raise config.wrong("conv_groups", groups, f"a divisor of hidden_size {hidden}")
    return groups


def _convolution_activation(config: Facts, kernel: int) -> str:
    if kernel:
        config.expect("conv_act", tuple(ACTIVATIONS), "tanh")
    return config.text("conv_act", "tanh")

"""What an architecture makes of a checkpoint, and heads end: a model up to its token vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.layers.attention import SelfAttention
    from onnxembed.compile.layers.weighted_graph import WeightedGraph

ATTENTION_MASK = "attention_mask"
"""The input (batch, sequence), int64, 1 for tokens and 0 for padding; every body declares it."""

PartT = TypeVar("PartT")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Linear:
    """A step of a head: multiply by ``<name>.weight`` (outputs, inputs), and add ``<name>.bias`` if there is one."""

    name: str
    inputs: int
    outputs: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class Activation:
    """A step of a head: a function of each number, a key of ``ACTIVATIONS``."""

    name: str


@dataclass(frozen=True, slots=True)
class Norm:
    """A step of a head: layer normalization by ``<name>.weight`` and, if there is one, ``<name>.bias``."""

    name: str
    size: int
    epsilon: float
    bias: bool = True


Step = Linear | Activation | Norm


@dataclass(frozen=True, slots=True)
class VocabularyHead:
    """How a family makes masked-language-model logits of token vectors.

    Attributes:
        steps: From a token vector to what the decoder takes.
        decoder: Name of the decoder's weights (vocabulary, inputs).
        inputs: What the decoder takes per token.
        table: Name of the word vectors, which stand in for a decoder that shares them; ``None`` where none may.
        biases: Names that the decoder's bias (vocabulary,) goes by, the first that is there; none where it has none.
    """

    steps: tuple[Step, ...]
    decoder: str
    inputs: int
    table: str | None
    biases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassificationHead:
    """How a family makes the logits of a text.

    Attributes:
        pooling: Which token vectors the logits are made of.
        steps: From the pooled vector to the logits.
        before: From a token vector to what is pooled.
        passed_over: The token that does not count as a text's last one, by its id; ``None`` where each does.
    """

    pooling: PoolingType
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    passed_over: int | None = None


@dataclass(frozen=True, slots=True)
class OwnVector:
    """How a family makes one vector by itself.

    Attributes:
        size: Numbers of the vector.
        add: Adds what makes it of `Body.add_all`'s value; returns the name of the vectors (batch, size).
    """

    size: int
    add: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Body:
    """A model up to its token vectors, not yet added to its graph.

    Attributes:
        into: The graph and the weights.
        hidden: Length of a token's vector.
        layers: Number of layers.
        vocabulary: Entries of the vocabulary.
        weights: Name and shape of each weight.
        unused: Beginnings of the names of weights that may be there and are left out.
        add_all: Adds the inputs that the model has and all layers; returns the name of the token vectors (batch,
            sequence, hidden).
        add_all_but_last: Adds the inputs and all layers but the last; returns the name of their token vectors, and the
            attention of the last layer. ``None`` where no head of attentions can end this body.
        vocabulary_head: The family's masked-language-model head, if it has one.
        classification_head: The family's classification head, if it has one.
        own_vector: How the family makes one vector by itself, if it does.
    """

    into: WeightedGraph
    hidden: int
    layers: int
    vocabulary: int
    weights: Shapes
    unused: tuple[str, ...]
    add_all: Callable[[], str]
    add_all_but_last: Callable[[], tuple[str, SelfAttention]] | None = None
    vocabulary_head: VocabularyHead | None = None
    classification_head: ClassificationHead | None = None
    own_vector: OwnVector | None = None


def needed(part: PartT | None) -> PartT:
    """Give a part that a head needs; whether the body has it is for `heads.check_head` to say before."""
    if part is None:
        raise ValueError("the body lacks what its head needs; ask check_head first")
    return part

"""The end of a graph: masked-language-model logits, maximised over the tokens, as SPLADE makes its vectors of.

The logits of a batch are sequence x vocabulary numbers a text, dozens of times more than the token vectors. They are
made and reduced a part of the vocabulary at a time, so that they never exist all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import BOOL, FLOAT

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.graph_builder import GraphBuilder
    from onnxembed.compile.layers import Layers

MAX_LOGITS = "max_logits"
"""The output with the largest logit of each entry of the vocabulary."""

_TRANSFORM = "cls.predictions.transform"
_DECODER = "cls.predictions.decoder.weight"
_BIAS = "cls.predictions.bias"
_WORDS = "embeddings.word_embeddings.weight"
_PART = 2048
"""Entries of the vocabulary at a time."""


def vocabulary_weights(checkpoint: Checkpoint, hidden: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight of the head.

    Args:
        checkpoint: The weights that are there.
        hidden: Length of a token's vector.
        vocabulary: Entries of the vocabulary.

    Returns:
        The shapes, by name.
    """
    return {
        f"{_TRANSFORM}.dense.weight": (hidden, hidden),
        f"{_TRANSFORM}.dense.bias": (hidden,),
        f"{_TRANSFORM}.LayerNorm.weight": (hidden,),
        f"{_TRANSFORM}.LayerNorm.bias": (hidden,),
        _decoder(checkpoint): (vocabulary, hidden),
        _BIAS: (vocabulary,),
    }


def add_vocabulary_maximum(layers: Layers, hidden: str, attention_mask: str) -> None:
    """Add the outputs ``max_logits`` and ``splade`` (both batch, vocabulary).

    Args:
        layers: The graph and the weights.
        hidden: Name of the token vectors (batch, sequence, hidden).
        attention_mask: Name of the mask (batch, sequence), 1 for tokens and 0 for padding.
    """
    import numpy as np

    graph = layers.graph
    dense = layers.activated(f"{_TRANSFORM}.dense", hidden)
    states = layers.layer_norm(f"{_TRANSFORM}.LayerNorm", dense, f"{_TRANSFORM}.normalized")
    kept = graph.node("Cast", [attention_mask], "kept", {"to": BOOL})
    states = _without_padding(graph, states, attention_mask, kept)

    table = layers.checkpoint.weight(_decoder(layers.checkpoint))
    parts = []
    for start in range(0, len(table), _PART):
        weight = graph.initializer(f"{_DECODER}.from_{start}", table[start : start + _PART].T)
        logits = graph.node("MatMul", [states, weight], f"logits.from_{start}")
        parts.append(graph.node("ReduceMax", [logits], f"maxima.from_{start}", {"axes": [1], "keepdims": 0}))
    maxima = graph.node("Concat", parts, "maxima", {"axis": 1})
    # The bias of an entry is the same for every token, so it can wait until there is one number an entry.
    biased = graph.node("Add", [maxima, layers.weight(_BIAS)], "biased_maxima")

    any_kept = graph.node("ReduceMax", [attention_mask], "token_is_there", {"axes": [1], "keepdims": 1})
    there = graph.node("Cast", [any_kept], "item_has_tokens", {"to": BOOL})
    nothing = graph.initializer("minus_infinity", np.array(-np.inf, np.float32))
    _give_splade(graph, graph.node("Where", [there, biased, nothing], MAX_LOGITS))
    for name in (MAX_LOGITS, "splade"):
        graph.output(name, FLOAT, ["batch", len(table)])


def _decoder(checkpoint: Checkpoint) -> str:
    """The weights that give the logits: those of the head, or the word vectors where it shares them."""
    return _DECODER if checkpoint.has_weight(_DECODER) else _WORDS


def _without_padding(graph: GraphBuilder, states: str, attention_mask: str, kept: str) -> str:
    """Put an item's first token in the place of its padding: the maximum over all positions is that over the tokens.

    It changes as many numbers as the tokens have; hiding padding in the logits would change vocabulary / hidden times
    as many.
    """
    import numpy as np

    position = graph.node("ArgMax", [attention_mask], "first_token_position", {"axis": 1, "keepdims": 1})
    first = graph.node("GatherND", [states, position], "first_token", {"batch_dims": 1})
    first_row = graph.node("Unsqueeze", [first, graph.initializer("token_axis", np.array([1], np.int64))], "first_row")
    column = graph.node("Unsqueeze", [kept, graph.initializer("vector_axis", np.array([2], np.int64))], "kept_column")
    return graph.node("Where", [column, states, first_row], "token_states")


def _give_splade(graph: GraphBuilder, maxima: str) -> None:
    """Add ``log1p(max(x, 0))``; ONNX has no log1p, and the plain logarithm of 1 + x loses what is near 0.

    Dividing by the rounded 1 + x minus 1 instead of x cancels the rounding (Goldberg 1991, theorem 4).
    """
    import numpy as np

    one = graph.initializer("one", np.array(1, np.float32))
    positive = graph.node("Relu", [maxima], "positive_maxima")
    above = graph.node("Add", [positive, one], "one_and_more")
    rounded = graph.node("Sub", [above, one], "rounded_maxima")
    ratio = graph.node("Div", [positive, rounded], "rounding_ratio")
    product = graph.node("Mul", [graph.node("Log", [above], "logarithm"), ratio], "corrected_logarithm")
    tiny = graph.node("Equal", [above, one], "rounded_away")
    graph.node("Where", [tiny, positive, product], "splade")

"""The end of a graph: masked-language-model logits, maximised over the tokens, from which SPLADE makes its vectors.

The logits of a batch are sequence x vocabulary numbers per text, dozens of times more than the token vectors. They are
made and reduced a part of the vocabulary at a time, so that they never exist all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.body import ATTENTION_MASK, Body, Shapes
from onnxembed.compile.graph_builder import BOOL, FLOAT
from onnxembed.compile.layers.linear import activated
from onnxembed.compile.layers.normalization import layer_norm

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.compile.graph_builder import GraphBuilder

MAX_LOGITS = "max_logits"
"""The output with the largest logit of each entry of the vocabulary."""

_TRANSFORM = "cls.predictions.transform"
_DECODER = "cls.predictions.decoder.weight"
_BIAS = "cls.predictions.bias"
_WORDS = "embeddings.word_embeddings.weight"
PART = 2048  # entries of the vocabulary at a time


def vocabulary_weights(body: Body) -> Shapes:
    """Name and shape of each weight of the head."""
    return {
        f"{_TRANSFORM}.dense.weight": (body.hidden, body.hidden),
        f"{_TRANSFORM}.dense.bias": (body.hidden,),
        f"{_TRANSFORM}.LayerNorm.weight": (body.hidden,),
        f"{_TRANSFORM}.LayerNorm.bias": (body.hidden,),
        _decoder(body.into.checkpoint): (body.vocabulary, body.hidden),
        _BIAS: (body.vocabulary,),
    }


def add_vocabulary_maximum(body: Body) -> None:
    """Add the outputs ``max_logits`` and ``splade`` (both batch, vocabulary)."""
    import numpy as np

    into, graph, hidden = body.into, body.into.graph, body.add_all()
    dense = activated(into, f"{_TRANSFORM}.dense", hidden, body.activation)
    states = layer_norm(into, f"{_TRANSFORM}.LayerNorm", dense, f"{_TRANSFORM}.normalized", body.epsilon)
    kept = graph.node("Cast", [ATTENTION_MASK], "kept", {"to": BOOL})
    states = _without_padding(graph, states, kept)

    table = into.checkpoint.weight(_decoder(into.checkpoint))
    parts = []
    for start in range(0, len(table), PART):
        weight = graph.initializer(f"{_DECODER}.from_{start}", table[start : start + PART].T)
        logits = graph.node("MatMul", [states, weight], f"logits.from_{start}")
        parts.append(graph.node("ReduceMax", [logits], f"maxima.from_{start}", {"axes": [1], "keepdims": 0}))
    maxima = graph.node("Concat", parts, "maxima", {"axis": 1})
    # The bias of an entry is the same for every token, so it can wait until there is one number per entry.
    biased = graph.node("Add", [maxima, into.weight(_BIAS)], "biased_maxima")

    any_kept = graph.node("ReduceMax", [ATTENTION_MASK], "token_is_there", {"axes": [1], "keepdims": 1})
    there = graph.node("Cast", [any_kept], "item_has_tokens", {"to": BOOL})
    lowest = graph.floats("minus_infinity", -np.inf)
    give_splade(graph, graph.node("Where", [there, biased, lowest], MAX_LOGITS))
    for name in (MAX_LOGITS, "splade"):
        graph.output(name, FLOAT, ["batch", len(table)])


def _decoder(checkpoint: Checkpoint) -> str:
    """The weights that give the logits: those of the head, or the word vectors where it shares them."""
    return _DECODER if checkpoint.has_weight(_DECODER) else _WORDS


def _without_padding(graph: GraphBuilder, states: str, kept: str) -> str:
    """Put an item's first token in the place of its padding: the maximum over all positions is that over the tokens.

    It changes as many numbers as the tokens have; hiding padding in the logits would change vocabulary / hidden times
    as many.
    """
    position = graph.node("ArgMax", [ATTENTION_MASK], "first_token_position", {"axis": 1, "keepdims": 1})
    first = graph.node("GatherND", [states, position], "first_token", {"batch_dims": 1})
    first_row = graph.node("Unsqueeze", [first, graph.integers("token_axis", [1])], "first_row")
    column = graph.node("Unsqueeze", [kept, graph.integers("vector_axis", [2])], "kept_column")
    return graph.node("Where", [column, states, first_row], "token_states")


def give_splade(graph: GraphBuilder, maxima: str) -> None:
    """Add ``log1p(max(x, 0))``; ONNX has no log1p, and the plain logarithm of 1 + x loses what is near 0.

    Dividing by the rounded 1 + x minus 1 instead of x cancels the rounding (Goldberg 1991, theorem 4).
    """
    one = graph.floats("one", 1)
    positive = graph.node("Relu", [maxima], "positive_maxima")
    above = graph.node("Add", [positive, one], "one_and_more")
    rounded = graph.node("Sub", [above, one], "rounded_maxima")
    ratio = graph.node("Div", [positive, rounded], "rounding_ratio")
    product = graph.node("Mul", [graph.node("Log", [above], "logarithm"), ratio], "corrected_logarithm")
    tiny = graph.node("Equal", [above, one], "rounded_away")
    graph.node("Where", [tiny, positive, product], "splade")

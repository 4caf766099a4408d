"""The end of a graph: masked-language-model logits, maximised over the tokens, from which SPLADE makes its vectors.

The logits of a batch are sequence x vocabulary numbers per text, dozens of times more than the token vectors. They are
made and reduced a part of the vocabulary at a time, so that they never exist all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.body import ATTENTION_MASK, Body, Shapes, VocabularyHead, needed
from onnxembed.compile.graph_builder import BOOL, FLOAT, GraphBuilder
from onnxembed.compile.heads.steps import add_steps, step_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.checkpoint import Checkpoint

MAX_LOGITS = "max_logits"
"""The output with the largest logit of each entry of the vocabulary."""
VOCABULARY_SUM = "vocabulary_sum"
"""The output with the sum of each entry's weights."""

PART = 2048  # entries of the vocabulary at a time


def vocabulary_weights(body: Body) -> Shapes:
    """Name and shape of each weight of the head."""
    head = needed(body.vocabulary_head)
    bias = bias_name(body, head)
    return {
        **step_weights(head.steps),
        decoder_name(body, head): (body.vocabulary, head.inputs),
        **({} if bias is None else {bias: (body.vocabulary,)}),
    }


def add_vocabulary_maximum(body: Body) -> None:
    """Add the outputs ``max_logits`` and ``splade`` (both batch, vocabulary)."""
    import numpy as np

    into, graph, head = body.into, body.into.graph, needed(body.vocabulary_head)
    states = add_steps(into, head.steps, body.add_all())
    kept = graph.node("Cast", [ATTENTION_MASK], "kept", {"to": BOOL})
    states = _without_padding(graph, states, kept)
    maxima = graph.node("Concat", list(_maxima(body, head, states)), "maxima", {"axis": 1})
    bias = bias_name(body, head)
    if bias is not None:
        # The bias of an entry is the same for every token, so it can wait until there is one number per entry.
        maxima = graph.node("Add", [maxima, into.weight(bias)], "biased_maxima")

    # ReduceMax passes over NaN where it is not the first number; a sum does not.
    by_token = graph.reduce("ReduceL1", states, [2], "size_of_each_token", keepdims=True)
    by_item = graph.reduce("ReduceL1", by_token, [1], "size_of_each_item", keepdims=False)
    lost = graph.node("IsNaN", [by_item], "item_is_lost")
    maxima = graph.node("Where", [lost, graph.floats("not_a_number", np.nan), maxima], "honest_maxima")

    any_kept = graph.reduce("ReduceMax", ATTENTION_MASK, [1], "token_is_there", keepdims=True)
    there = graph.node("Cast", [any_kept], "item_has_tokens", {"to": BOOL})
    lowest = graph.floats("minus_infinity", -np.inf)
    give_splade(graph, graph.node("Where", [there, maxima, lowest], MAX_LOGITS))
    for name in (MAX_LOGITS, "splade"):
        graph.output(name, FLOAT, ["batch", body.vocabulary])


def add_vocabulary_sum(body: Body, logarithms: int) -> None:
    """Add the output ``vocabulary_sum`` (batch, vocabulary)."""
    into, graph, head = body.into, body.into.graph, needed(body.vocabulary_head)
    states = add_steps(into, head.steps, body.add_all())
    kept = graph.node("Cast", [ATTENTION_MASK], "kept", {"to": FLOAT})
    kept = graph.node("Unsqueeze", [kept, graph.integers("vector_axis", [2])], "kept_column")
    bias, axis = bias_name(body, head), graph.integers("token_axis", [1])
    sums = []
    for start, rows, logits in _logits(body, head, states):
        if bias is not None:
            added = graph.later(
                f"{bias}.from_{start}", (rows.stop - start,), partial(_rows, into.checkpoint, bias, rows)
            )
            logits = graph.node("Add", [logits, added], f"biased.from_{start}")
        weights = graph.node("Relu", [logits], f"positive.from_{start}")
        for number in range(logarithms):
            weights = log1p(graph, weights, f"logarithm_{number}.from_{start}")
        weights = graph.node("Mul", [weights, kept], f"weights.from_{start}")
        sums.append(graph.node("ReduceSum", [weights, axis], f"sum.from_{start}", {"keepdims": 0}))
    graph.node("Concat", sums, VOCABULARY_SUM, {"axis": 1})
    graph.output(VOCABULARY_SUM, FLOAT, ["batch", body.vocabulary])


def _maxima(body: Body, head: VocabularyHead, states: str) -> Iterator[str]:
    """Add the largest products of token vectors and decoder, a part of the vocabulary at a time."""
    for start, _, logits in _logits(body, head, states):
        yield body.into.graph.reduce("ReduceMax", logits, [1], f"maxima.from_{start}", keepdims=False)


def _logits(body: Body, head: VocabularyHead, states: str) -> Iterator[tuple[int, slice, str]]:
    """Add the products of token vectors and decoder, a part of the vocabulary at a time: its beginning and its rows."""
    graph, decoder = body.into.graph, decoder_name(body, head)
    for start in range(0, body.vocabulary, PART):
        rows = slice(start, min(start + PART, body.vocabulary))
        shape = (head.inputs, rows.stop - rows.start)
        weight = graph.later(f"{decoder}.from_{start}", shape, partial(_part, body.into.checkpoint, decoder, rows))
        yield start, rows, graph.node("MatMul", [states, weight], f"logits.from_{start}")


def _part(checkpoint: Checkpoint, decoder: str, rows: slice) -> NDArray[np.float32]:
    return checkpoint.weight(decoder, rows).T


def _rows(checkpoint: Checkpoint, name: str, rows: slice) -> NDArray[np.float32]:
    return checkpoint.weight(name, rows)


def decoder_name(body: Body, head: VocabularyHead) -> str:
    """Name the weights that give the logits: those of the head, or the word vectors where it shares them."""
    checkpoint = body.into.checkpoint
    tied = head.table is not None and checkpoint.config.flag("tie_word_embeddings", True)
    return head.decoder if head.table is None or not tied or checkpoint.has_weight(head.decoder) else head.table


def bias_name(body: Body, head: VocabularyHead) -> str | None:
    """Name the bias as it is spelled here; the last of those that it may have where none is there."""
    there = [name for name in head.biases if body.into.checkpoint.has_weight(name)]
    return next(iter(there or head.biases[-1:]), None)


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
    """Add the output ``splade``, ``log1p(max(x, 0))``."""
    log1p(graph, graph.node("Relu", [maxima], "positive_maxima"), "splade")


def log1p(graph: GraphBuilder, value: str, output: str) -> str:
    """Add ``log(1 + x)`` of what is not negative; ONNX has none, and the plain logarithm loses what is near 0.

    Dividing by the rounded 1 + x minus 1 instead of x cancels the rounding (Goldberg 1991, theorem 4).
    """
    one = graph.floats(f"{output}.one", 1)
    above = graph.node("Add", [value, one], f"{output}.one_and_more")
    rounded = graph.node("Sub", [above, one], f"{output}.rounded")
    ratio = graph.node("Div", [value, rounded], f"{output}.rounding_ratio")
    logarithm = graph.node("Log", [above], f"{output}.logarithm")
    product = graph.node("Mul", [logarithm, ratio], f"{output}.corrected_logarithm")
    tiny = graph.node("Equal", [above, one], f"{output}.rounded_away")
    return graph.node("Where", [tiny, value, product], output)

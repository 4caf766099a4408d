"""The end of a graph: the logits of a few entries of the vocabulary after a text's last token.

Rerankers that are language models answer yes or no there; sentence-transformers calls this LogitScore. Of the decoder,
the largest matrix of a small model, only the rows of those entries enter the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxembed.compile.body import Body, Shapes, needed
from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.heads.pooling import add_pooled
from onnxembed.compile.heads.steps import add_steps
from onnxembed.compile.heads.vocabulary import bias_name, decoder_name, vocabulary_weights
from onnxembed.errors import InputError
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def token_logits_weights(body: Body) -> Shapes:
    """Name and shape of each weight of the head."""
    return vocabulary_weights(body)


def add_token_logits(body: Body, tokens: Sequence[int]) -> None:
    """Add the output ``logits`` (batch, tokens), in the order of the ids in ``tokens``."""
    if not tokens or not all(0 <= token < body.vocabulary for token in tokens):
        raise InputError(f"tokens={tuple(tokens)}: expected at least one id below {body.vocabulary}, the vocabulary")
    import numpy as np

    into, graph, head, ids = body.into, body.into.graph, needed(body.vocabulary_head), list(tokens)
    checkpoint, bias = into.checkpoint, bias_name(body, head)

    def rows(name: str) -> NDArray[np.float32]:
        return np.concatenate([checkpoint.weight(name, slice(token, token + 1)) for token in ids]).T

    last = add_pooled(graph, body.add_all(), PoolingType.LAST_TOKEN)
    state = add_steps(into, head.steps, last)
    decoder = decoder_name(body, head)
    weight = graph.later("token_logits.weight", (head.inputs, len(ids)), lambda: rows(decoder))
    logits = graph.node("MatMul", [state, weight], "token_logits.product")
    if bias is not None:
        shift = graph.later("token_logits.bias", (len(ids),), lambda: rows(bias))
        logits = graph.node("Add", [logits, shift], "token_logits.sum")
    graph.node("Identity", [logits], "logits")
    graph.output("logits", FLOAT, ["batch", len(ids)])

"""The end of a graph: the logits of a classification head, from which cross-encoders make their scores."""

from __future__ import annotations

from onnxembed.compile.body import Body, Linear, Shapes, needed
from onnxembed.compile.graph_builder import FLOAT
from onnxembed.compile.heads.pooling import add_pooled, last_token_but
from onnxembed.compile.heads.steps import add_steps, step_weights


def classification_weights(body: Body) -> Shapes:
    """Name and shape of each weight of the head."""
    head = needed(body.classification_head)
    return step_weights((*head.before, *head.steps))


def add_logits(body: Body) -> None:
    """Add the output ``logits`` (batch, labels)."""
    head, graph = needed(body.classification_head), body.into.graph
    tokens = add_steps(body.into, head.before, body.add_all())
    if head.passed_over is None:
        vector = add_pooled(graph, tokens, head.pooling)
    else:
        vector = last_token_but(graph, tokens, head.passed_over)
    logits = add_steps(body.into, head.steps, vector)
    labels = next(step.outputs for step in reversed(head.steps) if isinstance(step, Linear))
    graph.node("Identity", [logits], "logits")
    graph.output("logits", FLOAT, ["batch", labels])

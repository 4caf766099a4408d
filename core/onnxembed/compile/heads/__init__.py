"""What a compiled graph gives at its end; every head ends any body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from onnxembed.compile.body import Body, Shapes
from onnxembed.compile.heads.attentions import add_attentions, add_cls_attention
from onnxembed.compile.heads.classification import add_logits, classification_weights
from onnxembed.compile.heads.pooling import add_own_vector, add_vectors
from onnxembed.compile.heads.token_logits import add_token_logits, token_logits_weights
from onnxembed.compile.heads.vocabulary import add_vocabulary_maximum, add_vocabulary_sum, vocabulary_weights
from onnxembed.errors import UnsupportedModelError
from onnxembed.spec import GraphHead

if TYPE_CHECKING:
    from onnxembed.spec import PoolingType

# What a body must have for a head to end it, as the field of `Body` that says so.
_NEEDED = {
    GraphHead.CLS_ATTENTION: "add_all_but_last",
    GraphHead.ATTENTIONS: "add_all_but_last",
    GraphHead.VOCABULARY_MAXIMUM: "vocabulary_head",
    GraphHead.VOCABULARY_SUM: "vocabulary_head",
    GraphHead.VOCABULARY_SUM_OF_LOGARITHMS: "vocabulary_head",
    GraphHead.CLASSIFICATION: "classification_head",
    GraphHead.OWN_VECTOR: "own_vector",
    GraphHead.PICTURE_VECTOR: "own_vector",
    GraphHead.TOKEN_LOGITS: "vocabulary_head",
}
_WEIGHTS: Mapping[GraphHead, Callable[[Body], Shapes]] = {
    GraphHead.VOCABULARY_MAXIMUM: vocabulary_weights,
    GraphHead.VOCABULARY_SUM: vocabulary_weights,
    GraphHead.VOCABULARY_SUM_OF_LOGARITHMS: vocabulary_weights,
    GraphHead.CLASSIFICATION: classification_weights,
    GraphHead.TOKEN_LOGITS: token_logits_weights,
}
_ADD: Mapping[GraphHead, Callable[[Body], None]] = {
    GraphHead.CLS_ATTENTION: add_cls_attention,
    GraphHead.ATTENTIONS: add_attentions,
    GraphHead.VOCABULARY_MAXIMUM: add_vocabulary_maximum,
    GraphHead.VOCABULARY_SUM: partial(add_vocabulary_sum, logarithms=1),
    GraphHead.VOCABULARY_SUM_OF_LOGARITHMS: partial(add_vocabulary_sum, logarithms=2),
    GraphHead.CLASSIFICATION: add_logits,
    GraphHead.OWN_VECTOR: add_own_vector,
    GraphHead.PICTURE_VECTOR: add_own_vector,
}


def check_head(body: Body, head: GraphHead) -> None:
    """Refuse a head that the family does not have."""
    needed = _NEEDED.get(head)
    if needed is not None and getattr(body, needed) is None:
        raise UnsupportedModelError(
            f"{body.into.checkpoint.config.where}: this architecture has no head {head.value!r} that can be compiled; "
            "use a model that comes with an ONNX file"
        )


def head_weights(body: Body, head: GraphHead) -> Shapes:
    """Name and shape of each weight that a head has beside those of the body."""
    weights = _WEIGHTS.get(head)
    return {} if weights is None else weights(body)


def add_head(body: Body, head: GraphHead, poolings: Sequence[PoolingType], tokens: Sequence[int]) -> None:
    """Add the body, as much of it as the head needs, and the head's outputs."""
    add = _ADD.get(head)
    if head is GraphHead.TOKEN_LOGITS:
        add_token_logits(body, tokens)
    elif add is None:
        add_vectors(body, poolings)
    else:
        add(body)

"""What a compiled graph gives at its end; every head ends any body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.compile.body import Body, Shapes
from onnxembed.compile.heads.attentions import add_attentions, add_cls_attention
from onnxembed.compile.heads.pooling import add_vectors
from onnxembed.compile.heads.vocabulary import add_vocabulary_maximum, vocabulary_weights
from onnxembed.spec import GraphHead

if TYPE_CHECKING:
    from onnxembed.spec import PoolingType


def head_weights(body: Body, head: GraphHead) -> Shapes:
    """Name and shape of each weight that a head has beside those of the body."""
    return vocabulary_weights(body) if head is GraphHead.VOCABULARY_MAXIMUM else {}


def add_head(body: Body, head: GraphHead, pooling: PoolingType) -> None:
    """Add the body, as much of it as the head needs, and the head's outputs."""
    if head is GraphHead.CLS_ATTENTION:
        add_cls_attention(body)
    elif head is GraphHead.ATTENTIONS:
        add_attentions(body)
    elif head is GraphHead.VOCABULARY_MAXIMUM:
        add_vocabulary_maximum(body)
    else:
        add_vectors(body, pooling)

"""What a compiled graph gives at its end."""

from __future__ import annotations

from enum import StrEnum


class GraphHead(StrEnum):
    """What follows the layers of a compiled graph; masks are 1 for tokens and 0 for padding."""

    VECTORS = "vectors"
    """``last_hidden_state`` (batch, sequence, hidden) and, where there is a pooling, the vectors made of it."""
    CLS_ATTENTION = "cls_attention"
    """``cls_attention`` (batch, sequence): how much the first position attends to each token in the last layer, as the
    mean over the heads; padding has 0. What nobody reads of the last layer is not computed."""
    ATTENTIONS = "attentions"
    """``attention_<number of layers>`` (batch, heads, sequence, sequence): the probabilities with which each position
    (third axis) attends to each token (fourth) in the last layer, padding 0; and ``cls_attention``."""
    VOCABULARY_MAXIMUM = "vocabulary_maximum"
    """``max_logits`` (batch, vocabulary): the largest masked-language-model logit of each entry of the vocabulary over
    the tokens, -infinity for an item of padding alone; and ``splade``, ``log1p(max(max_logits, 0))``."""

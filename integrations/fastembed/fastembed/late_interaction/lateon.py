"""Models that fill no queries."""

from __future__ import annotations

from fastembed.late_interaction.late_interaction_embedding_base import LateInteractionTextEmbeddingBase
from onnxembed import LateInteractionModel
from onnxembed.adapters.inside import ModelSpec

# How a model that keeps all words in its documents says so.
_NO_RULE = "none"


class LateOn(LateInteractionTextEmbeddingBase):
    """Models that fill no queries, and leave punctuation out of documents."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, LateInteractionModel) and spec.query_length is None and spec.skip_rule != _NO_RULE


class MLateOn(LateInteractionTextEmbeddingBase):
    """Models that fill no queries, and keep punctuation in documents."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, LateInteractionModel) and spec.query_length is None and spec.skip_rule == _NO_RULE

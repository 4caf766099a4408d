"""Models that fill short queries with mask tokens, which no token attends to."""

from __future__ import annotations

from fastembed.late_interaction.late_interaction_embedding_base import LateInteractionTextEmbeddingBase
from onnxembed import LateInteractionModel
from onnxembed.adapters.inside import ModelSpec


class Colbert(LateInteractionTextEmbeddingBase):
    """Models that fill short queries with mask tokens, which no token attends to."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, LateInteractionModel) and spec.query_length is not None and not spec.attend_to_expansion

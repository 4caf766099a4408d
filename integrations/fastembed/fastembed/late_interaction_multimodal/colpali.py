"""Page images as PaliGemma sees them."""

from __future__ import annotations

from fastembed.late_interaction_multimodal.late_interaction_multimodal_embedding_base import (
    LateInteractionMultimodalEmbeddingBase,
)
from onnxembed import MultimodalKind


class ColPali(LateInteractionMultimodalEmbeddingBase):
    """Page images as PaliGemma sees them."""

    kind = MultimodalKind.COLPALI

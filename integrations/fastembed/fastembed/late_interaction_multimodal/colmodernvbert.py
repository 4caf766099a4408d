"""Page images in tiles."""

from __future__ import annotations

from fastembed.late_interaction_multimodal.late_interaction_multimodal_embedding_base import (
    LateInteractionMultimodalEmbeddingBase,
)
from onnxembed import MultimodalKind


class ColModernVBERT(LateInteractionMultimodalEmbeddingBase):
    """Page images in tiles."""

    kind = MultimodalKind.COLMODERNVBERT

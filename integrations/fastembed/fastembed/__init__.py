"""fastembed's names over onnxembed: an import of fastembed's users, its tolerance and its numbers.

The modules have the names and places of fastembed 0.9.1. Options and checks of onnxembed's own are in `onnxembed`.
"""

from __future__ import annotations

from onnxembed.adapters.fastembed_folder import STAND_IN_VERSION, refuse_real_fastembed

refuse_real_fastembed()

from fastembed.image import ImageEmbedding  # noqa: E402  # not over the real one
from fastembed.late_interaction import LateInteractionTextEmbedding  # noqa: E402
from fastembed.late_interaction_multimodal import LateInteractionMultimodalEmbedding  # noqa: E402
from fastembed.sparse import SparseEmbedding, SparseTextEmbedding  # noqa: E402
from fastembed.text import TextEmbedding  # noqa: E402

__version__ = STAND_IN_VERSION

__all__ = [
    "ImageEmbedding",
    "LateInteractionMultimodalEmbedding",
    "LateInteractionTextEmbedding",
    "SparseEmbedding",
    "SparseTextEmbedding",
    "TextEmbedding",
]

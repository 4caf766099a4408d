"""The late-interaction models of texts and pictures of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.multimodal.spec import MultimodalModel

multimodal_registry: Final = Registry(MultimodalModel, "multimodal.toml", "LateInteractionMultimodalEmbedding")


def describe_multimodal(model: MultimodalModel) -> dict[str, object]:
    """A model as plain data."""
    return describe(model, "dim", "max_tokens", "kind")

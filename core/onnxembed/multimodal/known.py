"""The late-interaction models of texts and pictures of this process, and what is told of each."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog import multimodal_models
from onnxembed.catalog.registry import Registry, describe_files
from onnxembed.multimodal.spec import MultimodalModel

multimodal_registry: Final = Registry(multimodal_models, MultimodalModel, "LateInteractionMultimodalEmbedding")
"""The late-interaction models of texts and pictures of this process."""


def describe_multimodal(model: MultimodalModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files`, ``dim``, ``max_tokens`` and ``kind``.
    """
    return {
        **describe_files(model),
        "dim": model.dim,
        "max_tokens": model.max_tokens,
        "kind": model.kind.value,
    }

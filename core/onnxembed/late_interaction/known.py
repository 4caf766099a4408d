"""The late-interaction text models of this process, and what is told of each."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog import late_interaction_models
from onnxembed.catalog.registry import Registry, describe_files
from onnxembed.late_interaction.spec import LateInteractionModel

late_interaction_registry: Final = Registry(
    late_interaction_models, LateInteractionModel, "LateInteractionTextEmbedding"
)
"""The late-interaction text models of this process."""


def describe_late_interaction(model: LateInteractionModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files` and those of late-interaction models. ``query_length`` is the length that short
        queries are filled to, ``None`` where they are not.
    """
    return {
        **describe_files(model),
        "dim": model.dim,
        "max_tokens": model.max_tokens,
        "query_marker": model.query_marker,
        "document_marker": model.document_marker,
        "mask_token": model.mask_token,
        "query_length": model.query_length,
        "attend_to_expansion": model.attend_to_expansion,
        "skip_rule": model.skip_rule.value,
        "normalize_documents": model.normalize_documents,
        "normalize_queries": model.normalize_queries,
    }

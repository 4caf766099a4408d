"""The late-interaction text models of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.late_interaction.spec import LateInteractionModel

late_interaction_registry: Final = Registry(
    LateInteractionModel, "late_interaction.toml", "LateInteractionTextEmbedding"
)


def describe_late_interaction(model: LateInteractionModel) -> dict[str, object]:
    """A model as plain data; ``query_length`` is ``None`` where short queries are not filled."""
    return describe(
        model,
        *("dim", "max_tokens", "query_marker", "document_marker", "mask_token", "query_length", "attend_to_expansion"),
        *("skip_rule", "normalize_documents", "normalize_queries"),
    )

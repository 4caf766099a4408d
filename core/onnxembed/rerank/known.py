"""The cross-encoders of this process: those of the catalogue and those that the user adds."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog import rerank_models
from onnxembed.catalog.registry import Registry, describe_files
from onnxembed.rerank.spec import CrossEncoderModel

rerank_registry: Final = Registry(rerank_models, CrossEncoderModel, "TextCrossEncoder")
"""The cross-encoders of this process."""


def describe_cross_encoder(model: CrossEncoderModel) -> dict[str, object]:
    """Tell what is known of a cross-encoder, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files`, ``max_tokens``, and ``activation``: ``"raw"``, ``"sigmoid"``, or ``None`` where
        only the model's files can tell.
    """
    return {
        **describe_files(model),
        "max_tokens": model.max_tokens,
        "activation": None if model.activation is None else model.activation.value,
    }

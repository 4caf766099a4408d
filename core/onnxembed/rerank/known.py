"""The cross-encoders of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.rerank.spec import CrossEncoderModel

rerank_registry: Final = Registry(CrossEncoderModel, "rerank.toml", "TextCrossEncoder")


def describe_cross_encoder(model: CrossEncoderModel) -> dict[str, object]:
    """A model as plain data; ``activation`` is ``None`` where only the model's files can tell."""
    return describe(model, "max_tokens", "activation")

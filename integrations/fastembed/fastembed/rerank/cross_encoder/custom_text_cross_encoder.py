"""Cross-encoders that users add."""

from __future__ import annotations

from typing import ClassVar

from fastembed.common.arguments import Arguments
from fastembed.common.model_description import BaseModelDescription
from fastembed.common.model_management import core_source
from fastembed.rerank.cross_encoder.text_cross_encoder_base import TextCrossEncoderBase
from onnxembed import CrossEncoderModel, TextCrossEncoder
from onnxembed.adapters.inside import ModelSpec, add_model


class CustomTextCrossEncoder(TextCrossEncoderBase):
    """Cross-encoders that users add, for this process; objects carry their description to others."""

    SUPPORTED_MODELS: ClassVar[list[BaseModelDescription]] = []

    @classmethod
    def add_model(cls, model_description: BaseModelDescription) -> None:
        """Add a model by its description."""
        cls.SUPPORTED_MODELS.append(model_description)

    @classmethod
    def _list_supported_models(cls) -> list[BaseModelDescription]:
        return cls.SUPPORTED_MODELS

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """None of the catalogue."""
        return False

    @classmethod
    def supports(cls, model_name: str) -> bool:
        """Whether a model of this name, in any case, was added."""
        return any(model_name.lower() == added.model.lower() for added in cls.SUPPORTED_MODELS)

    def _prepare(self, arguments: Arguments) -> None:
        wanted = arguments.model_name.lower()
        added = next(added for added in self.SUPPORTED_MODELS if added.model.lower() == wanted)
        spec = CrossEncoderModel.custom(
            added.model,
            core_source(added.sources),
            added.model_file,
            added.description,
            added.license,
            added.size_in_GB,
            added.additional_files,
        )
        add_model(TextCrossEncoder, spec)

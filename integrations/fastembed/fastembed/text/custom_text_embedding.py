"""Dense text models that users add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastembed.common.arguments import Arguments
from fastembed.common.model_description import DenseModelDescription, PoolingType
from fastembed.common.model_management import core_source
from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel, TextEmbedding
from onnxembed.adapters.inside import ModelSpec, add_model


@dataclass(frozen=True)
class PostprocessingConfig:
    """What is done to the output of a model's graph.

    Attributes:
        pooling: How token vectors become one.
        normalization: Whether vectors are scaled to length 1.
        output_name: Name of the output to take; ``None`` for the first.
    """

    pooling: PoolingType
    normalization: bool
    output_name: str | None = None


class CustomTextEmbedding(TextEmbeddingBase):
    """Dense text models that users add, for this process; objects carry their description to others."""

    SUPPORTED_MODELS: ClassVar[list[DenseModelDescription]] = []
    POSTPROCESSING_MAPPING: ClassVar[dict[str, PostprocessingConfig]] = {}

    @classmethod
    def add_model(
        cls,
        model_description: DenseModelDescription,
        pooling: PoolingType,
        normalization: bool,
        output_name: str | None = None,
    ) -> None:
        """Add a model by its description."""
        cls.SUPPORTED_MODELS.append(model_description)
        cls.POSTPROCESSING_MAPPING[model_description.model] = PostprocessingConfig(pooling, normalization, output_name)

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
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
        config = self.POSTPROCESSING_MAPPING[added.model]
        spec = DenseModel.custom(
            added.model,
            PoolingType(config.pooling).value,
            config.normalization,
            core_source(added.sources),
            added.dim or 0,
            added.model_file,
            added.description,
            added.license,
            added.size_in_GB,
            added.additional_files,
            config.output_name,
        )
        add_model(TextEmbedding, spec)

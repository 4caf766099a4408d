"""The list of models that every class has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Generic, TypeVar

from fastembed.common.model_description import BaseModelDescription, ModelSource
from onnxembed import ModelSource as CoreSource
from onnxembed.adapters.inside import ModelSpec

DescriptionT = TypeVar("DescriptionT", bound=BaseModelDescription)


class ModelManagement(Generic[DescriptionT]):
    """What the classes of all kinds and families have."""

    @classmethod
    def list_supported_models(cls) -> list[dict[str, Any]]:
        """Describe the models of this class as dictionaries."""
        return [asdict(description) for description in cls._list_supported_models()]

    @classmethod
    def _list_supported_models(cls) -> list[DescriptionT]:
        raise NotImplementedError


def described(spec: ModelSpec) -> dict[str, Any] | None:
    """Give the fields that all descriptions share; ``None`` for a model that neither the Hub nor a URL has."""
    source = next((source for source in spec.sources if source.hf or source.url), None)
    if source is None:
        return None
    return {
        "model": spec.name,
        "sources": ModelSource(hf=source.hf, url=source.url),
        "model_file": spec.model_file,
        "description": spec.description,
        "license": spec.license,
        "size_in_GB": spec.size_in_gb,
        "additional_files": list(spec.additional_files),
    }


def core_source(source: ModelSource) -> CoreSource:
    """Give the core's form of a source."""
    return CoreSource(hf=source.hf, url=source.url)


def check_free(name: str, taken: list[DescriptionT], owner: str) -> None:
    """Refuse a name that a model has already, case aside, by a ValueError whose beginning callers match."""
    if any(name.lower() == description.model.lower() for description in taken):
        raise ValueError(f"Model {name} is already registered in {owner}; choose another name")

"""The image models of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.errors import InputError
from onnxembed.image.spec import ImageModel

image_registry: Final = Registry(ImageModel, "image.toml", "ImageEmbedding")


def describe_image(model: ImageModel) -> dict[str, object]:
    """A model as plain data; ``text_model`` is ``None`` where no text model shares its space."""
    return describe(model, "dim", "pooling", "normalize", "text_model")


def image_half(text_model: str, image_model: str | None = None) -> str:
    """The image half of a model of texts and images; a half that the caller chose is only checked."""
    halves = {model.name: model.text_model for model in image_registry.models() if model.text_model is not None}
    asked = text_model.casefold()
    if image_model is not None:
        text = next((text for name, text in halves.items() if name.casefold() == image_model.casefold()), None)
        others = {half.casefold() for half in halves.values()} - {(text or "").casefold()}
        if text is not None and asked in others:
            raise InputError(f"the image model {image_model!r} belongs to the text model {text!r}, not {text_model!r}")
        return image_model
    for name, text in halves.items():
        if text.casefold() == asked:
            return name
    raise InputError(
        f"no image model is known to belong to the text model {text_model!r}; choose one, or one of the text models "
        f"{', '.join(sorted(set(halves.values())))}"
    )

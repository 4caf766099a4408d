"""The image models of this process, and what is told of each."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog import image_models
from onnxembed.catalog.registry import Registry, describe_files
from onnxembed.errors import InputError
from onnxembed.image.spec import ImageModel

image_registry: Final = Registry(image_models, ImageModel, "ImageEmbedding")
"""The image models of this process."""


def describe_image(model: ImageModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files` and those of image models. ``text_model`` names the text model whose vectors
        lie in the same space, ``None`` where there is none.
    """
    return {
        **describe_files(model),
        "dim": model.dim,
        "pooling": model.pooling.value,
        "normalize": model.normalize,
        "text_model": model.text_model,
    }


def image_half(text_model: str, image_model: str | None = None) -> str:
    """Find the image half of a model of texts and images.

    Args:
        text_model: Name of the text half, in any case.
        image_model: Name of the image half, or a folder, where the caller chose one.

    Returns:
        The image half.

    Raises:
        InputError: The two are known to belong to different models, or no image half is known of the text half.
    """
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
